"""The feed, carried into the ledger: what is known of each row, restarts, two readers, restored homeservers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connections

from quarantine import feed, ledger
from quarantine.homeserver.feed import Reader
from quarantine.ledger import CursorMovedError, WrongHomeserverError
from quarantine.models import Cause, Change, Ledger, Source
from tests.quarantine.ledger_checks import assert_sound, catch_up_fully
from tests.quarantine.synapse_tables import ANN, MOD

BOB = "@bob:matrix.example"


def follow(reader=None):
    catch_up_fully(reader or Reader())


def told(*fields):
    """What the ledger tells, oldest first."""
    return list(Change.objects.order_by("stream_id").values_list(*fields))


def states():
    return [(change.media_id, str(change.state)) for change in Change.objects.order_by("stream_id")]


# --- What is known of a row ---------------------------------------------------------------


def test_first_attach_tells_the_history_without_a_time(synapse):
    synapse.quarantine(2, "abc", sha256="a" * 64)
    synapse.quarantine(3, "xyz", origin="remote.example")
    synapse.release(4, "xyz", origin="remote.example")

    follow()

    columns = ("stream_id", "origin", "media_id", "quarantined", "source", "feed_generation", "feed_id", "not_before")
    assert told(*columns) == [
        (1, "matrix.example", "abc", True, Source.FEED, 1, 2, None),
        (2, "remote.example", "xyz", True, Source.FEED, 1, 3, None),
        (3, "remote.example", "xyz", False, Source.FEED, 1, 4, None),
    ]
    assert told("uploader", "media_type", "sha256")[0] == (ANN, "image/png", "a" * 64)


def test_repeats_are_counted_not_told(synapse):
    for feed_id in (2, 3, 4):
        synapse.quarantine(feed_id, "abc")

    follow()

    assert told("feed_id") == [(2,)]
    assert (ledger.current().repeats, ledger.current().feed_position) == (2, 4)


def test_actor_is_told_of_the_newest_row_alone(synapse):
    synapse.quarantine(2, "abc", by=MOD)
    synapse.release(3, "abc")
    synapse.quarantine(4, "abc", by=BOB)
    synapse.quarantine(5, "xyz", by=MOD)
    synapse.release(6, "xyz")

    follow()

    assert told("feed_id", "changed_by") == [(2, ""), (3, ""), (4, BOB), (5, ""), (6, "")]


def test_later_actor_is_never_told_of_an_earlier_row_however_far_behind(synapse):
    synapse.quarantine(2, "abc", by=MOD)
    synapse.add_history(range(3, 1_300))
    synapse.quarantine(1_300, "abc", by=BOB)

    feed.catch_up(Reader(), limit=5)

    assert told("media_id", "changed_by") == [("abc", ""), ("m3", MOD), ("m4", MOD), ("m5", MOD), ("m6", MOD)]


def test_actors_of_a_long_history_are_told(synapse):
    synapse.quarantine(2, "abc", by=MOD)
    synapse.release(3, "abc")
    synapse.add_history(range(4, 1_300))
    synapse.quarantine(1_300, "abc", by=BOB)

    follow()

    by_media = dict(told("media_id", "changed_by"))
    assert len(by_media) == 1_297
    assert by_media.pop("abc") == BOB
    assert set(by_media.values()) == {MOD}


def test_quarantine_by_system_was_caused_by_the_hash(synapse):
    synapse.quarantine(2, "abc", by="system")
    synapse.quarantine(3, "xyz", by=MOD)

    follow()

    assert told("changed_by", "cause") == [("system", Cause.HASH), (MOD, Cause.UNKNOWN)]


def test_deleted_media_is_told_as_deleted_though_the_feed_is_silent(synapse):
    synapse.quarantine(2, "abc")
    synapse.quarantine(3, "xyz")
    synapse.delete("abc")

    follow()

    assert states() == [("abc", "quarantined"), ("xyz", "quarantined"), ("abc", "deleted")]
    assert_sound()


def test_deleted_media_keeps_what_was_known_of_it(synapse):
    synapse.quarantine(2, "abc", sha256="a" * 64)
    follow()
    synapse.quarantine(3, "abc")
    synapse.delete("abc")

    follow()

    assert states() == [("abc", "quarantined"), ("abc", "deleted")]
    assert told("uploader", "media_type", "sha256")[1] == (ANN, "image/png", "a" * 64)


@pytest.mark.parametrize("limit", [1, 500])
def test_media_released_before_it_was_deleted_is_told_as_released(synapse, limit):
    synapse.quarantine(2, "abc")
    synapse.release(3, "abc")
    synapse.delete("abc")

    reader = Reader()
    while feed.catch_up(reader, limit=limit).more:
        pass

    assert states() == [("abc", "quarantined"), ("abc", "released")]


@pytest.mark.sqlite
def test_name_that_is_not_utf8_stops_nothing(synapse):
    synapse.execute("INSERT INTO quarantined_media_changes VALUES (2, 'master', NULL, CAST(x'FF41' AS TEXT), 1)")
    synapse.quarantine(3, "abc")

    follow()

    assert [media_id for media_id, _ in states()][1:] == ["abc"]
    assert ledger.current().feed_position == 3


def test_wrong_name_for_the_homeserver_is_refused(synapse, settings):
    synapse.set_media("abc", user=ANN)
    feed.check_homeserver_name()
    settings.HOMESERVER_NAME = "other.example"

    with pytest.raises(WrongHomeserverError, match=r"users are of matrix\.example"):
        feed.check_homeserver_name()


# --- When it happened ---------------------------------------------------------------------


def test_row_seen_live_happened_after_the_last_look(synapse):
    follow()
    looked_at = ledger.current().feed_read_at
    synapse.quarantine(2, "abc")

    follow()

    [(not_before, seen_at)] = told("not_before", "seen_at")
    assert not_before == looked_at
    assert timedelta() <= seen_at - not_before < timedelta(minutes=1)
    assert ledger.current().feed_read_at > looked_at


def test_look_that_ends_half_way_is_no_complete_look(synapse):
    reader = Reader()
    feed.catch_up(reader)
    looked_at = ledger.current().feed_read_at
    synapse.add_history(range(2, 7))

    caught = [feed.catch_up(reader, limit=2) for _ in range(3)]

    assert [step.more for step in caught] == [True, True, False]
    assert told("feed_id", "not_before") == [(feed_id, looked_at) for feed_id in range(2, 7)]


def test_restart_resumes_where_the_last_look_ended(synapse):
    synapse.quarantine(2, "abc")
    follow()
    looked_at = ledger.current().feed_read_at
    synapse.release(3, "abc")

    follow(Reader())
    follow(Reader())

    assert told("feed_id", "not_before") == [(2, None), (3, looked_at)]
    assert ledger.current().repeats == 0


# --- Two at once --------------------------------------------------------------------------


def test_two_readers_at_once_tell_nothing_twice(synapse):
    synapse.add_history(range(2, 302))
    start = Barrier(2)

    def read():
        reader, moved = Reader(), 0
        start.wait()
        try:
            while ledger.current().feed_position < 301:
                try:
                    feed.catch_up(reader, limit=7)
                except CursorMovedError:
                    moved += 1
            return moved
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        moved = sum(future.result() for future in [pool.submit(read), pool.submit(read)])

    assert told("feed_id") == [(feed_id,) for feed_id in range(2, 302)]
    assert moved > 0, "they never met"
    assert_sound()


# --- A homeserver restored from a backup --------------------------------------------------


@pytest.fixture
def restored(synapse):
    """A homeserver the ledger knows to row 6, put back to row 3: abc quarantined, xyz not yet, old released later."""
    synapse.quarantine(2, "old")
    synapse.quarantine(3, "abc")
    synapse.release(4, "old")
    synapse.quarantine(5, "xyz")
    synapse.release(6, "abc")
    follow()
    synapse.remove_rows(above=3)
    synapse.set_media("old", by=MOD)
    synapse.set_media("abc", by=MOD)
    synapse.delete("xyz")
    return synapse


RESTORED = [("old", "quarantined"), ("abc", "quarantined"), ("old", "released"), ("xyz", "quarantined")]
RESTORED += [("abc", "released"), ("abc", "quarantined"), ("old", "quarantined"), ("xyz", "deleted")]


def test_restored_homeserver_is_compared_not_replayed(restored):
    follow()

    held = ledger.current()
    assert states() == RESTORED
    assert told("source")[5:] == [(Source.AUDIT,)] * 3
    assert (held.feed_generation, held.feed_position, held.review_due) == (2, 3, False)
    assert_sound()


def test_after_a_restoration_the_feed_is_followed_again(restored):
    follow()
    restored.release(4, "abc")

    follow()

    assert states() == [*RESTORED, ("abc", "released")]
    assert told("feed_generation", "feed_id")[-1] == (2, 4)


def test_restored_homeserver_that_ran_on_past_our_cursor_is_noticed(restored):
    for feed_id in (4, 5, 6):
        restored.quarantine(feed_id, f"new{feed_id}")

    follow()

    assert ledger.current().feed_generation == 2
    assert states()[:5] == RESTORED[:5]
    expected = {*RESTORED[5:], ("new4", "quarantined"), ("new5", "quarantined"), ("new6", "quarantined")}
    assert sorted(states()[5:]) == sorted(expected)
    assert_sound()


def test_emptied_feed_begins_a_generation(restored):
    restored.remove_rows(above=0)

    follow()
    restored.release(2, "abc")
    follow()

    # What Synapse holds as quarantined and has no row for is for the audit to find.
    assert states() == [*RESTORED[:5], ("xyz", "deleted")]
    assert (ledger.current().feed_generation, ledger.current().feed_position) == (2, 2)


@pytest.mark.parametrize("above", [3, 0])
def test_review_cut_short_stays_due(restored, above):
    table = "local_media_repository"
    restored.remove_rows(above=above)
    restored.execute(f"ALTER TABLE {table} RENAME TO away")

    with pytest.raises(feed.media.HomeserverAwayError):
        follow()
    half_way = ledger.current()
    restored.execute(f"ALTER TABLE away RENAME TO {table}")
    follow()

    assert (half_way.feed_generation, half_way.review_due) == (2, True)
    assert states()[-1] == ("xyz", "deleted")
    assert not Ledger.objects.get().review_due


def test_ordinary_gaps_and_repeats_are_no_restoration(synapse):
    synapse.quarantine(2, "abc")
    synapse.quarantine(3, "abc")
    follow()
    synapse.quarantine(4, "abc")

    follow()
    follow()

    assert ledger.current().feed_generation == 1
