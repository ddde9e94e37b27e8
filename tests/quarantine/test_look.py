"""Looking at the homeserver: what differs is recorded, what is old overrules nothing."""

from datetime import UTC, datetime

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from quarantine import ledger, look
from quarantine.entries import Entry, clean_mxc
from quarantine.feed import FeedCursor, NewGeneration
from quarantine.homeserver import media
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.models import LocalMedia, RemoteMedia
from quarantine.ledger import CursorMovedError
from quarantine.look import FeedRow, record, review
from quarantine.models import Cause, Change, MediaItem, Source, State
from quarantine.mxc import Mxc, Named
from tests.quarantine.ledger_checks import assert_sound, catch_up_fully

pytestmark = pytest.mark.django_db

HERE = "matrix.example"
ABC = Mxc(HERE, "abc")
HASH = "a" * 64
UPLOADED = datetime(2026, 11, 22, 14, 31, 55, 120_000, tzinfo=UTC)
MODERATOR = "@moderator:matrix.example"


@pytest.fixture(autouse=True)
def bound(db):
    return ledger.bind()


def there(media_id="abc", *, by=None, **columns):
    """A local row of the homeserver."""
    LocalMedia.objects.create(media_id=media_id, quarantined_by=by, **columns)
    return Mxc(HERE, media_id)


def here(*keys, quarantined=True, **facts):
    """What the ledger has heard."""
    ledger.append([Entry(mxc=key, quarantined=quarantined, source=Source.FEED, **facts) for key in keys])


def newest(*fields):
    return Change.objects.order_by("-stream_id").values_list(*fields)[0]


def states(*keys):
    items = ledger.fetch_items(keys)
    return [items[key].state if key in items else None for key in keys]


# --- What differs -------------------------------------------------------------------------


def test_what_is_quarantined_there_alone_is_recorded():
    mxc = there(
        by=MODERATOR,
        media_type="image/png",
        media_length=7,
        upload_name="p.png",
        user_id="@mallory:matrix.example",
        sha256=HASH,
        created_ts=int(UPLOADED.timestamp() * 1000),
    )

    assert record([mxc]).recorded == 1

    assert newest("quarantined", "deleted", "source", "cause", "changed_by", "not_before", "feed_id") == (
        True, False, Source.AUDIT, Cause.UNKNOWN, MODERATOR, UPLOADED, None,
    )  # fmt: skip
    assert newest("media_type", "media_length", "upload_name", "uploader", "sha256") == (
        "image/png", 7, "p.png", "@mallory:matrix.example", HASH,
    )  # fmt: skip


def test_what_the_homeserver_did_by_itself_was_by_hash():
    record([there(by="system")])

    assert newest("changed_by", "cause") == ("system", Cause.HASH)


def test_what_is_released_there_is_released_by_nobody_known():
    here(there(sha256=HASH), changed_by=MODERATOR)

    assert record([ABC]).recorded == 1

    assert newest("quarantined", "deleted", "changed_by", "not_before", "sha256") == (False, False, "", None, HASH)


def test_what_is_no_longer_there_was_deleted_not_released():
    facts = {"media_type": "image/png", "media_length": 7, "upload_name": "p.png", "uploader": "@m:x", "sha256": HASH}
    here(ABC, **facts)

    assert record([ABC]).recorded == 1

    change = Change.objects.get(stream_id=2)
    assert (change.state, change.quarantined, change.source) == (State.DELETED, False, Source.AUDIT)
    assert {name: getattr(change, name) for name in facts} == facts
    assert states(ABC) == [State.DELETED]


def test_the_last_word_on_deleted_media_says_that_its_name_was_cut():
    here(ABC, upload_name="n" * 10_240)

    record([ABC])

    assert newest("deleted", "upload_name", "cut") == (True, "n" * 1_024, True)


def test_what_agrees_is_not_recorded_and_moves_nothing():
    quarantined, free, known_free = there(by=MODERATOR), there("free"), there("known")
    here(quarantined, known_free)
    here(known_free, quarantined=False)
    before = list(MediaItem.objects.order_by("pk").values())

    done = record([quarantined, free, known_free, Mxc(HERE, "nowhere"), Mxc("far.example", "nowhere")])

    assert (done.head, done.recorded, done.repeated) == (3, 0, 0)
    assert list(MediaItem.objects.order_by("pk").values()) == before


