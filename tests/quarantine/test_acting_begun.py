"""What is asked for is recorded whole or not at all, in order, also where the process is killed half-way."""

import signal
import subprocess
import sys

import pytest
from django.db import DatabaseError

from quarantine.acting import actions
from quarantine.chain import verification
from quarantine.models import Action, Fate, Intent, Verb, Work
from quarantine.mxc import Mxc
from tests.environment import ROOT
from tests.quarantine.acting import begin, upload

pytestmark = pytest.mark.django_db(transaction=True)
# As `manage.py quarantine`, whose process is killed when two of the media are in.
KILLED = """
import os, signal, sys
from itertools import islice
import django
django.setup()
from django.core.management import call_command
from quarantine.acting import actions

def load(model, fields, rows, *, using, whole=actions.load):
    whole(model, fields, islice(rows, 2), using=using)
    os.kill(os.getpid(), signal.SIGKILL)

actions.load = load
call_command("quarantine", *sys.argv[1:], "--reason", "x", "--yes")
"""


@pytest.fixture
def media(home):
    return [upload(home, name) for name in ("c", "a", "b")]


def recorded():
    return Action.objects.count(), Work.objects.count(), Intent.objects.count()


def chain_of_actions():
    [table] = [table for table in verification.tables() if table.model is Action]
    return verification.check(table)


def test_what_was_asked_for_is_in_the_order_it_was_asked_for(home, moderator, media):
    never = Mxc("gone.example", "never-here")

    action = begin(home, Verb.QUARANTINE, *media, never, staff=moderator)

    asked = list(action.intents.order_by("pk"))
    assert [intent.mxc for intent in asked] == [*media, never]
    assert {intent.fate for intent in asked} == {Fate.PENDING}
    assert [intent.sha256 is None for intent in asked] == [False, False, False, True]


def test_a_process_killed_while_it_records_leaves_nothing_and_holds_up_nobody(home, moderator, media, process_env):
    begin(home, Verb.QUARANTINE, media[0], staff=moderator)
    before = recorded()

    command = [sys.executable, "-c", KILLED, *map(str, media)]
    killed = subprocess.run(command, cwd=ROOT, env=process_env(), capture_output=True, check=False)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert recorded() == before
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    assert action.intents.count() == 3
    assert (chain_of_actions().rows, chain_of_actions().fault) == (2, None)


def test_what_the_database_refuses_half_way_is_not_begun(home, moderator, media, monkeypatch):
    def refuse(model, fields, rows, *, using):
        whole(model, fields, [next(rows)], using=using)
        raise DatabaseError

    whole = actions.load
    monkeypatch.setattr(actions, "load", refuse)

    with pytest.raises(DatabaseError):
        begin(home, Verb.QUARANTINE, *media, staff=moderator)

    assert recorded() == (0, 0, 0)
    assert chain_of_actions().head is None
