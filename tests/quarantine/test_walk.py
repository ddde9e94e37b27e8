"""Bounded windows over a media table."""

import sqlite3
import threading

import psycopg
import pytest
from django.db import connections

from quarantine.homeserver.router import ALIAS
from quarantine.walk import Pace, Walker

pytestmark = pytest.mark.django_db(transaction=True)
NEVER = threading.Event()


def fill(homeserver, *, rows, quarantined_each=10):
    """Local media m1…; each tenth is quarantined."""
    with psycopg.connect(homeserver.owner, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO local_media_repository (media_id, media_length, quarantined_by, sha256)"
            " SELECT 'm' || i, i, CASE WHEN i %% %s = 0 THEN '@mod:matrix.example' END, repeat('ab', 32)"
            " FROM generate_series(1, %s) AS i",
            [quarantined_each, rows],
        )


def walk(walker, *, seen=lambda _window: None):
    """Every window, over as many snapshots as it takes."""
    windows, position, end = [], 0, walker.extent().end
    while position < end:
        stretch = walker.stretch(start=position, end=end, stop=NEVER, seen=seen)
        windows += stretch
        position = stretch[-1].stop if stretch else position
    return windows


def ids(windows):
    return [key.media_id for window in windows for key in window.keys]


@pytest.mark.postgresql
def test_windows_cover_the_table_once_without_overlap(attached_postgresql):
    fill(attached_postgresql, rows=5_000)

    windows = walk(Walker("local", Pace(window=7)))

    assert [window.start for window in windows[1:]] == [window.stop for window in windows[:-1]]
    assert sum(window.scanned for window in windows) == 5_000
    assert sorted(ids(windows)) == sorted(f"m{i}" for i in range(10, 5_001, 10))


@pytest.mark.postgresql
def test_a_statement_reads_no_more_than_its_window(attached_postgresql):
    fill(attached_postgresql, rows=5_000)
    with connections[ALIAS].cursor() as db:
        db.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM local_media_repository"
            " WHERE ctid >= '(3,0)'::tid AND ctid < '(5,0)'::tid"
        )
        [[plan]] = db.fetchall()

    assert "Tid Range Scan" in str(plan)
    assert "Seq Scan" not in str(plan)


@pytest.mark.postgresql
def test_one_snapshot_sees_a_row_that_moves_while_we_walk(attached_postgresql):
    """An update moves the row to a page already passed; the snapshot still has it where it was."""
    fill(attached_postgresql, rows=2_000)
    with psycopg.connect(attached_postgresql.owner, autocommit=True) as owner:
        owner.execute("DELETE FROM local_media_repository WHERE media_length <= 200")  # room on the first pages
        owner.execute("VACUUM local_media_repository")
        moved = []

        def move(_window):
            if not moved:
                moved.append(owner.execute("UPDATE local_media_repository SET last_access_ts = 1 RETURNING 1").rowcount)

        windows = walk(Walker("local", Pace(window=2, max_snapshot=60)), seen=move)

    assert moved == [1_800]
    assert sorted(ids(windows)) == sorted(f"m{i}" for i in range(210, 2_001, 10))


@pytest.mark.postgresql
def test_the_snapshot_is_let_go_when_somebody_waits_for_the_table(attached_postgresql):
    fill(attached_postgresql, rows=20_000)
    upgrade = psycopg.connect(attached_postgresql.owner)
    waiter = threading.Thread(
        target=lambda: upgrade.execute("LOCK TABLE local_media_repository IN ACCESS EXCLUSIVE MODE"), daemon=True
    )

    def begin_upgrade(_window):
        if not waiter.is_alive() and waiter.ident is None:
            waiter.start()
            wait_until_it_waits(attached_postgresql)

    stretch = Walker("local", Pace(window=1)).stretch(start=0, end=400, stop=NEVER, seen=begin_upgrade)
    waiter.join(timeout=10)
    upgrade.rollback()
    upgrade.close()

    assert len(stretch) == 1
    assert not waiter.is_alive()


def wait_until_it_waits(homeserver):
    with psycopg.connect(homeserver.owner, autocommit=True) as looker:
        while not looker.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)").fetchone()[0]:
            pass


@pytest.mark.postgresql
def test_a_window_that_takes_too_long_is_halved_and_tried_again(attached_postgresql):
    """A time-out of one millisecond cuts the first windows off; none is skipped, and the snapshot stays the same."""
    fill(attached_postgresql, rows=40_000)
    walker = Walker("local", Pace(window=5_000, max_statement_ms=1, max_snapshot=60))
    end, first = walker.extent().end, walker.size

    windows = walker.stretch(start=0, end=end, stop=NEVER, seen=lambda _window: None)

    assert windows[-1].stop == end
    assert sum(window.scanned for window in windows) == 40_000
    assert sorted(ids(windows)) == sorted(f"m{i}" for i in range(10, 40_001, 10))
    assert walker.size < first
    assert walker.longest_ms > 1  # what was cut off took its time as well


@pytest.mark.postgresql
def test_a_rewritten_table_has_another_identity(attached_postgresql):
    fill(attached_postgresql, rows=100)
    walker = Walker("local", Pace())
    before = walker.extent()

    with psycopg.connect(attached_postgresql.owner, autocommit=True) as owner:
        owner.execute("VACUUM FULL local_media_repository")

    assert walker.extent().identity != before.identity


def test_on_sqlite_windows_are_ranges_of_rowids(attached_sqlite, engine):

    with sqlite3.connect(attached_sqlite.owner) as owner:
        rows = [("r.example", f"m{i}", "system" if i % 10 == 0 else None) for i in range(1, 1_001)]
        owner.executemany(
            "INSERT INTO remote_media_cache (media_origin, media_id, quarantined_by) VALUES (?, ?, ?)", rows
        )
    owner.close()

    windows = walk(Walker("remote", Pace(window=3)))

    assert len(windows) > 1
    assert sum(window.scanned for window in windows) == 1_000
    assert ids(windows) == [f"m{i}" for i in range(10, 1_001, 10)]
