"""The gate on both databases: what it refuses, keeps, and never does by halves."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from quarantine import ledger
from quarantine.feed import FeedCursor, NewGeneration
from quarantine.fold import LedgerError
from quarantine.ledger import CursorMovedError, WrongHomeserverError
from quarantine.models import Action, Cause, Change, Intent, Ledger, MediaItem, OpenHole, Source, Staff, Verb
from quarantine.mxc import Mxc
from tests import databases
from tests.quarantine.ledger_checks import an_entry, assert_sound, rows

pytestmark = pytest.mark.django_db

HASH = "a" * 64
TOKEN_USER = "@dashboard:matrix.example"
BIDI = "\u202egnp.exe"


@pytest.fixture
def bound(db):
    return ledger.bind()


@dataclass(frozen=True)
class Refusing:
    """A cursor that writes before it refuses."""

    def move(self, held, done):
        OpenHole.objects.create(generation=1, feed_id=3, passed_at=datetime.now(UTC))
        held.feed_position = 9
        raise CursorMovedError


def a_row(feed_id, media_id="abc", quarantined=True, **facts):
    return an_entry(media_id, quarantined, feed_generation=1, feed_id=feed_id, **facts)


def a_cursor(before, after, **moves):
    return FeedCursor(generation=1, before=before, after=after, **moves)


def everything():
    """All rows of the ledger, to compare before and after."""
    return [list(model.objects.order_by("pk").values()) for model in (Ledger, Change, MediaItem, OpenHole)]


# --- Bound to one homeserver --------------------------------------------------------------


def test_binding_twice_is_binding_once(bound):
    assert ledger.bind() == ledger.current() == bound
    assert Ledger.objects.count() == 1


def test_nothing_goes_into_a_ledger_of_nobody(db):
    with pytest.raises(LedgerError, match=r"manage\.py prepare"):
        ledger.append([an_entry()])


@pytest.mark.parametrize(("name", "value"), [("HOMESERVER_NAME", "other.example"), ("HOMESERVER_KIND", "synapse")])
def test_another_homeserver_is_refused_everywhere(bound, settings, name, value):
    before = everything()
    setattr(settings, name, value)

    for enter in (ledger.bind, ledger.current, lambda: ledger.append([an_entry()])):
        with pytest.raises(WrongHomeserverError, match=r"records matrix\.example \(sample\)"):
            enter()
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_many_may_bind_a_new_ledger_at_once():
    together = Barrier(6)

    def bind(_):
        try:
            together.wait()
            return ledger.bind().pk
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(bind, range(6))) == [1] * 6
    assert Ledger.objects.count() == 1


# --- What append answers ------------------------------------------------------------------


def test_every_entry_is_accounted_for(bound):
    ledger.append([a_row(2), a_row(3, "other")])

    done = ledger.append(
        [
            a_row(2),
            a_row(4),
            an_entry("other", quarantined=False, source=Source.AUDIT, expected=0),
            an_entry("never heard of", quarantined=False),
            an_entry("new", origin="evil.example"),
        ]
    )

    assert (done.head, done.recorded, done.repeated, done.stale, done.duplicate) == (3, 1, 2, 1, 1)
    assert rows("stream_id", "origin", "media_id", "feed_id") == [
        (1, "matrix.example", "abc", 2),
        (2, "matrix.example", "other", 3),
        (3, "evil.example", "new", None),
    ]
    assert ledger.current().repeats == 2
    assert_sound()


def test_nothing_to_record_leaves_the_head(bound):
    done = ledger.append([])

    assert (done.head, done.recorded) == (0, 0)
    assert_sound()


def test_all_of_an_entry_is_kept(bound):
    moment = datetime(2026, 11, 22, 14, 32, 41, 120_000, tzinfo=UTC)
    facts = {"media_type": "image/png", "media_length": 48179, "upload_name": "ü.png", "uploader": "@m:spam.example"}

    ledger.append(
        [a_row(2, seen_at=moment, not_before=moment, changed_by="system", cause=Cause.HASH, sha256=HASH, **facts)]
    )

    change = Change.objects.get()
    assert {name: getattr(change, name) for name in facts} == facts
    assert (change.seen_at, change.not_before, change.changed_by) == (moment, moment, "system")
    assert (change.source, change.cause, change.sha256, change.media_class) == (Source.FEED, Cause.HASH, HASH, "image")
    assert (change.feed_generation, change.feed_id, change.local, change.cut) == (1, 2, True, False)


def test_many_entries_of_many_media_at_once(bound):
    """More than one statement takes."""
    staff = Staff.objects.create(username="tom", password="!")
    action = Action.objects.create(verb=Verb.RELEASE, target="list", staff=staff, created_at=datetime.now(UTC))
    Intent.objects.create(
        action=action, origin="matrix.example", media_id="m1", feed_generation=1, feed_head=0, matrix_user=TOKEN_USER
    )

    done = ledger.append([a_row(number, f"m{number}", sha256=f"{number:064x}") for number in range(1, 1_201)])

    assert (done.recorded, done.head) == (1_200, 1_200)
    assert ledger.append([a_row(number, f"m{number}") for number in range(1, 1_201)]).duplicate == 1_200


def test_deleted_and_quarantined_at_once_is_refused_whole(bound):
    ledger.append([an_entry()])
    before = everything()

    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.append([an_entry("fine"), an_entry(quarantined=True, deleted=True)])

    assert everything() == before


# --- The clock ----------------------------------------------------------------------------


def test_time_stands_still_while_the_clock_is_behind(bound):
    """Somebody set the clock back a year after the last row."""
    future = datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)
    ledger.append([an_entry(seen_at=future)])

    ledger.append([an_entry(quarantined=False)])
    ledger.append([an_entry()])

    assert rows("seen_at") == [(future,)] * 3
    assert_sound()


def test_time_is_the_ledgers_own_to_the_millisecond(bound):
    before = ledger.clock()
    ledger.append([an_entry(), an_entry("other")])
    after = ledger.clock()

    [(first,), (second,)] = rows("seen_at")
    assert before <= first == second <= after
    assert first.microsecond % 1000 == 0


def test_a_time_finds_its_position(bound):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.append([an_entry(f"m{day}", seen_at=start + timedelta(days=day)) for day in (0, 1, 1)])

    position = Change.objects.first_position_at

    assert position(start) == 1
    assert position(start + timedelta(milliseconds=1)) == 2
    assert position(start + timedelta(days=2)) is None


def test_only_the_samples_history_says_when(db, settings):
    settings.HOMESERVER_KIND = "synapse"
    ledger.bind()

    with pytest.raises(LedgerError, match="Only the sample"), transaction.atomic():
        ledger.append([an_entry(), an_entry("other", seen_at=datetime(2020, 1, 1, tzinfo=UTC))])

    assert Change.objects.count() == 0


# --- The cursor ---------------------------------------------------------------------------


def test_the_cursor_moves_with_its_rows(bound):
    ledger.append([a_row(2), a_row(5, "other")], cursor=a_cursor(0, 5, holes=(3, 4)))

    assert ledger.current().feed_position == 5
    assert sorted(OpenHole.objects.values_list("feed_id", flat=True)) == [3, 4]


def test_a_cursor_that_moved_meanwhile_changes_nothing(bound):
    ledger.append([a_row(2)], cursor=a_cursor(0, 2))
    before = everything()

    for stale in (a_cursor(0, 2), a_cursor(1, 3, holes=(2,)), FeedCursor(generation=2, before=2, after=3)):
        with pytest.raises(CursorMovedError):
            ledger.append([a_row(3, "other")], cursor=stale)
    assert everything() == before


def test_a_cursor_that_raises_takes_back_what_it_wrote(bound):
    before = everything()

    with pytest.raises(CursorMovedError):
        ledger.append([a_row(2)], cursor=Refusing())

    assert everything() == before


def test_a_failure_after_the_cursor_moved_takes_it_back(bound):
    ledger.append([an_entry("other")])
    before = everything()
    impossible = a_row(4, "other", deleted=True)

    with pytest.raises(IntegrityError), transaction.atomic():
        ledger.append([a_row(2), impossible], cursor=a_cursor(0, 4, holes=(3,)))

    assert everything() == before


def test_a_new_generation_begins_at_nothing_and_is_due_for_review(bound):
    ledger.append([a_row(2)], cursor=a_cursor(0, 2))

    ledger.append([], cursor=NewGeneration(generation=1, before=2))

    held = ledger.current()
    assert (held.feed_generation, held.feed_position, held.review_due, held.head) == (2, 0, True, 1)
    again = FeedCursor(generation=2, before=0, after=2)
    assert ledger.append([an_entry("other", feed_generation=2, feed_id=2)], cursor=again).recorded == 1


def test_a_row_of_the_feed_can_be_stored_only_once(bound):
    ledger.append([a_row(2)])
    again = Change.objects.get()
    again.stream_id = 2

    with pytest.raises(IntegrityError), transaction.atomic():
        again.save(force_insert=True)


def test_media_is_found_by_any_name(bound):
    names = ['a"b', "c\\d", '\\"', "{e,f}", "NULL", "", " g ", "h'i", "%s", "j\nk", "\u202e\U0001f4a9"]
    keys = [Mxc(name, other) for name, other in pairwise([*names, "last"])]
    ledger.append([an_entry(key.media_id, origin=key.origin) for key in keys])

    assert ledger.fetch_items([*keys, Mxc("a", "b"), Mxc("e", "f")]).keys() == set(keys)


# --- Versions -----------------------------------------------------------------------------


def test_versions_tell_whether_media_was_heard_of(bound):
    ledger.append([a_row(2), a_row(3), a_row(4, "unknown", quarantined=False), an_entry()])

    keys = [Mxc("matrix.example", media_id) for media_id in ("abc", "unknown", "never")]
    assert [(mxc.media_id, item.version) for mxc, item in sorted(ledger.fetch_items(keys).items())] == [
        ("abc", 2),
        ("unknown", 1),
    ]


def test_a_release_of_unknown_media_is_dropped_but_not_unheard(bound):
    assert not ledger.fetch_items([Mxc("matrix.example", "abc")])

    ledger.append([a_row(2, quarantined=False)])
    done = ledger.append([an_entry(source=Source.AUDIT, expected=0)])

    assert (done.recorded, done.stale, Change.objects.count()) == (0, 1, 0)
    assert_sound()


# --- Whose doing --------------------------------------------------------------------------


@pytest.fixture
def intent(bound):
    """Tom asked to quarantine abc; the homeserver's newest row was 10 then."""
    staff = Staff.objects.create(username="tom", password="!")
    action = Action.objects.create(
        verb=Verb.QUARANTINE, target="abc", cause=Cause.ITEM, reason="spam", staff=staff, created_at=datetime.now(UTC)
    )
    return Intent.objects.create(
        action=action,
        origin="matrix.example",
        media_id="abc",
        sha256=HASH,
        feed_generation=1,
        feed_head=10,
        matrix_user=TOKEN_USER,
    )


