"""`manage.py staff`, as the process an administrator starts."""

import json
import os
import pty
import subprocess
import sys

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount

from quarantine import ledger
from quarantine.models import AccessEntry, Staff
from tests.dashboard.people import signed_in
from tests.environment import ROOT
from tests.factories import make_categories

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery"
MANAGE = [sys.executable, "-W", "error", "manage.py", "staff"]


@pytest.fixture
def staff(process_env):
    """A function: run the command; the result has `returncode`, `stdout` and `stderr`."""

    def run(*arguments, password="", **environ):
        env = process_env(**environ)
        return subprocess.run(
            [*MANAGE, *arguments],
            input=password.encode(errors="surrogateescape"),
            capture_output=True,
            check=False,
            cwd=ROOT,
            env=env,
            timeout=60,
        )

    return run


def test_an_account_is_opened_listed_and_shut(staff):
    opened = staff("add", "root", "--role", "admin", "--password-stdin", password=f"{PASSWORD}\n")
    second = staff("add", "anna", "--role", "moderator", password=PASSWORD)
    shut = staff("disable", "anna")
    listed = staff("list", "--json")
    table = staff("list")

    assert [run.returncode for run in (opened, second, shut, listed, table)] == [0] * 5
    assert Staff.objects.get(username="root").check_password(PASSWORD)
    assert Staff.objects.get(username="anna").check_password(PASSWORD)
    anna = {"name": "anna", "role": "moderator", "active": False, "last_sign_in": None}
    root = {"name": "root", "role": "admin", "active": True, "last_sign_in": None}
    assert json.loads(listed.stdout.splitlines()[-1]) == {"staff": [anna, root]}
    assert table.stdout.decode().splitlines() == [
        "anna  disabled   never signed in",
        "root  admin      never signed in",
    ]


@pytest.mark.sqlite
def test_what_is_refused_is_a_sentence_and_exit_1_and_what_was_given_wrongly_exit_2(staff):
    staff("add", "root", "--role", "admin", password=PASSWORD)
    taken, unheard = "There is an account 'root' already.", "There is no account 'x\\u202e\\x1b[2J'."
    reserved = "'terminal' is not a person's account: the dashboard acts in its name."
    nothing = "No password was given. Run it at a terminal to be asked for one, or give it as the first line of stdin."
    last = "'root' is the last admin. Make someone else an admin first."
    refusals = {
        (1, taken): staff("add", "root", "--role", "viewer", password="another horse battery"),
        (1, last): staff("disable", "root"),
        (2, "There is no account 'nobody'."): staff("disable", "nobody"),
        (2, unheard): staff("disable", "x\u202e\x1b[2J"),
        (2, reserved): staff("add", "terminal", password=PASSWORD),
        (2, "The password on stdin is not UTF-8."): staff("add", "ben", password="\udcff"),
        (2, nothing): staff("add", "ben", password=""),
    }

    for (code, sentence), run in refusals.items():
        assert (run.returncode, run.stdout, run.stderr.decode()) == (code, b"", f"CommandError: {sentence}\n")
    assert list(Staff.objects.values_list("username", "role", "is_active")) == [("root", "admin", True)]


@pytest.mark.sqlite
@pytest.mark.parametrize("arguments", [[], ["add"], ["add", "a", "--role", "boss"], ["fly"], ["set-role", "anna"]])
def test_bad_usage_is_exit_2(staff, arguments):
    run = staff(*arguments, password=PASSWORD)

    assert run.returncode == 2
    assert "usage: manage.py staff" in run.stderr.decode()
    assert not Staff.objects.exists()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "place", ["nowhere/ledger.sqlite3", "empty.sqlite3", "postgres://nobody:hunter2@127.0.0.1:1/ledger"]
)
def test_a_database_that_is_not_there_is_a_sentence(staff, tmp_path, place):
    run = staff("list", DATABASE_URL=place if "://" in place else f"sqlite:///{tmp_path / place}")

    assert run.returncode == 1
    assert run.stderr.decode().startswith("CommandError: The ledger's database can't be used: ")
    assert "hunter2" not in run.stderr.decode()
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "words",
    [
        ["staff", "disable", b"a\xff"],
        ["redact", "--user", b"@a\xff:x.example", "--reason", "x", "--yes"],
        ["quarantine", "--user", b"@a\xff:x.example", "--yes"],
        ["token", "revoke", b"a\xff"],
    ],
    ids=lambda words: words[0],
)
def test_an_argument_that_is_no_text_is_a_sentence(process_env, words):
    ledger.bind()
    make_categories()

    run = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=process_env(), capture_output=True, check=False
    )

    assert run.returncode == 1
    assert run.stderr.decode().startswith("manage.py: This argument is not text in UTF-8: '")
    assert "\\udcff" in run.stderr.decode()
    assert len(run.stderr.splitlines()) == 1


