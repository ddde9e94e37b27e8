"""`manage.py quarantine` and `release`, as processes."""

import json
import subprocess
import sys

import pytest

from quarantine import ledger
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Action, Change
from tests.environment import ROOT
from tests.factories import make_categories
from tests.quarantine.acting import US, cache, upload


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


def test_what_cannot_be_is_a_sentence_and_changes_nothing(home, manage):
    media = upload(home, "a")
    refused = {
        ("quarantine", "banana"): "is neither a media address",
        ("quarantine",): "Nothing was chosen",
        ("quarantine", "mxc://matrix.example/nope", "--yes"): "Nothing would change",
        ("quarantine", media): "add --yes",
        ("quarantine", media, "--yes", "--category", "nope"): "Choose a category",
        ("quarantine", media, "--yes", "--staff", "nobody"): "There is no account",
        ("quarantine", "--from-file", "/nowhere"): "can't be read",
        ("release", media, "--yes"): "Say why",
    }

    for arguments, sentence in refused.items():
        run = manage(*arguments)
        assert run.returncode in {1, 2}
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr

    assert not Action.objects.exists()
    assert home.media(media).quarantined_by is None
