"""manage.py verify: what it says, its exit codes, and that several processes find what one does."""

import json
import subprocess
import sys
from io import StringIO
from threading import Event

import pytest
from django.core.management import CommandError, call_command

from quarantine import ledger
from quarantine.models import Change
from tests.environment import ROOT
from tests.factories import make_action
from tests.quarantine.ledger_checks import an_entry

PARTS_OF_FIVE = """
import sys
import django; django.setup()
from django.core.management import call_command
from quarantine.chain import verifiers
verifiers.PART, verifiers.START = 5, sys.argv[1]
verifiers.os.sched_getaffinity = lambda _: {0, 1}
call_command("verify", "--json")
"""

HELPERS_WAIT = """
import sys
import django; django.setup()
from quarantine.chain import verifiers
from quarantine.chain.verification import tables
verifiers.PART, verifiers.START = 5, sys.argv[1]
verifiers.os.sched_getaffinity = lambda _: {0, 1}
with verifiers.helpers(tables(), first=1, last=None) as pool:
    print(*pool._processes, flush=True)
    sys.stdin.read()
"""


def fill(number=20):
    ledger.bind()
    ledger.append([an_entry(f"m{one}", upload_name=f"{one}.png") for one in range(number)])


def verify(*options):
    """The exit code and what was said."""
    out = StringIO()
    try:
        call_command("verify", *options, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def head(position):
    return f"{position}:{bytes(Change.objects.get(pk=position).chain).hex()}"


@pytest.mark.django_db
def test_it_tells_what_fits_and_what_to_keep(db):
    fill()
    action = make_action(reason="spam")

    code, said = verify("--expect", head(7), "--expect", f"actions:{action.pk}:{action.chain.hex()}")

    assert code == 0
    assert "ledger: 20 rows fit.\nactions: 1 rows fit.\n" in said
    assert f"\nledger:{head(20)}\nactions:{action.pk}:{action.chain.hex()}\n" in said


@pytest.mark.django_db
def test_it_names_the_first_row_that_does_not_fit(db):
    fill()
    kept = head(9)
    Change.objects.filter(pk__in=[12, 15]).update(upload_name="other.png")

    code, said = verify("--json")

    assert code == 2
    assert "ledger: DOES NOT FIT at 12: its content is not what was recorded." in said
    told = json.loads(said.splitlines()[-1])
    assert (told["fits"], told["tables"]["ledger"]["fault"]["position"]) == (False, 12)
    assert verify("--to", "11", "--expect", kept)[0] == verify("--from", "16")[0] == 0
    assert "fits" not in verify("--from", "13", "--to", "14")[1]
    assert verify("--expect", f"9:{'ab' * 32}")[1].startswith(
        "ledger: DOES NOT FIT at 9: its chain value is not the one"
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "0"], "0 is not a position"),
        (["--from", "9", "--to", "8"], "--to must not be lower"),
        (["--expect", "9:abc"], "64 hexadecimal digits"),
        (["--expect", f"cats:9:{'ab' * 32}"], "There is no table cats"),
        (["--from", "10", "--expect", f"9:{'ab' * 32}"], "not between --from and --to"),
        (["--unsealed-to", "x"], "It is a position"),
    ],
)
def test_what_makes_no_sense_is_refused(db, options, said):
    ledger.bind()

    with pytest.raises(CommandError, match=said) as refused:
        call_command("verify", *options)

    assert refused.value.returncode in {1, 2}


@pytest.mark.django_db
def test_it_can_be_interrupted(db, monkeypatch):
    fill()
    asked = Event()
    asked.set()
    monkeypatch.setattr("quarantine.management.commands.verify.stop_on_signals", lambda: asked)

    assert verify() == (130, "Interrupted. Nothing was found so far; it begins anew next time.\n")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_several_processes_find_what_one_does(process_env, start):
    fill(23)
    found = []
    for tampered in (None, 18):
        Change.objects.filter(pk=tampered).update(upload_name="other.png")
        run = subprocess.run(
            [sys.executable, "-Werror::DeprecationWarning", "-c", PARTS_OF_FIVE, start],
            cwd=ROOT,
            env=process_env(),
            text=True,
            capture_output=True,
            check=False,
        )
        assert run.returncode in {0, 2}, run.stderr
        told = json.loads(run.stdout.splitlines()[-1])["tables"]["ledger"]
        found.append((run.returncode, told["rows"], told["head"], told["fault"] and told["fault"]["position"]))

    assert found[0] == (0, 23, head(23).partition(":")[2], None)
    assert (found[1][0], found[1][3]) == (2, 18)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_helpers_are_gone_when_whoever_started_them_is_killed(process_env, start):
    fill()
    command = [sys.executable, "-c", HELPERS_WAIT, start]
    with subprocess.Popen(
        command, cwd=ROOT, env=process_env(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        helpers = parent.stdout.readline().split()
        parent.kill()

        assert helpers
        assert parent.communicate(timeout=60) == ("", None)  # they held its output open too
