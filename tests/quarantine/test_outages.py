"""Databases that go away, come back, are slow or replaced: the follower waits, says so once, and loses nothing."""

import logging
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from quarantine import ledger
from quarantine.follow import Follower, follow
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Change
from tests import databases
from tests.databases import AttachedHomeserver
from tests.environment import ROOT
from tests.quarantine.followers import PATIENCE, eventually, follower
from tests.quarantine.ledger_checks import assert_sound
from tests.quarantine.own_cluster import own_cluster
from tests.quarantine.synapse_tables import open_tables

OURS = "quarantine-dashboard"  # application_name
AWAY, BACK = "is away", "is back"
PREPARE = """
from django.core.management import call_command
from quarantine import ledger
call_command("migrate", database="default", verbosity=0)
ledger.bind()
"""


def told():
    return list(Change.objects.order_by("stream_id").values_list("feed_id", flat=True))


@pytest.fixture(scope="module")
def machine():
    """A database server of this module's own."""
    with own_cluster() as owned:
        yield owned


@pytest.fixture
def homeserver(machine, synapse_schema, transactional_db):
    """An attached homeserver on that server, running again whatever the last test did."""
    machine.start()
    with databases.attached_database(machine.cluster, synapse_schema) as attached:
        ledger.bind()
        yield attached
        machine.start()


@contextmanager
def following():
    """A follower in a thread; it must still run at the end."""
    stop = threading.Event()

    def run():
        try:
            return follow(stop=stop, interval=0.02)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
            assert not running.done()
        finally:
            stop.set()
    running.result()


@pytest.fixture
def lines(caplog):
    """A function: how often the follower's log has said something since the test began."""
    caplog.set_level(logging.INFO, logger="quarantine.follow")
    return lambda text: sum(text in record.getMessage() for record in caplog.records)


# --- The homeserver's database ------------------------------------------------------------


@pytest.mark.postgresql
def test_homeserver_that_goes_away_is_waited_for(machine, homeserver, process_env):
    with follower(process_env(), "--interval", "0.05") as process:
        with open_tables(homeserver.owner) as tables:
            tables.quarantine(2, "abc")
            eventually(lambda: told() == [2])
            tables.quarantine(3, "last words")
        machine.stop()
        process.wait_for(AWAY)
        machine.start()
        with open_tables(homeserver.owner) as tables:
            tables.quarantine(4, "xyz")
        process.wait_for(BACK)
        eventually(lambda: told() == [2, 3, 4])
        status = process.stop()

    assert status == 0
    assert [len(process.logged(text)) for text in (AWAY, BACK)] == [1, 1]
    assert len(process.log) == 3, process.log
    assert "homeserver database is away" in process.logged(AWAY)[0]


