"""Backup and restore as docs/deploy.md says, on real databases: the ledger goes on where it was, and catches up."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from quarantine import ledger
from quarantine.models import Change
from tests import databases
from tests.environment import ROOT, manage
from tests.quarantine.acting import follow, upload

pytestmark = pytest.mark.django_db(transaction=True)
GUIDE = (ROOT / "docs" / "deploy.md").read_text().partition("Back up and restore\n")[2]


def documented(start):
    """The line of the guide that begins so, without its comment."""
    return re.search(rf"^{re.escape(start)}.*?(?=\s+#|$)", GUIDE, re.MULTILINE)[0]


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def quarantine(home, *names):
    for name in names:
        home.quarantine(upload(home, name))
    follow()


def positions():
    return [
        (change.pk, str(change.mxc), change.quarantined, change.seen_at) for change in Change.objects.order_by("pk")
    ]


@pytest.fixture
def restored(request, engine, home, tmp_path):
    """A function: the URL of a ledger restored from a backup taken now, as it was two changes ago."""
    return request.getfixturevalue(f"restored_{engine}")


@pytest.fixture
def restored_postgresql(pg_cluster, tmp_path):
    def back_up():
        dump = documented("pg_dump").replace("ledger.dump", str(tmp_path / "ledger.dump"))
        run([pg_cluster.binaries / "pg_dump", *dump.split()[1:-1], databases.CURRENT["DATABASE_URL"]])
        return restore

    def restore():
        url = pg_cluster.url_of(pg_cluster.create_database("restored"))
        words = documented("pg_restore").replace("ledger.dump", str(tmp_path / "ledger.dump")).split()[1:]
        words = [word if not word.startswith("--dbname") else f"--dbname={url}" for word in words]
        for _ in range(2):  # into an empty database, and over one that has them
            run([pg_cluster.binaries / "pg_restore", *words])
        return url

    return back_up


@pytest.fixture
def restored_sqlite(tmp_path):
    source = databases.CURRENT["DATABASE_URL"].removeprefix("sqlite:///")

    def back_up():
        line = documented("python3 -c").replace("/var/lib/quarantine/ledger.sqlite3", source)
        code = line.partition('"')[2].rpartition('"')[0].replace("ledger.backup", str(tmp_path / "ledger.backup"))
        run([sys.executable, "-W", "ignore", "-c", code])
        return restore

    def restore():
        place = tmp_path / "ledger.sqlite3"
        with closing(sqlite3.connect(place)) as old:  # what is there before, with its log
            old.execute("PRAGMA journal_mode=WAL")
            old.execute("CREATE TABLE stale (a)")
        for left in ("-wal", "-shm"):
            (tmp_path / f"ledger.sqlite3{left}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "ledger.backup", place)
        return f"sqlite:///{place}"

    return back_up


def test_a_restored_ledger_goes_on_where_it_was(home, process_env, restored):
    quarantine(home, "one", "two", "three")
    restore = restored()
    saved = positions()
    quarantine(home, "four", "five")  # lost with the machine
    whole = positions()

    env = process_env(DATABASE_URL=restore())
    manage(env, "prepare")
    caught_up = json.loads(manage(env, "follow", "--once", "--json").splitlines()[-1])
    export = [json.loads(line) for line in manage(env, "export", "--format", "ndjson").splitlines()]
    drift = subprocess.run([sys.executable, "manage.py", "audit", "--report-only"], cwd=ROOT, env=env, check=False)

    again = [(row["stream_id"], row["mxc"], row["quarantined"]) for row in reversed(export)]
    assert (len(saved), caught_up["recorded"], caught_up["head"]) == (3, 2, 5)
    assert again == [row[:3] for row in whole]
    assert ledger.current().head == 5  # the other one was left alone
    assert drift.returncode == 0
