"""Actions that meet trouble: windows that must close, items that must not hold up others, forms sent twice."""

import threading
from collections import Counter

import pytest
from django.db import connections

from quarantine.acting import actions
from quarantine.acting.actions import Outcome
from quarantine.acting.plans import PlanError, plan_undo
from quarantine.homeserver.gateway import SetupError, TroubleError, UnavailableError
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Fate, Intent, Source, State, Verb, Work
from quarantine.performance import BATCH
from quarantine.worker import Worker, attempt, perform_if_small
from tests.factories import make_staff
from tests.quarantine.acting import (
    SOMEBODY,
    US,
    begin,
    cache,
    do,
    fates,
    follow,
    outcome,
    perform,
    planned,
    told,
    upload,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Failing(SampleHomeserver):
    """Raises what it is told to for each media item; `done` says what it did all the same."""

    def __init__(self, errors=(), *, after=()):
        super().__init__(user_id=US)
        self.__dict__.update(errors=dict(errors), after=dict(after), done=[])

    def called(self, mxc, do):
        if mxc in self.errors:
            raise self.errors[mxc]
        self.done.append(mxc)
        do(mxc)
        if mxc in self.after:
            raise self.after.pop(mxc)

    def quarantine(self, mxc):
        self.called(mxc, super().quarantine)

    def release(self, mxc):
        self.called(mxc, super().release)


def status(action):
    return Work.objects.get(action=action).status


def still_open():
    return Intent.objects.filter(feed_head__isnull=False, feed_until=None).count()


# --- What comes later is not ours ---------------------------------------------------------


@pytest.mark.parametrize("stop", ["refused", "paused"])
def test_others_releases_after_a_stop_are_not_told_as_the_actions(home, moderator, monkeypatch, stop):
    """Release rows have no actor: only the window tells ours from theirs, so none may stay open."""
    media = [upload(home, "a"), upload(home, "b")]
    for mxc in media:
        SampleHomeserver(user_id=SOMEBODY).quarantine(mxc)
    follow()
    action = begin(home, Verb.RELEASE, *media, staff=moderator)
    error = SetupError("revoked") if stop == "refused" else UnavailableError("away")
    monkeypatch.setattr("quarantine.worker.gateway", lambda: Failing({media[1]: error}))
    attempt(action, stop=threading.Event())
    if stop == "paused":
        actions.pause(action, staff=moderator)
    assert status(action) == (Work.Status.STOPPED if stop == "refused" else Work.Status.PAUSED)
    assert still_open() == 0

    SampleHomeserver(user_id=SOMEBODY).release(media[1])
    follow()
    monkeypatch.setattr("quarantine.worker.gateway", lambda: home)
    actions.resume(action, staff=moderator)
    attempt(action, stop=threading.Event())

    assert told()[2:] == [
        (media[0], State.RELEASED, "priya", Source.ACTION, action.pk),
        (media[1], State.RELEASED, "", Source.FEED, None),
    ]
    assert outcome(action) == Outcome(asked=2, changed=1, already=1)


def test_a_call_that_was_carried_out_though_its_answer_was_lost_is_ours_and_not_repeated(home, moderator, monkeypatch):
    media = [upload(home, "a"), upload(home, "b")]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    lost = Failing(after={media[0]: UnavailableError("The connection to the homeserver broke.")})
    monkeypatch.setattr("quarantine.worker.gateway", lambda: lost)

    assert attempt(action, stop=threading.Event()) == 0.0
    assert fates(action) == {media[0]: Fate.CHANGED, media[1]: Fate.PENDING}
    attempt(action, stop=threading.Event())

    assert lost.done == media
    assert [row[2:] for row in told()] == [("priya", Source.ACTION, action.pk)] * 2


def test_cancelling_what_a_killed_process_had_called_tells_what_it_did(home, moderator, monkeypatch):
    media = [upload(home, "a"), upload(home, "b")]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    with pytest.raises(KeyboardInterrupt):
        perform(action, Failing(after={media[0]: KeyboardInterrupt()}))
    Work.objects.filter(action=action).update(status=Work.Status.WAITING)

    actions.cancel(action, staff=moderator)
    attempt(action, stop=threading.Event())

    assert status(action) == Work.Status.CANCELLED
    assert outcome(action) == Outcome(asked=2, changed=1)
    assert still_open() == 0


# --- One bad item, one slow homeserver ----------------------------------------------------


def test_an_item_that_always_fails_does_not_hold_up_the_others(home, moderator):
    media = [upload(home, f"m{one}") for one in range(3)]

    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    perform(action, Failing({media[1]: TroubleError("The homeserver is in trouble.")}))

    assert outcome(action) == Outcome(asked=3, changed=2, failed=1)
    assert action.intents.get(fate=Fate.FAILED).error == "The homeserver is in trouble."


def test_a_refused_copy_does_not_keep_the_other_from_being_asked_for(home, moderator):
    one, other = upload(home, "scam"), upload(home, "scam 2")
    action = begin(home, Verb.QUARANTINE, one, other, staff=moderator)

    perform(action, Failing({one: TroubleError("The homeserver is in trouble.")}))

    assert outcome(action).changed == 2  # the second call followed the hash to the first


def test_a_copy_that_is_deleted_meanwhile_does_not_stand_for_the_other(home, moderator):
    one, other = upload(home, "scam"), upload(home, "scam 2")
    action = begin(home, Verb.QUARANTINE, one, other, staff=moderator)

    class Deleting(SampleHomeserver):
        def quarantine(self, mxc):
            if mxc == one:
                self.delete(one)
            super().quarantine(mxc)

    perform(action, Deleting(user_id=US))

    assert outcome(action) == Outcome(asked=2, changed=1, absent=1)


def test_a_page_does_not_wait_for_a_slow_homeserver(home, moderator, monkeypatch):
    media = [upload(home, f"m{one}") for one in range(5)]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    first_call = threading.Event()

    class Slow(Failing):
        def quarantine(self, mxc):
            super().quarantine(mxc)
            first_call.wait(0.1)

    slow = Slow()
    monkeypatch.setattr("quarantine.worker.gateway", lambda: slow)
    monkeypatch.setattr("quarantine.worker.AT_ONCE_SECONDS", 0.02)
    perform_if_small(action)
    assert status(action) == Work.Status.WAITING
    assert len(slow.done) < 5

    attempt(action, stop=threading.Event())

    assert Counter(slow.done) == Counter(media)
    assert outcome(action) == Outcome(asked=5, changed=5)


def test_a_large_action_lets_others_have_their_turn(home, moderator, monkeypatch):
    large = begin(home, Verb.QUARANTINE, *(upload(home, f"m{one}") for one in range(2 * BATCH)), staff=moderator)
    small = begin(home, Verb.QUARANTINE, upload(home, "urgent"), staff=moderator)
    monkeypatch.setattr("quarantine.worker.TURN", 1)
    worker = Worker(threading.Event())

    worker.tick()
    worker.thread.join()

    assert (Work.objects.get(action=large).done, status(small)) == (BATCH, Work.Status.FINISHED)
    assert status(large) == Work.Status.WAITING  # nobody is at it, so that pausing it takes no process


def test_what_nobody_foresaw_stops_one_action_alone(home, moderator, monkeypatch):
    broken, fine = (begin(home, Verb.QUARANTINE, upload(home, name), staff=moderator) for name in ("a", "b"))
    [item] = broken.intents.all()
    worker = Worker(threading.Event())
    monkeypatch.setattr("quarantine.worker.gateway", lambda: Failing({item.mxc: ZeroDivisionError()}))
    monkeypatch.setattr("threading.excepthook", lambda _: None)

    for _ in range(2):
        worker.not_before = float("-inf")
        worker.tick()
        worker.thread.join()

    assert (status(broken), status(fine)) == (Work.Status.STOPPED, Work.Status.FINISHED)
    assert "its log says how" in Work.objects.get(action=broken).message


# --- At the same moment -------------------------------------------------------------------


def test_two_actions_at_the_same_moment_make_one_call(home, moderator, monkeypatch):
    media, tom = upload(home, "a"), make_staff("tom")
    both = [begin(home, Verb.QUARANTINE, media, staff=staff) for staff in (moderator, tom)]
    counting, together = Failing(), threading.Barrier(2)
    monkeypatch.setattr("quarantine.worker.gateway", lambda: counting)

    def go(action):
        together.wait()
        try:
            attempt(action, stop=threading.Event())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=[action]) for action in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counting.done == [media]
    assert sorted(fates(action)[media] for action in both) == [Fate.ALREADY, Fate.CHANGED]
    [winner] = [action for action in both if fates(action)[media] == Fate.CHANGED]
    assert told() == [(media, State.QUARANTINED, winner.staff.username, Source.ACTION, winner.pk)]


# --- Undo ---------------------------------------------------------------------------------


def test_undo_waits_for_the_end_and_leaves_alone_what_was_protected_again(home, moderator):
    media = upload(home, "logo")
    first = do(home, Verb.PROTECT, media, staff=moderator)
    do(home, Verb.UNPROTECT, media, staff=moderator)
    do(home, Verb.PROTECT, media, staff=moderator)

    assert [item.fate for item in plan_undo(first).items] == [Fate.LEFT]
    with pytest.raises(PlanError, match="isn't over yet"):
        plan_undo(begin(home, Verb.QUARANTINE, upload(home, "a"), staff=moderator))


def test_whole_names_that_nothing_here_has_are_said(home):
    cache(home, "x", origin="spam.example")

    found = planned(
        home, Verb.QUARANTINE, origins=("Spam.Example",), users=("@Mallory:matrix.example",), hashes=("e" * 64,)
    )

    assert found.hints == [
        f"There is no file with the sha256 {'e' * 64} here.",
        "@Mallory:matrix.example has uploaded nothing here.",
        "Nothing of Spam.Example is cached here. Did you mean spam.example?",
    ]
