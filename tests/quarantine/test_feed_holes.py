"""Ids are taken in transactions that commit later: with real sessions on PostgreSQL, nothing is lost or awaited for ever."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from django.db import connections

from quarantine import feed, ledger
from quarantine.homeserver.feed import Reader
from quarantine.models import Change, OpenHole, Source
from tests.quarantine.ledger_checks import assert_sound
from tests.quarantine.synapse_tables import MOD, Session, connect

PATIENT = 3600.0  # longer than any test
DEADLINE = 30.0  # seconds


@pytest.fixture
def tables(synapse_on_postgresql, engine):
    """Synapse's tables, with a position that vouches for nothing; beside one of the engines, without the grant to read it."""
    synapse_on_postgresql.set_position(1)
    if engine == "sqlite":
        grantee = connections["homeserver"].settings_dict["USER"]
        synapse_on_postgresql.execute(f"REVOKE SELECT ON stream_positions FROM {grantee}")
    return synapse_on_postgresql


@pytest.fixture
def reader():
    return Reader(patience=PATIENT)


def follow(reader):
    """Steps until nothing more may be taken in; the last step tells whether rows wait."""
    while (caught := feed.catch_up(reader)).more:
        pass
    return caught


def follow_until_free(reader):
    deadline = time.monotonic() + DEADLINE
    while (caught := follow(reader)).held_back:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return caught


def told():
    return list(Change.objects.order_by("stream_id").values_list("feed_id", flat=True))


def open_holes():
    return list(OpenHole.objects.order_by("feed_id").values_list("feed_id", flat=True))


def writing(tables):
    """A session in a transaction that has written something."""
    session = tables.session().begin()
    session.take_xid()
    return session


def hold_back(tables, feed_id, media_id):
    """A session that has quarantined media and not committed yet."""
    session = tables.session().begin()
    session.set_media(media_id, by=MOD)
    session.add_row(feed_id, media_id)
    return session


# --- A lower id commits later -------------------------------------------------------------


def test_lower_id_that_commits_later_is_not_lost(tables, reader):
    tables.quarantine(2, "m2")
    slow = hold_back(tables, 3, "m3")
    tables.quarantine(4, "m4")

    caught = [follow(reader) for _ in range(3)]
    before = told()
    slow.commit()
    after = follow(reader)

    assert [step.held_back for step in caught] == [True, True, True]
    assert before == [2]
    assert not after.held_back
    assert told() == [2, 3, 4]
    assert open_holes() == []


def test_rows_behind_a_hole_happened_after_the_look_before_it(tables, reader):
    follow(reader)
    looked_at = ledger.current().feed_read_at
    slow = hold_back(tables, 2, "m2")
    tables.quarantine(3, "m3")
    for _ in range(3):
        follow(reader)
    slow.commit()

    follow(reader)

    assert list(Change.objects.values_list("not_before", flat=True)) == [looked_at] * 2


def test_hole_at_the_very_start_holds_back_too(tables, reader):
    slow = hold_back(tables, 2, "m2")
    tables.quarantine(3, "m3")

    assert follow(reader).held_back
    slow.commit()
    follow(reader)
    assert told() == [2, 3]


def test_id_one_is_never_handed_out(tables, reader):
    writing(tables)
    tables.quarantine(2, "m2")

    assert not follow(reader).held_back
    assert told() == [2]


# --- A hole that stays --------------------------------------------------------------------


def test_rolled_back_hole_is_passed_once_its_writer_has_ended(tables, reader):
    slow = hold_back(tables, 2, "m2")
    tables.quarantine(3, "m3")
    assert follow(reader).held_back
    assert follow(reader).held_back
    writing(tables)  # a later one is no reason to wait
    slow.rollback()

    assert not follow(reader).held_back
    assert told() == [3]
    assert open_holes() == [2]


def test_hole_is_passed_after_the_patience_whoever_writes(tables):
    writing(tables)
    tables.quarantine(3, "m3")
    reader = Reader(patience=0.3)
    started = time.monotonic()

    follow_until_free(reader)

    assert time.monotonic() - started >= 0.3
    assert told() == [3]
    assert open_holes() == [2]