def read_until(terminal, ending):
    """What the terminal shows until the process waits for more, or has gone."""
    shown = b""
    while not shown.endswith(ending):
        try:
            shown += os.read(terminal, 1024)
        except OSError:  # the other end is closed: the process has gone
            return shown
    return shown


@pytest.mark.sqlite
@pytest.mark.parametrize(("again", "code"), [(PASSWORD, 0), ("something else", 2)])
def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(process_env, again, code):
    terminal, inner = pty.openpty()
    streams = {"stdin": inner, "stdout": inner, "stderr": inner}
    command = [*MANAGE, "add", "anna"]
    with subprocess.Popen(command, cwd=ROOT, env=process_env(), start_new_session=True, **streams) as process:
        os.close(inner)
        shown = read_until(terminal, b"Password: ")
        os.write(terminal, f"{PASSWORD}\n".encode())
        shown += read_until(terminal, b"Once more: ")
        os.write(terminal, f"{again}\n".encode())
        shown += read_until(terminal, b"never")
    os.close(terminal)

    assert process.returncode == code
    assert PASSWORD.encode() not in shown
    assert Staff.objects.filter(username="anna").exists() == (code == 0)


@pytest.mark.sqlite
def test_whoever_lost_everything_is_let_in_from_the_terminal(staff):
    staff("add", "anna", "--role", "admin", password=PASSWORD)
    client = signed_in("anna")
    anna = Staff.objects.get()
    TOTP.activate(anna, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(anna)
    Authenticator.objects.create(user=anna, type="webauthn", data={"name": "x", "credential": {}})

    done = staff("recover", "anna", password="another horse battery\n")

    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        "anna has a new password.",
        "Second factors removed: totp authenticator, recovery codes, webauthn. Sessions ended: 1.",
    ]
    assert not Authenticator.objects.exists()
    assert client.get("/account/").status_code == 302
    told = AccessEntry.objects.order_by("-pk")[0]
    assert (told.what, told.who, told.target) == ("password-changed", "terminal", "anna")
    anna.refresh_from_db()
    assert (anna.check_password("another horse battery"), anna.role) == (True, "admin")


@pytest.mark.sqlite
def test_a_recovery_that_cannot_be_done_changes_nothing(staff):
    staff("add", "anna", password=PASSWORD)
    TOTP.activate(Staff.objects.get(), "JBSWY3DPEHPK3PXP")

    refused = [staff("recover", "anna", password="short"), staff("recover", "nobody", password=PASSWORD)]

    assert [run.returncode for run in refused] == [2, 2]
    assert b"too short" in refused[0].stderr
    assert Authenticator.objects.count() == 1
    assert Staff.objects.get().check_password(PASSWORD)


@pytest.mark.sqlite
def test_an_account_is_given_to_one_person_at_the_provider(staff):
    sso = {"OIDC_ISSUER": "https://login.example", "OIDC_CLIENT_ID": "x", "OIDC_ROLES": "a=viewer"}
    for name in ("anna", "ben"):
        staff("add", name, password=PASSWORD)

    assert b"OIDC_ISSUER is not set" in staff("link", "anna", "17").stderr
    assert staff("link", "anna", "", **sso).returncode == 2
    assert staff("link", "anna", "17", **sso).returncode == 0
    assert AccessEntry.objects.filter(what="account-linked").values_list("who", "target").get() == ("terminal", "anna")
    assert b"has another account here" in staff("link", "ben", "17", **sso).stderr
    assert b"belongs to somebody" in staff("link", "anna", "18", **sso).stderr
    assert list(SocialAccount.objects.values_list("user__username", "uid")) == [("anna", "17")]
