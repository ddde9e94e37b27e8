"""From where to where the feed's rows are an action's: as narrow as a call, also when its process is killed.

Rows of releases have no actor, so here nothing but the window tells ours from others'.
"""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import pytest
from django.db import connections

from quarantine.acting.actions import Outcome
from quarantine.homeserver.router import ALIAS
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Action, Fate, Intent, Source, State, Verb, Work
from quarantine.worker import attempt
from tests.environment import ROOT
from tests.quarantine.acting import SOMEBODY, US, begin, fates, follow, outcome, perform, told, upload
from tests.quarantine.followers import eventually

pytestmark = pytest.mark.django_db(transaction=True)
OTHERS = SampleHomeserver(user_id=SOMEBODY)


@pytest.fixture
def held(home):
    """Three media items that somebody quarantined, and that the ledger knows of."""
    media = [upload(home, name) for name in ("a", "b", "c")]
    for mxc in media:
        OTHERS.quarantine(mxc)
    follow()
    return media


@contextmanager
def killed_in_its_first_call(*arguments, env):
    """`manage.py` with these arguments, whose homeserver doesn't answer; `kill -9` as soon as it has called."""
    with closing(sqlite3.connect(connections[ALIAS].settings_dict["NAME"], autocommit=True)) as homeserver:
        homeserver.execute("BEGIN IMMEDIATE")
        process = subprocess.Popen(
            [sys.executable, "manage.py", *map(str, arguments)], cwd=ROOT, env=env, stderr=subprocess.PIPE
        )
        assert eventually(lambda: Intent.objects.filter(fate=Fate.CALLED).exists()), process.communicate()
        process.kill()
        process.communicate()
        yield
        homeserver.execute("ROLLBACK")


def open_windows():
    return Intent.objects.filter(feed_head__isnull=False, feed_until=None).count()


def released_since(position):
    return [(mxc, action) for mxc, state, _, _, action in told()[position:] if state is State.RELEASED]


def test_what_others_do_between_two_calls_of_a_batch_is_theirs(home, moderator, held):
    class Busy(SampleHomeserver):
        """While our first call is under way somebody else releases what is third in turn."""

        def release(self, mxc):
            if mxc == held[0]:
                OTHERS.release(held[2])
            super().release(mxc)

    action = begin(home, Verb.RELEASE, *held, staff=moderator)
    perform(action, Busy(user_id=US))

    assert sorted(released_since(3)) == sorted([(held[0], action.pk), (held[1], action.pk), (held[2], None)])
    assert outcome(action) == Outcome(asked=3, changed=2, already=1)


def test_a_killed_process_leaves_one_window_and_the_next_one_closes_it(home, held, moderator, process_env):
    with killed_in_its_first_call("release", *held, "--reason", "x", "--yes", env=process_env()):
        assert list(fates(Action.objects.get()).values()).count(Fate.CALLED) == open_windows() == 1
    action = Action.objects.get()
    Work.objects.update(updated_at="2026-01-01T00:00:00Z")  # hours go by, and nobody follows

    follow()  # whoever looks at the feed next
    assert open_windows() == 0
    OTHERS.release(held[0])
    follow()
    attempt(action, stop=threading.Event())

    assert sorted(released_since(3)) == sorted([(held[0], None), (held[1], action.pk), (held[2], action.pk)])
    assert outcome(action) == Outcome(asked=3, changed=2, already=1)


@pytest.mark.sqlite
def test_a_killed_process_is_given_the_time_its_call_may_take(home, held, process_env):
    with killed_in_its_first_call("release", *held, "--reason", "x", "--yes", env=process_env()):
        pass
    home.release(held[0])  # its call, carried out by the homeserver after it was killed

    follow()

    assert released_since(3) == [(held[0], Action.objects.get().pk)]
    assert open_windows() == 1  # until its work is taken up


def test_what_an_action_did_and_others_undid_is_neither_repeated_nor_told_twice(home, held, moderator):
    action = begin(home, Verb.RELEASE, *held, staff=moderator)

    class Killed(SampleHomeserver):
        def release(self, mxc):
            super().release(mxc)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(action, Killed(user_id=US))
    for again in (OTHERS.quarantine, OTHERS.release, OTHERS.quarantine):
        again(held[0])
    follow()
    perform(action, home)

    assert [row[-1] for row in told()[3:] if row[0] == held[0]] == [action.pk, None, None, None]
    assert fates(action) == {held[0]: Fate.LEFT, held[1]: Fate.CHANGED, held[2]: Fate.CHANGED}
    assert OTHERS.media(held[0]).quarantined_by == SOMEBODY
    assert {source for _, _, _, source, pk in told() if pk} == {Source.ACTION}