def test_each_hole_waits_for_its_own_writers(tables, reader):
    first = writing(tables)
    tables.quarantine(3, "m3")
    assert follow(reader).held_back
    tables.quarantine(5, "m5")
    assert follow(reader).held_back
    writing(tables)
    first.commit()

    assert not follow(reader).held_back
    assert told() == [3, 5]


def test_hole_seen_after_a_writer_began_waits_for_it(tables, reader):
    first = writing(tables)
    tables.quarantine(3, "m3")
    follow(reader)
    slow = hold_back(tables, 4, "m4")
    tables.quarantine(5, "m5")
    follow(reader)
    first.commit()

    assert follow(reader).held_back
    assert told() == [3]
    slow.commit()
    follow(reader)
    assert told() == [3, 4, 5]


def test_wide_gap_is_passed_and_its_newest_ids_remembered(tables, reader):
    tables.quarantine(2, "m2")
    tables.quarantine(2_000_000_000, "far")
    follow(reader)

    assert not follow(reader).held_back
    assert told() == [2, 2_000_000_000]
    assert open_holes() == list(range(1_999_999_500, 2_000_000_000))


def test_history_full_of_holes_needs_one_wait(tables):
    tables.add_history(range(3, 3_003, 2))
    writing(tables)
    reader = Reader(patience=0.3)
    assert feed.catch_up(reader).held_back
    deadline = time.monotonic() + DEADLINE
    while (caught := feed.catch_up(reader)).held_back and not caught.more:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    waits = 0
    while caught.more:
        caught = feed.catch_up(reader)
        waits += caught.held_back

    assert waits == 0
    assert told() == list(range(3, 3_003, 2))
    assert open_holes() == list(range(2_002, 3_002, 2))


# --- A row that comes late ----------------------------------------------------------------


@pytest.fixture
def passed(tables, reader):
    """A session that took id 2 before it had written anything; the hole was passed, m3 is in."""
    late = tables.session().begin()
    late.execute("SELECT 1")
    tables.quarantine(3, "m3")
    follow(reader)
    assert not follow(reader).held_back
    assert (told(), open_holes()) == ([3], [2])
    return late


def test_late_row_is_recorded_when_the_homeserver_differs(passed, reader):
    passed.set_media("late", by=MOD)
    passed.add_row(2, "late")
    passed.commit()

    caught = follow(reader)

    assert (caught.late, caught.recorded, caught.head) == (1, 1, 2)
    columns = ("media_id", "quarantined", "source", "feed_id", "changed_by")
    assert Change.objects.values_list(*columns).get(stream_id=2) == ("late", True, Source.FEED, 2, MOD)
    assert open_holes() == []


def test_late_row_is_not_applied_against_a_newer_fact(passed, reader, tables):
    passed.add_row(2, "m3", quarantined=False)
    passed.commit()
    tables.quarantine(4, "m4")

    caught = follow(reader)

    assert (caught.late, caught.recorded) == (1, 1)
    assert told() == [3, 4]
    assert open_holes() == []
    assert_sound()


def test_late_row_of_released_media_takes_nothing_back(passed, reader, tables):
    """The late row quarantined m3, row 4 released it: what the homeserver says now is what holds."""
    tables.release(4, "m3")
    follow(reader)
    passed.add_row(2, "m3")
    passed.commit()

    follow(reader)

    assert told() == [3, 4]
    assert (ledger.current().quarantined_local, open_holes()) == (0, [])


def test_late_row_is_taken_after_a_restart(passed, tables):
    passed.set_media("late", by=MOD)
    passed.add_row(2, "late")
    passed.commit()

    follow(Reader(patience=PATIENT))

    assert told() == [3, 2]


def test_hole_is_forgotten_after_a_day(passed, reader):
    [hole] = OpenHole.objects.all()
    follow(reader)
    assert open_holes() == [2]

    OpenHole.objects.update(passed_at=hole.passed_at - timedelta(days=1, minutes=1))
    follow(reader)

    assert open_holes() == []


