"""Tokens from the terminal, and commands where there is no ledger yet."""

import subprocess
import sys

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from quarantine import consumers
from quarantine.models import Consumer, Scope
from tests.environment import ROOT, process_environ


@pytest.mark.django_db
def test_create_prints_the_token_alone_on_the_last_line(capsys):
    call_command("token", "create", "hma")

    token = capsys.readouterr().out.splitlines()[-1]
    assert consumers.authenticate(token, scope=Scope.CHANGES).name == "hma"


@pytest.mark.django_db
def test_list_names_them_and_never_their_tokens(capsys):
    token = consumers.create("hma", scopes=[Scope.CHANGES, Scope.METRICS])

    call_command("token", "list")

    said = capsys.readouterr().out
    assert "hma  changes:read metrics:read  last seen never" in said
    assert token not in said


@pytest.mark.django_db
def test_revoking_keeps_the_name_and_can_be_repeated(capsys):
    consumers.create("hma", scopes=[Scope.CHANGES])

    call_command("token", "revoke", "hma")
    call_command("token", "revoke", "hma")

    assert Consumer.objects.get().revoked_at is not None
    with pytest.raises(CommandError, match="a consumer named hma already"):
        call_command("token", "create", "hma")


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", " ", "x\x00", "a\nb", "x" * 151])
def test_a_name_that_can_not_be_shown_is_refused(name):
    with pytest.raises(CommandError, match="1 to 150 characters"):
        call_command("token", "create", "--", name)

    assert not Consumer.objects.exists()


@pytest.mark.parametrize("command", [["token", "list"], ["backfill"], ["audit"], ["export"]])
def test_where_nothing_was_prepared_a_sentence_says_so(tmp_path, command):
    environ = process_environ({"DATA_DIR": str(tmp_path / "none"), "DATABASE_URL": ""})

    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        check=False,
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert "manage.py prepare" in done.stderr
    assert "Traceback" not in done.stderr
