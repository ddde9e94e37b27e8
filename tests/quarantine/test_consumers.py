"""Tokens from the terminal, and commands where there is no ledger yet."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from quarantine import consumers
from quarantine.consumers import UnknownTokenError
from quarantine.models import Consumer, Scope
from tests.environment import ROOT, process_environ
from tests.factories import make_ledger


@pytest.fixture(autouse=True)
def _bound(request):
    if request.node.get_closest_marker("django_db"):
        make_ledger()


@pytest.mark.django_db
def test_create_prints_the_token_alone_on_the_last_line(capsys):
    call_command("token", "create", "hma")

    token = capsys.readouterr().out.splitlines()[-1]
    assert consumers.authenticate(token, scopes=[Scope.CHANGES]).consumer_id == Consumer.objects.get(name="hma").pk


@pytest.mark.django_db
def test_list_names_them_and_never_their_tokens(capsys):
    token = consumers.create("hma", scopes=[Scope.CHANGES, Scope.METRICS])

    call_command("token", "list")

    said = capsys.readouterr().out
    assert "hma  changes:read metrics:read  last seen never, position none, 0 requests" in said
    assert token not in said


@pytest.mark.django_db
def test_a_token_ends_after_its_days_and_the_list_says_so(capsys):
    call_command("token", "create", "hma", "--expires", "30")
    token = capsys.readouterr().out.splitlines()[-1]
    assert consumers.authenticate(token, scopes=[Scope.CHANGES])

    Consumer.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    with pytest.raises(UnknownTokenError):
        consumers.authenticate(token, scopes=[Scope.CHANGES])
    call_command("token", "list")
    assert ", expired 20" in capsys.readouterr().out


@pytest.mark.django_db
@pytest.mark.parametrize("days", ["0", "-1", "3651"])
def test_days_that_make_no_sense_are_refused(days):
    with pytest.raises(CommandError, match="1 to 3,650 days") as refused:
        call_command("token", "create", "hma", "--expires", days)

    assert refused.value.returncode == 2
    assert not Consumer.objects.exists()


@pytest.mark.django_db
def test_asking_again_and_again_for_the_same_is_counted_until_it_moves():
    consumers.create("hma", scopes=[Scope.CHANGES])
    pk = Consumer.objects.get().pk

    def asked(*positions):
        use = consumers.Use()
        for position in positions:
            use.note(position, given=True)
        consumers.record([(pk, use)])
        held = Consumer.objects.get()
        return held.position, held.handed_out, held.requests

    assert asked(5, 5) == (5, 2, 2)
    assert asked(5) == (5, 3, 3)
    assert asked(5, 9) == (9, 1, 5)
    assert asked(9) == (9, 2, 6)
    assert asked(9, 12, 12) == (12, 2, 9)


@pytest.mark.django_db
def test_revoking_keeps_the_name_and_can_be_repeated(capsys):
    consumers.create("hma", scopes=[Scope.CHANGES])

    call_command("token", "revoke", "hma")
    call_command("token", "revoke", "hma")

    assert Consumer.objects.get().revoked_at is not None
    with pytest.raises(CommandError, match="a consumer named hma already") as refused:
        call_command("token", "create", "hma")
    assert refused.value.returncode == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["nobody", "a\x00b"])
def test_a_consumer_there_is_not_can_not_be_revoked(name):
    consumers.create("hma", scopes=[Scope.CHANGES])

    with pytest.raises(CommandError, match="There is no consumer named") as refused:
        call_command("token", "revoke", name)

    assert refused.value.returncode == 2
    assert Consumer.objects.get().revoked_at is None


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["", " ", "x\x00", "a\nb", "x" * 151])
def test_a_name_that_can_not_be_shown_is_refused(name):
    with pytest.raises(CommandError, match="1 to 150 characters") as refused:
        call_command("token", "create", "--", name)

    assert refused.value.returncode == 2
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