# --- What Synapse says of its own positions -----------------------------------------------


@pytest.mark.postgresql
def test_hole_at_or_below_every_position_is_no_reason_to_wait(synapse_on_postgresql, reader):
    writing(synapse_on_postgresql)
    synapse_on_postgresql.quarantine(4, "m4")
    synapse_on_postgresql.set_position(4)

    assert not follow(reader).held_back
    assert told() == [4]
    assert open_holes() == []


@pytest.mark.postgresql
def test_position_left_behind_is_no_reason_to_wait(synapse_on_postgresql, reader):
    writing(synapse_on_postgresql)
    synapse_on_postgresql.add_history(range(2, 34))
    synapse_on_postgresql.set_position(30)

    assert not follow(reader).held_back
    assert told() == list(range(2, 34))


@pytest.mark.postgresql
def test_hole_beyond_the_position_holds_back(synapse_on_postgresql, reader):
    slow = hold_back(synapse_on_postgresql, 6, "m6")
    for feed_id in (3, 5, 7):
        synapse_on_postgresql.quarantine(feed_id, f"m{feed_id}")
    synapse_on_postgresql.set_position(5)

    assert follow(reader).held_back
    assert told() == [3, 5]
    slow.commit()
    follow(reader)
    assert told() == [3, 5, 6, 7]


@pytest.mark.postgresql
def test_idle_writer_is_a_lower_bound_and_no_reason_to_wait(synapse_on_postgresql, reader):
    writing(synapse_on_postgresql)
    synapse_on_postgresql.quarantine(2, "m2")
    synapse_on_postgresql.set_position(2, instance="idle")
    synapse_on_postgresql.add_history(range(3, 9))
    synapse_on_postgresql.set_position(8, instance="busy")

    assert not follow(reader).held_back
    assert told() == list(range(2, 9))


@pytest.mark.postgresql
def test_position_of_the_busiest_writer_vouches_for_nobody_else(synapse_on_postgresql, reader):
    slow = hold_back(synapse_on_postgresql, 3, "m3")
    synapse_on_postgresql.quarantine(2, "m2")
    synapse_on_postgresql.quarantine(4, "m4")
    synapse_on_postgresql.set_position(2, instance="slow")
    synapse_on_postgresql.set_position(4, instance="busy")

    assert follow(reader).held_back
    slow.commit()
    follow(reader)
    assert told() == [2, 3, 4]


# --- As it happens ------------------------------------------------------------------------


def moderate(owner, name, times):
    """Quarantine media as fast as it goes, as one of Synapse's threads does; one in ten is rolled back."""
    with connect(owner) as connection:
        session = Session(connection)
        for number in range(times):
            session.begin()
            feed_id = session.execute("SELECT nextval('quarantined_media_id_seq')").fetchone()[0]
            session.set_media(f"{name}-{number}", by=MOD)
            session.add_row(feed_id, f"{name}-{number}")
            if number % 10 == 9:
                session.rollback()
            else:
                session.commit()


def poll(reader, done):
    try:
        while not done.is_set():
            follow(reader)
    finally:
        connections.close_all()


def test_nothing_is_lost_among_eight_moderators(tables, reader):
    tables.execute("CREATE SEQUENCE quarantined_media_id_seq START 2")  # as Synapse: nobody waits for id 1
    done = Event()

    with ThreadPoolExecutor(9) as pool:
        polling = pool.submit(poll, reader, done)
        work = [pool.submit(moderate, tables.owner, f"moderator{n}", 30) for n in range(8)]
        errors = [future.exception() for future in work]
        done.set()
        polling.result()
    follow_until_free(reader)

    rows = tables.execute("SELECT stream_id FROM quarantined_media_changes ORDER BY 1").fetchall()
    assert errors == [None] * 8
    assert len(rows) == 8 * 27
    assert sorted(told()) == [feed_id for (feed_id,) in rows]
    assert_sound()