def test_an_actions_rows_are_recorded_as_the_actions(intent):
    ours = {"changed_by": TOKEN_USER, "quarantined_by": TOKEN_USER, "sha256": HASH}

    ledger.append([a_row(11, **ours), a_row(12, "copy", origin="evil.example", **ours), a_row(13, "other")])

    named = rows("media_id", "source", "cause", "changed_by", "action__staff__username", "action__reason")
    assert named == [
        ("abc", Source.ACTION, Cause.ITEM, "tom", "tom", "spam"),
        ("copy", Source.ACTION, Cause.ITEM, "tom", "tom", "spam"),
        ("other", Source.FEED, Cause.UNKNOWN, "", None, None),
    ]


def test_an_intent_explains_rows_up_to_the_end_of_its_call_alone(intent):
    Intent.objects.update(feed_until=11)
    ours = {"changed_by": TOKEN_USER, "quarantined_by": TOKEN_USER, "sha256": HASH}

    ledger.append([a_row(11, **ours), a_row(12, "copy", **ours)])

    assert rows("source", "changed_by", "action") == [
        (Source.ACTION, "tom", intent.action_id),
        (Source.FEED, TOKEN_USER, None),
    ]


def test_an_intent_not_called_yet_explains_nothing(intent):
    Intent.objects.update(feed_head=None, feed_generation=None)

    ledger.append([a_row(11, changed_by=TOKEN_USER, quarantined_by=TOKEN_USER)])

    assert rows("source") == [(Source.FEED,)]