def test_media_gone_after_its_release_stays_released():
    here(ABC)
    here(ABC, quarantined=False)

    assert record([ABC]).recorded == 0
    assert states(ABC) == [State.RELEASED]


def test_local_and_remote_of_one_id_are_two():
    there("same", by=MODERATOR)
    RemoteMedia.objects.create(media_origin="far.example", media_id="same")
    here(Mxc("far.example", "same"))

    assert record([Mxc(HERE, "same"), Mxc("far.example", "same")]).recorded == 2

    assert states(Mxc(HERE, "same"), Mxc("far.example", "same")) == [State.QUARANTINED, State.RELEASED]
    assert_sound()


# --- Old looks ----------------------------------------------------------------------------


@pytest.mark.parametrize("quarantined", [True, False])
def test_a_look_does_not_overrule_what_was_heard_since(quarantined):
    """Whether or not what was heard changed anything."""
    there(by=MODERATOR)
    row = {"feed_generation": 1, "feed_id": 2}

    done = record([ABC], settle=lambda: here(ABC, quarantined=quarantined, **row))

    assert (done.recorded, done.stale) == (0, 1)
    assert states(ABC) == [State.QUARANTINED if quarantined else State.RELEASED]
    assert_sound()


def test_a_release_during_the_look_is_not_undone():
    """Seen quarantined, released a moment later: recorded again it would stay so for good."""
    here(ABC)
    there(by=MODERATOR)
    here(ABC, quarantined=False)

    done = record([ABC], settle=lambda: (here(ABC), here(ABC, quarantined=False)))

    assert (done.recorded, done.stale, states(ABC)) == (0, 1, [State.RELEASED])


def test_nothing_is_settled_when_nothing_differs():
    there()

    record([ABC], settle=lambda: pytest.fail("nothing differs"))


def test_a_homeserver_that_goes_away_leaves_the_ledger_as_it_was():
    there(by=MODERATOR)

    def go_away():
        raise HomeserverAwayError

    with pytest.raises(HomeserverAwayError):
        record([ABC], settle=go_away)

    assert ledger.current().head == 0


# --- The cursor and the rows that made us look --------------------------------------------


def test_the_cursor_moves_although_nothing_differs():
    record([ABC], cursor=FeedCursor(generation=1, before=0, after=7))

    assert ledger.current().feed_position == 7


def test_a_cursor_that_moved_meanwhile_drops_the_look():
    there(by=MODERATOR)

    with pytest.raises(CursorMovedError):
        record([ABC], cursor=FeedCursor(generation=1, before=5, after=7))

    assert Change.objects.count() == 0


@pytest.mark.parametrize(
    ("says", "told"), [(True, (Source.FEED, 1, 9)), (False, (Source.AUDIT, None, None))], ids=["same", "otherwise"]
)
def test_a_row_that_says_what_is_so_is_the_source(says, told):
    there(by=MODERATOR)

    record([ABC], rows={ABC: FeedRow(1, 9, says)})

    assert newest("source", "feed_generation", "feed_id") == told


def test_no_row_tells_of_a_deletion():
    here(ABC)

    record([ABC], rows={ABC: FeedRow(1, 9, False)})

    assert newest("deleted", "source", "feed_id") == (True, Source.AUDIT, None)


# --- Names and rows of strangers ----------------------------------------------------------


LONG = Mxc("far.example", "m" * 10_240)


def test_media_of_a_long_id_is_found_and_found_deleted():
    row = RemoteMedia.objects.create(media_origin=LONG.origin, media_id=LONG.media_id, quarantined_by=MODERATOR)
    assert record([LONG]).recorded == 1
    assert record([LONG]).recorded == 0
    row.delete()
    assert record([LONG]).recorded == 1

    assert states(clean_mxc(LONG)) == [State.DELETED]
    assert MediaItem.objects.get().cut
    assert_sound()


def test_a_name_that_got_lost_on_the_way_is_not_asked_for():
    """Not UTF-8 in SQLite: read as U+FFFD, found under no name, and yet not deleted."""
    lost = Mxc(HERE, "not utf-8: \ufffd")
    here(lost)

    assert record([lost]).recorded == 0
    assert states(clean_mxc(lost)) == [State.QUARANTINED]


@pytest.mark.parametrize("created_ts", [None, 0, -1, -(2**62), 2**62, 253_402_300_800_000])
def test_a_time_that_is_none_is_not_known_or_kept_small(created_ts):
    record([there(by=MODERATOR, created_ts=created_ts)])

    change = Change.objects.get()
    assert change.not_before is None or change.not_before < change.seen_at


