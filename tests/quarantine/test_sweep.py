"""The sweep: what the homeserver quarantines by hash and tells nobody."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarantine import ledger
from quarantine.entries import Entry
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.models import LocalMedia, RemoteMedia
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Cause, Change, MediaItem, Source, State
from quarantine.mxc import Mxc
from quarantine.sweep import COPIES, Sweep, known_hashes
from tests.quarantine.ledger_checks import assert_sound, catch_up_fully, undone

pytestmark = pytest.mark.django_db

MALLORY = "@mallory:matrix.example"
UPLOADED = datetime(2026, 11, 22, 14, 31, 55, 120_000, tzinfo=UTC)


@pytest.fixture
def homeserver(db):
    ledger.bind()
    return SampleHomeserver("@moderator:matrix.example")


def digest(number):
    return sha256(str(number).encode()).hexdigest()


def a_file(number=1):
    return File(sha256=digest(number), media_type="image/jpeg", media_length=5, upload_name="spam.jpg")


def cached_quarantined(origin, media_id, number=1):
    return RemoteMedia.objects.create(
        media_origin=origin,
        media_id=media_id,
        sha256=digest(number),
        quarantined_by="system",
        created_ts=int(UPLOADED.timestamp() * 1000),
    )


def known_quarantined(homeserver, number=1):
    """A file that the homeserver and the ledger hold as quarantined."""
    mxc = homeserver.upload(a_file(number), uploader=MALLORY)
    homeserver.quarantine(mxc)
    follow()
    return mxc


def follow():
    catch_up_fully(Reader())


def hold(*numbers):
    """Media of these hashes, quarantined in the ledger alone, oldest first."""
    ledger.append(
        [
            Entry(mxc=Mxc("far.example", f"held-{number}"), quarantined=True, source=Source.FEED, sha256=digest(number))
            for number in numbers
        ]
    )


def let_go(number):
    mxc = Mxc("far.example", f"held-{number}")
    ledger.append([Entry(mxc=mxc, quarantined=False, source=Source.FEED, sha256=digest(number))])


def rows_after(position, *fields):
    return list(Change.objects.newer_than(position).values_list(*fields))


# --- What it finds ------------------------------------------------------------------------


def test_uploads_of_a_known_hash_are_found_in_both_tables(homeserver):
    known_quarantined(homeserver)
    again = homeserver.upload(a_file(), uploader=MALLORY)
    cached_quarantined("evil.example", "copy")

    swept = Sweep().tick(follow)

    assert swept.recorded == 2
    found = ("source", "cause", "changed_by", "sha256", "feed_id", "quarantined")
    assert set(rows_after(1, "origin", "media_id", *found)) == {
        ("matrix.example", again.media_id, Source.AUDIT, Cause.HASH, "system", digest(1), None, True),
        ("evil.example", "copy", Source.AUDIT, Cause.HASH, "system", digest(1), None, True),
    }
    assert_sound()


def test_it_happened_after_the_upload(homeserver):
    known_quarantined(homeserver)
    cached_quarantined("evil.example", "copy")

    Sweep().tick(follow)

    assert rows_after(1, "not_before") == [(UPLOADED,)]


def test_a_second_tick_finds_nothing_new(homeserver):
    known_quarantined(homeserver)
    homeserver.upload(a_file(), uploader=MALLORY)
    sweep = Sweep()
    sweep.tick(follow)
    head = ledger.current().head

    again = sweep.tick(follow)

    assert (again.recorded, again.repeated, again.head) == (0, 0, head)


def test_the_hash_of_deleted_media_stays_known(homeserver):
    first, second = known_quarantined(homeserver), homeserver.upload(a_file(), uploader=MALLORY)
    homeserver.delete(first)
    ledger.append([Entry(mxc=first, quarantined=False, deleted=True, source=Source.AUDIT)])

    assert Sweep().tick(follow).recorded == 1

    assert rows_after(2, "media_id", "quarantined") == [(second.media_id, True)]


def test_what_is_not_quarantined_is_left_alone(homeserver):
    """Protected media has the hash and is not quarantined; a released hash is asked for no more."""
    spared = homeserver.upload(a_file(), uploader=MALLORY)
    homeserver.protect(spared)
    known_quarantined(homeserver)
    released = known_quarantined(homeserver, 2)
    homeserver.release(released)
    follow()
    cached_quarantined("evil.example", "unheard", 2)

    assert Sweep().tick(follow).recorded == 0


def test_media_of_names_no_database_stores_is_found_once(homeserver):
    known_quarantined(homeserver)
    for media_id in ("nul\x00", "long" * 2_000, "\x00" * 300):
        cached_quarantined("evil.example", media_id)
    sweep = Sweep()

    assert sweep.tick(follow).recorded == 3
    with CaptureQueriesContext(connections["homeserver"]) as queries:
        assert sweep.tick(follow).recorded == 0

    assert len(queries) == 2, "what is held already is not read again"
    assert_sound()


def test_many_at_once_are_recorded_in_batches(homeserver):
    """The ledger's lock is held for one batch at a time."""
    known_quarantined(homeserver)
    columns = {"sha256": digest(1), "quarantined_by": "system"}
    LocalMedia.objects.bulk_create([LocalMedia(media_id=f"wave-{number}", **columns) for number in range(1_100)])
    with CaptureQueriesContext(connections["default"]) as queries:
        swept = Sweep().tick(follow)

    assert (swept.recorded, swept.head) == (1_100, 1_101)
    heads = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "quarantine_ledger"')]
    assert len([sql for sql in heads if '"head"' in sql]) == 3
    assert_sound()