def test_the_first_of_two_intents_is_the_one(intent):
    second = Staff.objects.create(username="ann", password="!")
    action = Action.objects.create(
        verb=Verb.QUARANTINE, target="abc", reason="also", staff=second, created_at=datetime.now(UTC)
    )
    Intent.objects.create(
        action=action, origin="matrix.example", media_id="abc", feed_generation=1, feed_head=10, matrix_user=TOKEN_USER
    )

    ledger.append([a_row(11, quarantined_by=TOKEN_USER)])

    assert rows("changed_by") == [("tom",)]


# --- Waking readers -----------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_listeners_wake_after_the_commit_and_not_before():
    ledger.bind()
    url = databases.CURRENT["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as listener, psycopg.connect(url, autocommit=True) as other:
        listener.execute(f"LISTEN {ledger.CHANNEL}")

        with transaction.atomic():
            ledger.append([an_entry(), an_entry("other")])
            other.execute(f"NOTIFY {ledger.CHANNEL}, 'before the commit'")
        ledger.append([an_entry()])  # a repeat: the head stays where it is
        other.execute(f"NOTIFY {ledger.CHANNEL}, 'after'")
        heard = [wake.payload for wake in listener.notifies(timeout=20, stop_after=3)]

    assert heard == ["before the commit", "2", "after"]
