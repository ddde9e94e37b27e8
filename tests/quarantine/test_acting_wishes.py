"""What staff wish of an action is heeded whenever they wish it: also while its work begins, rests or stops."""

import threading

import pytest
from django.db import connections

from quarantine import performance, worker
from quarantine.acting import actions
from quarantine.models import Verb, Work
from quarantine.worker import attempt
from tests.quarantine.acting import begin, perform, status, told, upload

pytestmark = pytest.mark.django_db(transaction=True)
ENDS = {actions.cancel: "cancelled", actions.pause: "paused"}


@pytest.fixture
def action(home, moderator):
    return begin(home, Verb.QUARANTINE, upload(home, "a"), staff=moderator)


def before(monkeypatch, module, name, do):
    """Have something be done right before a function of that module is called, once."""
    whole, due = getattr(module, name), [do]

    def call(*args, **named):
        if due:
            due.pop()()
        return whole(*args, **named)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize("wish", ENDS, ids=ENDS.values())
def test_work_that_was_stopped_as_it_was_to_begin_does_not_begin(action, moderator, monkeypatch, wish):
    before(monkeypatch, worker, "gateway", lambda: wish(action, staff=moderator))

    attempt(action, stop=threading.Event())

    assert (status(action), told()) == (ENDS[wish], [])


def end_the_turn():
    Work.objects.filter(status=Work.Status.RUNNING).update(status=Work.Status.WAITING)
    connections.close_all()


@pytest.mark.parametrize("wish", ENDS, ids=ENDS.values())
def test_a_wish_while_the_turn_ends_is_kept_for_the_next(action, moderator, monkeypatch, wish):
    Work.objects.update(status=Work.Status.RUNNING)
    rest = threading.Thread(target=end_the_turn)
    looked = actions.change

    def look(*args, **fields):
        done = looked(*args, **fields)
        if not rest.ident:
            rest.start()
            rest.join(0.5)  # it gets there only where nobody holds the work still
        return done

    monkeypatch.setattr(actions, "change", look)
    wish(action, staff=moderator)
    rest.join()
    monkeypatch.undo()
    attempt(action, stop=threading.Event())

    assert (status(action), told()) == (ENDS[wish], [])


def test_of_two_wishes_the_later_holds(home, action, moderator, monkeypatch):
    Work.objects.update(status=Work.Status.RUNNING, wish=Work.Wish.PAUSE)
    before(monkeypatch, performance, "close", lambda: actions.cancel(action, staff=moderator))

    perform(action, home)

    assert (status(action), told()) == ("cancelled", [])