def test_what_is_held_as_quarantined_is_asked_by_the_homeservers_names():
    nul, released, never = Mxc("far.example", "nul\x00"), Mxc(HERE, "released"), Mxc(HERE, "never\x00")
    here(LONG, nul, released)
    here(released, quarantined=False)

    assert look.held_as_quarantined([LONG, nul, released, never]) == {LONG, nul}


def test_hostile_rows_do_not_stop_a_look():
    names = ["x" * 10_240, "nul\x00", "\u202egnp.exe", "\U0001f4a9" * 2_000]
    keys = [
        there(name, by=name, media_type=name, upload_name=name, user_id=name, sha256=name, media_length=-1)
        for name in names
    ]

    assert record(keys).recorded == len(names)
    assert record(keys).recorded == 0
    assert_sound()


# --- After a restoration ------------------------------------------------------------------


def restore():
    """The follower noticed that the homeserver came back from a backup."""
    held = ledger.current()
    ledger.append([], cursor=NewGeneration(generation=held.feed_generation, before=held.feed_position))
    return held.feed_generation + 1


def test_a_review_compares_all_that_is_held_as_quarantined():
    kept, released, deleted = there("kept", by=MODERATOR), there("released"), Mxc(HERE, "deleted")
    many = [Mxc("far.example", f"m{number}") for number in range(look.BATCH + 10)]
    here(*many, kept, released, deleted)

    review(generation=restore())

    assert states(kept, released, deleted) == [State.QUARANTINED, State.RELEASED, State.DELETED]
    assert set(states(*many)) == {State.DELETED}
    assert ledger.current().review_due is False
    assert_sound()


def test_a_review_does_not_judge_media_it_cannot_ask_for():
    here(LONG)

    review(generation=restore())

    assert states(clean_mxc(LONG)) == [State.QUARANTINED]


def test_a_review_that_breaks_off_stays_due():
    here(ABC)
    generation = restore()
    # The homeserver's tables are away.
    with connections["homeserver"].cursor() as db:
        db.execute("ALTER TABLE local_media_repository RENAME TO away")

    with pytest.raises(HomeserverAwayError):
        review(generation=generation)

    assert ledger.current().review_due is True


def test_a_review_does_not_settle_a_later_restoration():
    first = restore()
    restore()

    review(generation=first)

    assert ledger.current().review_due is True


def test_a_look_asks_in_bounded_statements():
    keys = [Mxc(HERE, f"m{number}") for number in range(2 * media.KEYS_PER_STATEMENT + 1)]

    with CaptureQueriesContext(connections["homeserver"]) as queries:
        record(keys)

    assert len(queries) == 3


def test_which_media_are_quarantined_is_told_of_both_tables():
    far, free = Mxc("far.example", "abc"), there("free")
    there(by=MODERATOR)
    RemoteMedia.objects.create(media_origin=far.origin, media_id=far.media_id, quarantined_by=MODERATOR)

    assert media.quarantined_of([ABC, free, far, Mxc(HERE, "nowhere")]) == {ABC, far}


@pytest.mark.sqlite
def test_sqlite_looks_names_up_in_an_index():
    keys = [Mxc("far.example", f"m{number}") for number in range(media.KEYS_PER_STATEMENT)]
    asked = {
        "local_media_repository": LocalMedia.objects.quarantined().filter(Named(keys, origin=None)),
        "remote_media_cache": RemoteMedia.objects.quarantined().filter(Named(keys, origin="media_origin")),
        "quarantine_mediaitem": MediaItem.objects.filter(Named(keys)),
    }

    plans = {table: rows.explain() for table, rows in asked.items()}

    assert [table for table, plan in plans.items() if f"SEARCH {table} USING" not in plan] == []


def test_the_feeds_own_rows_make_a_look_stale():
    """`feed.catch_up` as `settle`: what the feed tells is recorded as the feed's."""
    there(by=MODERATOR)
    with connections["homeserver"].cursor() as db:
        db.execute("INSERT INTO quarantined_media_changes VALUES (2, 'master', NULL, 'abc', TRUE)")

    done = record([ABC], settle=lambda: catch_up_fully(Reader()))

    assert (done.recorded, done.stale) == (0, 1)
    assert newest("source", "feed_id", "changed_by") == (Source.FEED, 2, MODERATOR)