def test_pauses_grow_to_half_a_minute():
    waiting = Follower(threading.Event())
    away = HomeserverAwayError("no route to host")

    assert [waiting.pause("homeserver database", away) for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.postgresql
def test_connections_that_are_ended_again_and_again_lose_nothing(machine, homeserver, lines):
    with open_tables(homeserver.owner) as tables, machine.cluster.connect() as admin, following():
        for feed_id in range(2, 62):
            tables.quarantine(feed_id, f"m{feed_id}")
            if feed_id % 6 == 0:
                eventually(lambda feed_id=feed_id: feed_id in told())
                ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
                admin.execute(ending, (OURS,))
        eventually(lambda: len(told()) == 60)

    assert told() == list(range(2, 62))
    assert lines(AWAY) == lines(BACK)
    assert_sound()


@pytest.mark.postgresql
def test_homeserver_that_stands_still_for_a_moment_is_no_outage(machine, homeserver, lines):
    with open_tables(homeserver.owner) as tables, following():
        tables.quarantine(2, "abc")
        eventually(lambda: told() == [2])
        with machine.backends_stopped(OURS):
            tables.quarantine(3, "xyz")
            time.sleep(1)  # the moment
            assert told() == [2]
        eventually(lambda: told() == [2, 3])

    assert lines(AWAY) == 0


@pytest.mark.postgresql
def test_slow_homeserver_is_waited_for(homeserver, lines):
    with open_tables(homeserver.owner) as tables, following():
        tables.quarantine(2, "abc")
        eventually(lambda: told() == [2])
        upgrade = tables.session().begin()
        upgrade.execute("LOCK TABLE quarantined_media_changes IN ACCESS EXCLUSIVE MODE")
        eventually(lambda: lines(AWAY) == 1)
        upgrade.add_row(3, "xyz")
        upgrade.commit()
        eventually(lambda: told()[:2] == [2, 3])
        eventually(lambda: lines(BACK) == 1)

    assert lines("lock timeout") == 1


@pytest.mark.postgresql
def test_missing_grant_is_waited_for(homeserver, lines):
    role = connections["homeserver"].settings_dict["USER"]
    with open_tables(homeserver.owner) as tables:
        tables.execute(f"REVOKE SELECT ON quarantined_media_changes FROM {role}")
        with following():
            eventually(lambda: lines("permission denied for table quarantined_media_changes") == 1)
            tables.execute(f"GRANT SELECT ON quarantined_media_changes TO {role}")
            tables.quarantine(2, "abc")
            eventually(lambda: told() == [2])

    assert lines(AWAY) == 1


# --- The ledger's database ----------------------------------------------------------------


def recorded(url):
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT feed_id FROM quarantine_change ORDER BY stream_id").fetchall()
    return [feed_id for (feed_id,) in rows]


@pytest.mark.sqlite
def test_follower_and_standby_outlive_a_restart_of_the_ledger(machine, synapse_on_postgresql, process_env):
    machine.start()
    url = machine.cluster.url_of(machine.cluster.create_database("ledger"))
    env = process_env(DATABASE_URL=url)
    subprocess.run([sys.executable, "manage.py", "shell", "--no-imports", "-c", PREPARE], cwd=ROOT, env=env, check=True)

    with ExitStack() as stack:
        both = [stack.enter_context(follower(env, "--interval", "0.05")) for _ in range(2)]
        eventually(lambda: any(process.logged("standing by") for process in both))
        synapse_on_postgresql.quarantine(2, "abc")
        eventually(lambda: recorded(url) == [2])
        machine.stop()
        for process in both:
            process.wait_for("ledger database is away")
        synapse_on_postgresql.quarantine(3, "xyz")
        machine.start()
        for process in both:
            process.wait_for(BACK)
        eventually(lambda: recorded(url) == [2, 3])
        statuses = [process.stop() for process in both]

    assert statuses == [0, 0]
    assert [len(process.logged(text)) for process in both for text in (AWAY, BACK)] == [1] * 4


# --- A homeserver on SQLite ---------------------------------------------------------------


@pytest.fixture
def file(transactional_db, tmp_path):
    """Where an attached homeserver's file should be, and is not."""
    file = tmp_path / "late.sqlite3"
    environ = {"HOMESERVER_DATABASE_URL": f"sqlite:///{file}", "HOMESERVER_NAME": "matrix.example"}
    with databases.attached(AttachedHomeserver(environ=environ, owner=str(file))):
        ledger.bind()
        yield file


@pytest.mark.sqlite
def test_missing_file_is_named_in_a_sentence(file, process_env):
    with follower(process_env(), "--once") as process:
        status = process.process.wait(PATIENCE)

    assert status == 1
    assert process.log == ["CommandError: The homeserver's database can't be read: unable to open database file"]


@pytest.mark.sqlite
def test_file_that_is_no_database_is_an_outage(file):
    file.write_bytes(b"no database" * 99)

    with pytest.raises(HomeserverAwayError, match="file is not a database"):
        Follower(threading.Event()).once()


@pytest.mark.sqlite
def test_missing_file_is_waited_for(file, synapse_schema, lines):
    made = file.with_name("made.sqlite3")
    with open_tables(str(made)) as tables:
        tables.connection.executescript(synapse_schema)
        tables.quarantine(2, "abc")

    with following():
        eventually(lambda: lines("unable to open database file") == 1)
        made.rename(file)
        eventually(lambda: told() == [2])

    assert lines(AWAY) == 1


@pytest.mark.sqlite
def test_file_replaced_by_its_backup_is_noticed_while_following(synapse, attached_sqlite, lines):
    backup = f"{attached_sqlite.owner}.backup"
    synapse.quarantine(2, "abc")
    synapse.execute("VACUUM INTO ?", (backup,))

    with following():
        synapse.quarantine(3, "xyz")
        eventually(lambda: told() == [2, 3])
        synapse.connection.close()
        replace(attached_sqlite.owner, backup)
        eventually(lambda: ledger.current().feed_generation == 2)
        eventually(lambda: not ledger.current().review_due)

    assert [(change.media_id, str(change.state)) for change in Change.objects.order_by("pk")] == [
        ("abc", "quarantined"),
        ("xyz", "quarantined"),
        ("xyz", "deleted"),
    ]
    assert lines("restored from a backup") == 1


def replace(file, backup):
    """As an administrator would, with the homeserver stopped."""
    for suffix in ("-wal", "-shm"):
        Path(file + suffix).unlink(missing_ok=True)
    with sqlite3.connect(backup) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    Path(backup).rename(file)
