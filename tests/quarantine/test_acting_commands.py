"""`manage.py quarantine` and `release`, as processes: with nobody there, and at a terminal."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from quarantine import ledger
from quarantine.acting import actions
from quarantine.homeserver.router import ALIAS
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Action, Change, Fate, Intent, Role, Work
from quarantine.worker import attempt
from tests.environment import ROOT
from tests.factories import make_categories, make_staff
from tests.quarantine.acting import US, cache, upload
from tests.quarantine.followers import eventually
from tests.terminals import CTRL_C, CTRL_D, at_terminal


@pytest.fixture
def home(transactional_db):
    ledger.bind()
    make_categories()
    return SampleHomeserver(user_id=US)


@pytest.fixture
def manage(home, process_env):
    """A function: run a command with nobody at the terminal."""

    def run(*arguments, stdin=""):
        command = [sys.executable, "manage.py", *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=process_env(), input=stdin, capture_output=True, text=True, check=False
        )

    return run


def last_line(run):
    return json.loads(run.stdout.splitlines()[-1])


def test_the_plan_is_printed_and_nothing_done(home, manage):
    media, copy = upload(home, "scam"), cache(home, "scam")

    run = manage("quarantine", media, "--dry-run", "--json")

    assert run.returncode == 0, run.stderr
    assert "1 asked for; 1 will change, and 1 more with the same file." in run.stdout
    assert last_line(run) == {"dry_run": True, "asked": 1, "would_change": 2}
    assert home.media(copy).quarantined_by is None


def test_it_is_done_and_told_and_released_again(home, manage, tmp_path):
    media = [upload(home, "a"), upload(home, "b")]
    file = tmp_path / "list.txt"
    file.write_text("\n".join(map(str, media)))

    done = manage("quarantine", "--from-file", file, "--reason", "case 7", "--category", "spam", "--yes", "--json")

    assert done.returncode == 0, done.stderr
    told = last_line(done)
    assert (told["status"], told["asked"], told["changed"], told["failed"]) == ("finished", 2, 2, 0)
    action = Action.objects.get()
    assert (action.staff.username, action.reason, action.category) == ("terminal", "case 7", "spam")
    assert set(Change.objects.values_list("changed_by", "action")) == {("terminal", action.pk)}
    released = manage("release", "--user", "@mallory:matrix.example", "--reason", "a mistake", "--yes")
    assert released.returncode == 0, released.stderr
    assert not [mxc for mxc in media if home.media(mxc).quarantined_by]


def test_what_cannot_be_is_a_sentence_and_changes_nothing(home):
    media = upload(home, "a")
    make_staff("vi", role=Role.VIEWER)
    refused = {
        ("quarantine", "banana"): (2, "is neither a media address"),
        ("quarantine",): (2, "Nothing was chosen"),
        ("quarantine", "mxc://matrix.example/nope", "--yes"): (1, "Nothing would change"),
        ("quarantine", media): (2, "add --yes"),
        ("quarantine", media, "--yes", "--category", "nope"): (2, "Choose a category"),
        ("quarantine", "banana", "--dry-run", "--category", "nope"): (2, "There are: .*spam"),
        ("release", media, "--dry-run", "--category", "nope"): (2, "There are: .*spam"),
        ("quarantine", media, "--yes", "--staff", "nobody"): (2, "There is no account"),
        ("quarantine", media, "--yes", "--staff", "vi"): (1, "The role viewer may not act on media"),
        ("quarantine", "--from-file", "/nowhere"): (2, "can't be read"),
        ("release", media, "--yes"): (2, "Say why"),
    }

    for arguments, (code, sentence) in refused.items():
        with pytest.raises(CommandError, match=sentence) as refusal:
            call_command(*map(str, arguments))
        assert refusal.value.returncode == code

    assert not Action.objects.exists()
    assert home.media(media).quarantined_by is None


@pytest.mark.sqlite
def test_a_list_comes_in_by_stdin_where_nobody_has_to_be_asked(home, manage):
    media = [upload(home, "a"), upload(home, "b")]
    text = "\ufeff" + "\r\n".join(map(str, media))

    asked = manage("quarantine", "--from-file", "-", stdin=text)
    done = manage("quarantine", "--from-file", "-", "--yes", "--json", stdin=text)

    assert (asked.returncode, "add --yes" in asked.stderr) == (2, True)
    assert (done.returncode, last_line(done)["changed"]) == (0, 2), done.stderr


# --- At a terminal ------------------------------------------------------------------------


@pytest.mark.sqlite
@pytest.mark.parametrize(("keys", "code"), [("n\n", 1), (CTRL_D, 1), (CTRL_C, 130), ("y\n", 0)])
def test_the_plan_is_shown_and_somebody_asked(home, process_env, keys, code):
    media = upload(home, "scam")
    cache(home, "scam")

    with at_terminal("quarantine", media, "--json", env=process_env()) as terminal:
        terminal.wait_for_question("Quarantine 2 media items? [y/N] ")
        terminal.type(keys)
        assert terminal.end() == code

    plan, _, rest = terminal.shown.partition("Quarantine 2 media items?")
    assert "1 asked for; 1 will change, and 1 more with the same file." in plan
    assert "Uploaders: @mallory:matrix.example." in plan
    assert "Traceback" not in rest
    if code:
        assert rest.splitlines()[-1] == "Nothing was done."
        assert not Action.objects.exists()
    else:
        assert json.loads(rest.splitlines()[-1])["copies"] == 1
    assert bool(home.media(media).quarantined_by) == (code == 0)


@pytest.mark.sqlite
def test_ctrl_c_leaves_the_rest_to_be_resumed(home, process_env):
    media = [upload(home, f"m{one}") for one in range(30)]

    with closing(sqlite3.connect(connections[ALIAS].settings_dict["NAME"], autocommit=True)) as homeserver:
        homeserver.execute("BEGIN IMMEDIATE")  # no call is answered meanwhile
        with at_terminal("quarantine", *media, "--yes", env=process_env()) as terminal:
            terminal.wait_for("/30")  # the bar
            assert eventually(lambda: Intent.objects.filter(fate=Fate.CALLED).exists())
            terminal.type(CTRL_C)
            terminal.wait_for("^C")
            homeserver.execute("ROLLBACK")
            assert terminal.end() == 130

    action = Action.objects.get()
    work = Work.objects.get()
    assert f"Interrupted. What is done is recorded; resume the rest at /actions/{action.pk}/." in terminal.shown
    assert work.status == Work.Status.PAUSED
    assert Change.objects.count() < 30
    actions.resume(action, staff=action.staff)
    attempt(action, stop=threading.Event())
    assert Counter(Change.objects.values_list("media_id", "action")) == Counter(
        (mxc.media_id, action.pk) for mxc in media
    )