# --- The feed's own is the feed's ---------------------------------------------------------


def test_what_the_feed_tells_is_left_to_the_feed(homeserver):
    known_quarantined(homeserver)
    homeserver.upload(a_file(), uploader=MALLORY)
    copy = Mxc("evil.example", "copy")
    homeserver.cache_remote(a_file(), mxc=copy)
    homeserver.quarantine(copy)  # all three, with a row for each

    swept = Sweep().tick(follow)

    assert (swept.recorded, swept.stale) == (0, 2)
    assert rows_after(1, "source", "changed_by") == [(Source.FEED, homeserver.user_id)] * 2


def test_the_feed_is_followed_only_when_something_was_found(homeserver):
    known_quarantined(homeserver)

    def follow_in_vain():
        pytest.fail("nothing was found")

    assert Sweep().tick(follow_in_vain).recorded == 0


def test_what_is_released_meanwhile_is_not_recorded(homeserver):
    known = known_quarantined(homeserver)
    homeserver.upload(a_file(), uploader=MALLORY)

    def release_and_follow():
        homeserver.release(known)
        follow()

    swept = Sweep().tick(release_and_follow)

    assert (swept.recorded, swept.stale) == (0, 1)
    assert not MediaItem.objects.filter(state=State.QUARANTINED).exists()


# --- Whose turn it is ---------------------------------------------------------------------


def test_the_newest_come_first_and_the_others_in_turn(homeserver):
    hold(*range(10))
    sweep = Sweep(newest=2, turn=3)

    ticks = [sweep.next_hashes() for _ in range(4)]

    numbers = [[9, 8, 7, 6, 5], [9, 8, 4, 3, 2], [9, 8, 1, 0], [9, 8, 7, 6, 5]]
    assert ticks == [[digest(number) for number in tick] for tick in numbers]


def test_few_hashes_are_all_asked_for_each_time(homeserver):
    hold(1, 2)
    sweep = Sweep(newest=2, turn=3)

    assert [sweep.next_hashes() for _ in range(3)] == [[digest(2), digest(1)]] * 3


def test_a_hash_is_asked_for_once_a_tick(homeserver):
    hold(1)
    ledger.append([Entry(mxc=Mxc("a.example", "b"), quarantined=True, source=Source.FEED, sha256=digest(1))])

    assert Sweep().next_hashes() == [digest(1)]


def test_a_wave_of_copies_does_not_keep_other_hashes_waiting(homeserver):
    hold("first", "second")
    copies = [Mxc("a.example", f"copy-{number}") for number in range(2 * COPIES)]
    ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED, sha256=digest(1)) for mxc in copies])

    assert Sweep(newest=3, turn=1).next_hashes() == [digest(1), digest("second"), digest("first")]


def test_a_wave_longer_than_is_read_at_once_is_passed_in_turn(homeserver):
    hold("first")
    copies = [Mxc("a.example", f"copy-{number}") for number in range(4 * COPIES)]
    ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED, sha256=digest(1)) for mxc in copies])
    sweep = Sweep(newest=1, turn=1)

    ticks = [sweep.next_hashes() for _ in range(4)]

    assert [digest("first") in tick for tick in ticks].count(True) == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(st.integers(0, 9) | st.just("hold"), max_size=10, unique_by=str),
    newest=st.integers(1, 4),
    turn=st.integers(1, 4),
)
def test_whatever_comes_and_goes_all_have_their_turn(homeserver, events, newest, turn):
    """Between the ticks hashes come and go; those that stay are asked for within two rounds."""
    with undone():
        hold(*[f"{fate}-{number}" for number in range(10) for fate in ("stays", "goes")])
        sweep, asked = Sweep(newest=newest, turn=turn), set()

        for event in events:
            if event == "hold":
                hold("new")
            else:
                let_go(f"goes-{event}")
            assert len(sweep.next_hashes()) <= newest + turn
        for _ in range(2 * 21 // turn + 2):
            tick = sweep.next_hashes()
            assert len(tick) <= newest + turn
            asked.update(tick)

    assert {digest(f"stays-{number}") for number in range(10)} <= asked


def test_a_tick_reads_no_more_than_its_share(homeserver):
    hold(*range(30))
    sweep = Sweep(newest=4, turn=6)

    with CaptureQueriesContext(connections["homeserver"]) as queries:
        sweep.tick(follow)

    asked = {number for number in range(30) if any(digest(number) in query["sql"] for query in queries)}
    assert asked == set(range(20, 30))
    assert len(queries) == 2, "one statement for each table"


def test_times_do_not_matter_to_the_turn(homeserver):
    """Positions decide: `seen_at` of history may be equal for many."""
    moment = datetime.now(UTC) - timedelta(days=1)
    ledger.append(
        [
            Entry(
                mxc=Mxc("a.example", str(number)),
                quarantined=True,
                source=Source.FEED,
                sha256=digest(number),
                seen_at=moment,
            )
            for number in range(5)
        ]
    )

    assert known_hashes(below=4, limit=2).reached == 2
