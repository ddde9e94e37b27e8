"""manage.py prepare, on databases of its own."""

import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from quarantine.ledger import WrongHomeserverError
from quarantine.models import Ledger
from quarantine.preparation import known_migrations, migrations_due, refuse_another_homeserver
from tests.environment import ROOT, process_environ


def manage(data_dir, *arguments, **extra):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        check=False,
        cwd=ROOT,
        env=process_environ({"DATA_DIR": str(data_dir)} | extra),
        capture_output=True,
        text=True,
    )


def test_from_nothing_to_ready_and_again(tmp_path):
    before = manage(tmp_path / "data", "follow", "--once")
    first = manage(tmp_path / "data", "prepare")
    second = manage(tmp_path / "data", "prepare")
    after = manage(tmp_path / "data", "follow", "--once")

    assert (before.returncode, after.returncode) == (1, 0), before.stderr + after.stderr
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert f"Ledger ({tmp_path}/data/ledger.sqlite3): migrated." in first.stdout
    assert "The ledger records matrix.example (sample) and is at 0." in first.stdout
    assert (tmp_path / "data" / "static" / "staticfiles.json").exists()
    assert "up to date" in second.stdout
    assert "migrated" not in second.stdout + second.stderr


@pytest.mark.parametrize("command", ["follow", "serve", "sample", "simulate"])
def test_what_needs_it_refuses_with_a_sentence(tmp_path, command):
    done = manage(tmp_path, command)

    assert done.returncode == 1
    assert done.stderr.strip() == "CommandError: The database is not up to date. Run: manage.py prepare"


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()

    done = manage(tmp_path / "file" / "below", "prepare")

    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: DATA_DIR can't be written to:")
    assert "Traceback" not in done.stderr


@pytest.mark.django_db
def test_another_homeservers_ledger_is_refused_before_it_is_touched():
    Ledger.objects.create(pk=1, homeserver_name="other.example", homeserver_kind="synapse")

    with pytest.raises(WrongHomeserverError, match=r"records other\.example \(synapse\)"):
        refuse_another_homeserver()
    with pytest.raises(CommandError, match=r"records other\.example \(synapse\)"):
        call_command("prepare")


@pytest.mark.django_db
def test_nothing_is_due_once_it_is_prepared():
    assert not migrations_due()


def test_migrations_are_known_by_their_files_as_django_knows_them():
    assert set(known_migrations()) == set(MigrationLoader(None).disk_migrations)


@pytest.mark.django_db
def test_one_that_is_not_recorded_is_due():
    MigrationRecorder.Migration.objects.filter(app="quarantine").order_by("-pk").first().delete()

    assert migrations_due()
