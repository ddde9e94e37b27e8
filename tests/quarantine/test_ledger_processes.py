"""Several processes at the gate at once, and processes killed there."""

import time
from contextlib import contextmanager
from random import Random
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from quarantine import ledger
from quarantine.feed import FeedCursor
from quarantine.models import Change, OpenHole
from tests.quarantine import made_up_feed
from tests.quarantine.crew import PATIENCE, running_crew
from tests.quarantine.ledger_checks import assert_sound, wait_for_waiters

WRITERS = 6
BATCHES = 6
READERS = 2
PAGE = 40
KILLS = 12


@pytest.fixture
def crew(process_env):
    ledger.bind()
    with running_crew(process_env()) as running:
        yield running


# --- Racing -------------------------------------------------------------------------------


class Reader(Thread):
    """Polls with a position as its cursor, as consumers do, until told to end and nothing is left."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.ending = Event()
        self.read = Event()  # set at the end of each poll that found nothing more

    def run(self):
        try:
            while True:
                ending = self.ending.is_set()
                if not self.poll():
                    self.read.set()
                    if ending:
                        return
                    self.ending.wait(0.002)
        finally:
            connection.close()

    def poll(self):
        """One page; whether there was anything."""
        after = self.seen[-1] if self.seen else 0
        page = list(Change.objects.newer_than(after).values_list("stream_id", flat=True)[:PAGE])
        self.seen += page
        return bool(page)

    def catch_up(self):
        """Wait for a poll begun after this call that finds nothing more."""
        for _ in range(2):
            self.read.clear()
            assert self.read.wait(PATIENCE)

    def end(self):
        self.ending.set()
        self.join(PATIENCE)


@contextmanager
def readers():
    threads = [Reader() for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.end()


def race(crew, *, positions="ledger"):
    """Six writers at once, while the first stands still half-way through its first batch.

    Returns what each writer said at the end and what each reader saw.
    """
    first, *others = [
        crew.start("write", number=number, batches=BATCHES, positions=positions, hold=number == 0)
        for number in range(WRITERS)
    ]
    with readers() as reading:
        first.tell("go")
        assert first.hear() == "holding"
        for other in others:
            other.tell("go")
        if positions == "ledger":
            wait_for_waiters(len(others))
            assert not any(reader.seen for reader in reading)
            said = []
        else:  # nothing holds the others up, and the readers read on
            said = [other.hear() for other in others]
            for reader in reading:
                reader.catch_up()
        first.tell("go on")
        said = [first.hear(), *(said or [other.hear() for other in others])]
    return said, [reader.seen for reader in reading]


def rows_by_writer():
    """Writer -> positions of its changes, in order."""
    positions = {}
    for stream_id, media_id in Change.objects.order_by("stream_id").values_list("stream_id", "media_id"):
        positions.setdefault(int(media_id.partition("-")[0]), []).append(stream_id)
    return positions


def test_readers_see_every_row_once_and_in_order(crew):
    said, seen = race(crew)

    assert said == ["done"] * WRITERS
    assert_sound()
    assert seen == [list(range(1, ledger.current().head + 1))] * READERS
    assert sum(len(positions) for positions in rows_by_writer().values()) == ledger.current().head


@pytest.fixture
def sequence(crew):
    with connection.cursor() as db:
        db.execute("CREATE SEQUENCE positions INCREMENT 50 MINVALUE 0")
    yield
    with connection.cursor() as db:
        db.execute("DROP SEQUENCE positions")


@pytest.mark.postgresql
def test_with_positions_from_a_sequence_readers_lose_rows(crew, sequence):
    """Why there is a lock: what was allotted first and committed last is never seen."""
    said, seen = race(crew, positions="sequence")

    assert said == ["done"] * WRITERS
    rows = rows_by_writer()
    held_back = [position for position in rows[0] if position <= 50]
    assert held_back
    everything = {position for positions in rows.values() for position in positions}
    for each in seen:
        assert set(held_back) <= everything - set(each)


@pytest.mark.postgresql
def test_without_the_lock_writers_collide(crew):
    """Why there is a lock: two that read the same head hand out the same positions."""
    said, _ = race(crew, positions="unlocked")

    assert said[0] == "collided"


@pytest.fixture
def strict_database(crew):
    """An operator's habit: every transaction sees one snapshot, taken before it has waited for the lock."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as db:
        db.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
    connection.close()
    yield
    with connection.cursor() as db:
        db.execute(f"ALTER DATABASE {name} RESET default_transaction_isolation")
    connection.close()


@pytest.mark.postgresql
def test_the_lock_holds_whatever_isolation_the_database_prefers(crew, strict_database):
    said, _ = race(crew)

    assert said == ["done"] * WRITERS
    assert_sound()


# --- Being killed -------------------------------------------------------------------------


def assert_cursor_and_rows_agree():
    position = ledger.current().feed_position
    fed = Change.objects.filter(media_id__startswith="fed-").order_by("stream_id").values_list("feed_id", flat=True)
    assert list(fed) == made_up_feed.changing(position)
    late = Change.objects.filter(media_id__startswith="late-").values_list("feed_id", flat=True)
    still_open = OpenHole.objects.values_list("feed_id", flat=True)
    assert sorted([*late, *still_open]) == list(filter(made_up_feed.is_hole, range(1, position + 1)))


def assert_nothing_is_broken():
    """Under the lock: a killed process's last statement may still be running in the database."""
    with transaction.atomic():
        ledger.lock()
        assert_sound()
        assert_cursor_and_rows_agree()


def test_killed_writers_leave_nothing_half_done(crew):
    """Twelve times on each database `kill -9` of one of two writers at a random moment."""
    random = Random(connection.vendor)
    members = [crew.start("follow", seed=0)]
    positions = []

    for kill in range(KILLS):
        members.append(crew.start("follow", seed=100 + kill))
        assert members[-1].hear() == "following"
        time.sleep(random.uniform(0.02, 0.2))  # the random moment
        members.pop(0).kill()
        assert_nothing_is_broken()
        positions.append(ledger.current().feed_position)
    members.pop().kill()

    assert positions == sorted(set(positions)), "the cursor stood still"
    assert_nothing_is_broken()
    go_on()


def go_on():
    """The next reader starts where the dead ones stopped."""
    before = ledger.current().feed_position
    cursor = FeedCursor(generation=1, before=before, after=before + 200)
    ids = [each for each in range(before + 1, before + 201) if not made_up_feed.is_hole(each)]

    assert ledger.append(made_up_feed.entries(ids), cursor=cursor).recorded > 0

    assert_sound()
