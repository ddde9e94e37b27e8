"""The suite's own machinery: a test on both engines really is on both."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection, connections

from quarantine.homeserver.models import FeedChange
from quarantine.models import Ledger
from tests.environment import ROOT

COUNT_IN_A_PROCESS = """
from django.db import connection, connections
from quarantine.homeserver.models import FeedChange
from quarantine.models import Ledger
print(connection.vendor, Ledger.objects.count(), connections["homeserver"].vendor, FeedChange.objects.count())
"""
INSERT_CHANGE = "INSERT INTO quarantined_media_changes VALUES (2, 'master', NULL, 'abc', TRUE)"


@pytest.fixture
def one_ledger():
    return Ledger.objects.create(homeserver_name="matrix.example", homeserver_kind="sample")


def in_a_process(code, environ):
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout


def write_as_synapse(homeserver):
    if homeserver.owner.startswith("postgresql://"):
        with psycopg.connect(homeserver.owner) as owner:
            owner.execute(INSERT_CHANGE)
    else:
        with sqlite3.connect(homeserver.owner, autocommit=True) as owner:
            owner.execute(INSERT_CHANGE)
        owner.close()


@pytest.mark.django_db
def test_vendor_is_the_engine(engine):
    assert connection.vendor == engine


@pytest.mark.django_db
def test_vendor_is_the_engine_beside_a_browser(engine, chromium):
    assert connection.vendor == engine


@pytest.mark.postgresql
@pytest.mark.django_db
def test_mark_keeps_a_test_to_one_engine(engine):
    assert engine == connection.vendor == "postgresql"


@pytest.mark.django_db
@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_starts_empty(_time, one_ledger):
    assert list(Ledger.objects.all()) == [one_ledger]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_time", [1, 2])
def test_each_test_starts_with_an_empty_cache(_time):
    assert cache.get("seen") is None

    cache.set("seen", "before")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_time", [1, 2])
def test_threads_see_what_is_committed(_time, one_ledger):
    def look():
        try:
            return connection.vendor, Ledger.objects.count()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(look).result()

    assert seen == (connection.vendor, 1)


def test_processes_see_what_is_committed(process_env, engine, one_ledger):
    FeedChange.objects.create(stream_id=2, instance_name="master", media_id="abc", quarantined=True)

    shown = in_a_process(COUNT_IN_A_PROCESS, process_env())

    assert shown == f"{engine} 1 sqlite 1\n"


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_attached_homeserver_is_read_here_and_in_processes(kind, request, process_env, engine):
    homeserver = request.getfixturevalue(f"attached_{kind}")
    write_as_synapse(homeserver)

    assert list(FeedChange.objects.values_list("stream_id", "media_id")) == [(2, "abc")]
    assert in_a_process(COUNT_IN_A_PROCESS, process_env()) == f"{engine} 0 {kind} 1\n"


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_attached_homeserver_refuses_a_raw_write(kind, request, transactional_db):
    request.getfixturevalue(f"attached_{kind}")

    with pytest.raises(DatabaseError), connections["homeserver"].cursor() as cursor:
        cursor.execute(INSERT_CHANGE)


def test_homeserver_is_the_sample_again_after_an_attached_test(transactional_db, settings):
    assert settings.HOMESERVER_KIND == "sample"
    assert FeedChange.objects.count() == 0


@pytest.mark.parametrize(
    ("reason", "in_ci"),
    [("no compiler here", 1), ("There is no systemd-analyze on this machine.", 0)],
    ids=["ours", "not-ours"],
)
def test_skips_fail_in_ci(tmp_path, monkeypatch, reason, in_ci):
    """But for what `make test` can't provide, by name."""
    (tmp_path / "test_it.py").write_text(f"import pytest\n\n\ndef test_it():\n    pytest.skip({reason!r})\n")
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "tests.no_skips", tmp_path]

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run():
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    monkeypatch.delenv("CI", raising=False)
    at_home = run()
    monkeypatch.setenv("CI", "true")
    there = run()

    assert (at_home.returncode, there.returncode) == (0, in_ci)
    assert in_ci == 0 or reason in there.stdout
