"""Actions on the sample homeserver: planned, done, verified, undone."""

import threading
from collections import Counter

import pytest

from quarantine.accounts.staff import NotAllowedError
from quarantine.acting import actions
from quarantine.acting.actions import ActionError, Outcome
from quarantine.acting.plans import SHARED, SINCE, plan_undo
from quarantine.homeserver.gateway import SetupError, UnavailableError
from quarantine.homeserver.models import LocalMedia
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Action, AppendOnlyError, Change, Fate, Intent, Role, Source, State, Verb, Work
from quarantine.performance import BATCH
from quarantine.worker import attempt, perform_if_small
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
)  # fmt: skip

pytestmark = pytest.mark.django_db(transaction=True)


class Flaky(SampleHomeserver):
    """The sample homeserver, failing after some calls, if ever; it counts them."""

    def __init__(self, *, fail_after=None, error=None):
        super().__init__(user_id=US)
        self.__dict__.update(calls=[], fail_after=fail_after, error=error)

    def quarantine(self, mxc):
        if len(self.calls) == self.fail_after:
            raise self.error
        self.calls.append(mxc)
        super().quarantine(mxc)


# --- Done and verified --------------------------------------------------------------------


def test_quarantining_one_of_four_copies_is_told_as_four(home, moderator):
    first, copy, remote = upload(home, "scam"), upload(home, "scam 2"), cache(home, "scam")
    another = cache(home, "scam 3")
    follow()

    action = do(home, Verb.QUARANTINE, first, staff=moderator)

    assert outcome(action) == Outcome(asked=1, changed=1, copies=3)
    assert str(outcome(action)) == "asked 1 · changed 1 (3 more with the same file)"
    assert Counter(told()) == Counter(
        (mxc, State.QUARANTINED, "priya", Source.ACTION, action.pk) for mxc in (first, copy, remote, another)
    )
    assert Work.objects.get(action=action).status == Work.Status.FINISHED


def test_the_outcome_is_what_is_true_not_what_was_answered(home, moderator):
    """The plan is old by the time it is done: protected, deleted and quarantined by others meanwhile."""
    media = [upload(home, name) for name in ("a", "b", "c", "d")]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    home.protect(media[1])
    home.delete(media[2])
    SampleHomeserver(user_id=SOMEBODY).quarantine(media[3])

    perform(action, home)

    assert [fates(action)[mxc] for mxc in media] == [Fate.CHANGED, Fate.PROTECTED, Fate.ABSENT, Fate.ALREADY]
    assert outcome(action) == Outcome(asked=4, changed=1, already=1, protected=1, absent=1)
    assert [row for row in told() if row[-1] is None] == [(media[3], State.QUARANTINED, SOMEBODY, Source.FEED, None)]


def test_what_others_do_meanwhile_is_never_told_as_ours(home, moderator):
    ours, theirs, back = upload(home, "a"), upload(home, "b"), upload(home, "c")
    SampleHomeserver(user_id=SOMEBODY).quarantine(back)
    follow()

    class Busy(SampleHomeserver):
        """Others act between our call and the reading of the feed."""

        def quarantine(self, mxc):
            super().quarantine(mxc)
            SampleHomeserver(user_id=SOMEBODY).quarantine(theirs)
            SampleHomeserver(user_id=SOMEBODY).release(back)

    action = do(Busy(user_id=US), Verb.QUARANTINE, ours, staff=moderator)

    assert told()[1:] == [
        (ours, State.QUARANTINED, "priya", Source.ACTION, action.pk),
        (theirs, State.QUARANTINED, SOMEBODY, Source.FEED, None),
        (back, State.RELEASED, "", Source.FEED, None),
    ]


def test_two_moderators_at_once_both_learn_the_truth(home, moderator):
    media, second = upload(home, "a"), make_staff("tom")
    one = begin(home, Verb.QUARANTINE, media, staff=moderator)
    other = begin(home, Verb.QUARANTINE, media, staff=second)

    perform(other, home)
    perform(one, home)

    assert (fates(other)[media], fates(one)[media]) == (Fate.CHANGED, Fate.ALREADY)
    assert told() == [(media, State.QUARANTINED, "tom", Source.ACTION, other.pk)]


def test_protection_is_set_and_taken_away_and_told(home, moderator):
    media = upload(home, "logo")

    action = do(home, Verb.PROTECT, media, staff=moderator)

    assert home.media(media).protected
    assert outcome(action) == Outcome(asked=1, changed=1)
    assert told() == []
    undone = actions.start(plan_undo(action), staff=moderator, category="spam", reason="not needed")
    perform(undone, home)
    assert not home.media(media).protected


def test_small_actions_are_done_at_once_and_large_ones_wait(home, moderator):
    few = begin(home, Verb.QUARANTINE, upload(home, "a"), staff=moderator)
    many = begin(home, Verb.QUARANTINE, *(upload(home, f"m{one}") for one in range(BATCH + 1)), staff=moderator)

    perform_if_small(few)
    perform_if_small(many)

    assert Work.objects.get(action=few).status == Work.Status.FINISHED
    assert Work.objects.get(action=many).status == Work.Status.WAITING


# --- Who may, and why ---------------------------------------------------------------------


def test_nothing_begins_without_right_reason_and_effect(home, moderator):
    media, held = upload(home, "a"), upload(home, "b")
    home.quarantine(held)
    good = planned(home, Verb.QUARANTINE, media)
    refused = [
        (good, make_staff("vi", role=Role.VIEWER), "spam", "", NotAllowedError),
        (good, moderator, "nonsense", "", ActionError),
        (good, moderator, "spam", "x" * 2_001, ActionError),
        (planned(home, Verb.RELEASE, held), moderator, "spam", "  ", ActionError),
        (planned(home, Verb.QUARANTINE, held), moderator, "spam", "", ActionError),
    ]

    for asked, staff, category, reason, error in refused:
        with pytest.raises(error):
            actions.start(asked, staff=staff, category=category, reason=reason)

    assert not Action.objects.exists()


@pytest.fixture
def lead(home):
    return make_staff("lena", role=Role.LEAD)


def test_a_whole_server_takes_a_lead_also_among_others_and_to_undo(home, moderator, lead):
    remote, local = cache(home, "a"), upload(home, "b")
    for aim in ({"origins": (remote.origin,)}, {"origins": (remote.origin,), "users": ("@mallory:matrix.example",)}):
        with pytest.raises(NotAllowedError, match="act on a whole server"):
            begin(home, Verb.QUARANTINE, staff=moderator, **aim)
    action = do(home, Verb.QUARANTINE, staff=lead, origins=(remote.origin,))

    with pytest.raises(NotAllowedError, match="act on a whole server"):
        actions.start(plan_undo(action), staff=moderator, category="spam", reason="mistake")

    assert Action.objects.get() == action
    assert home.media(local).quarantined_by is None


def test_a_large_release_takes_a_lead_and_a_large_quarantine_does_not(home, moderator, lead, settings):
    settings.BULK_RELEASE_LIMIT = 2
    media = [upload(home, name) for name in ("a", "b", "c", "c 2")]
    action = do(home, Verb.QUARANTINE, *media, staff=lead)

    for asked in (planned(home, Verb.RELEASE, media[0], media[2]), plan_undo(action)):  # a copy counts too
        with pytest.raises(NotAllowedError, match="release that many"):
            actions.start(asked, staff=moderator, category="spam", reason="mistake")

    assert outcome(do(home, Verb.RELEASE, *media[:2], staff=moderator)).changed == 2
    do(home, Verb.QUARANTINE, *media[:2], staff=moderator)
    assert outcome(do(home, Verb.RELEASE, *media, staff=lead)).changed == 4


def test_moderators_undo_their_own_however_large(home, moderator, settings):
    settings.BULK_RELEASE_LIMIT = 1
    media = [upload(home, name) for name in ("a", "b", "c")]
    action = do(home, Verb.QUARANTINE, *media, staff=moderator)
    another = make_staff("tom")

    with pytest.raises(NotAllowedError):
        actions.start(plan_undo(action), staff=another, category="spam", reason="mistake")
    undo = actions.start(plan_undo(action), staff=moderator, category="spam", reason="mistake")
    perform(undo, home)

    assert outcome(undo) == Outcome(asked=3, changed=3)


def test_an_action_is_append_only(home, moderator):
    action = do(home, Verb.QUARANTINE, upload(home, "a"), staff=moderator)
    action.reason = "something nicer"

    ways = [action.save, action.delete, Action.objects.all().delete, lambda: moderator.actions.update(reason="")]
    ways += [lambda: Action.objects.update(reason=""), lambda: Action.objects.bulk_update([action], ["reason"])]
    conflict = {"update_conflicts": True, "unique_fields": ["id"], "update_fields": ["reason"]}
    ways += [lambda: Action.objects.bulk_create([action], **conflict)]
    for change in ways:
        with pytest.raises(AppendOnlyError):
            change()

    assert Action.objects.get().reason == "case 7"


# --- Undo ---------------------------------------------------------------------------------


def test_an_action_is_undone_as_a_whole(home, moderator):
    media = [upload(home, "scam"), upload(home, "scam 2"), upload(home, "other")]
    action = do(home, Verb.QUARANTINE, media[0], media[2], staff=moderator)

    undo = actions.start(plan_undo(action), staff=moderator, category="other", reason="a mistake")
    perform(undo, home)

    assert undo.undoes == action
    assert not [mxc for mxc in media if home.media(mxc).quarantined_by]
    assert [row[1:] for row in told()[3:]] == [(State.RELEASED, "priya", Source.ACTION, undo.pk)] * 3


def test_undo_leaves_alone_what_somebody_touched_since(home, moderator):
    still, touched = upload(home, "a"), upload(home, "b")
    action = do(home, Verb.QUARANTINE, still, touched, staff=moderator)
    other = SampleHomeserver(user_id=SOMEBODY)
    other.release(touched)
    follow()
    other.quarantine(touched)
    follow()

    found = plan_undo(action)

    assert [(item.mxc, item.fate) for item in found.items] == [(still, Fate.CHANGED), (touched, Fate.LEFT)]
    assert found.items[1].why == SINCE


def test_undo_leaves_alone_what_would_carry_others_along(home, moderator):
    """Of two copies one was quarantined before us; releasing ours would release it too."""
    before, after, alone = upload(home, "scam"), upload(home, "x"), upload(home, "y")
    SampleHomeserver(user_id=SOMEBODY).quarantine(before)
    follow()
    LocalMedia.objects.filter(media_id=after.media_id).update(
        sha256=LocalMedia.objects.get(media_id=before.media_id).sha256
    )
    action = do(home, Verb.QUARANTINE, after, alone, staff=moderator)

    found = plan_undo(action)

    assert [(item.mxc, item.fate, item.why) for item in found.items] == [
        (after, Fate.LEFT, SHARED),
        (alone, Fate.CHANGED, ""),
    ]


# --- Interrupted --------------------------------------------------------------------------


def test_work_goes_on_where_the_homeserver_failed(home, moderator, monkeypatch):
    media = [upload(home, f"m{one}") for one in range(2 * BATCH + 5)]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    flaky = Flaky(fail_after=BATCH + 3, error=UnavailableError("The homeserver took too long to answer."))
    monkeypatch.setattr("quarantine.worker.gateway", lambda: flaky)

    assert attempt(action, stop=threading.Event()) == 0.0
    held = Work.objects.get(action=action)
    assert (held.status, held.done) == (Work.Status.WAITING, BATCH + 3)
    assert "took too long" in held.message
    flaky.__dict__.update(fail_after=None)
    assert attempt(action, stop=threading.Event()) is None

    assert outcome(action) == Outcome(asked=len(media), changed=len(media))
    assert Counter(flaky.calls) == Counter(media)  # nothing twice
    assert Counter(told()) == Counter((mxc, State.QUARANTINED, "priya", Source.ACTION, action.pk) for mxc in media)


def test_a_revoked_token_stops_it_and_it_can_be_resumed(home, moderator, monkeypatch):
    media = [upload(home, f"m{one}") for one in range(3)]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    revoked = Flaky(fail_after=1, error=SetupError("The homeserver doesn't know our access token."))
    monkeypatch.setattr("quarantine.worker.gateway", lambda: revoked)
    assert attempt(action, stop=threading.Event()) is None
    stopped = Work.objects.get(action=action)
    assert (stopped.status, stopped.message) == (Work.Status.STOPPED, "The homeserver doesn't know our access token.")

    monkeypatch.setattr("quarantine.worker.gateway", lambda: home)
    actions.resume(action, staff=moderator)
    attempt(action, stop=threading.Event())

    assert outcome(action) == Outcome(asked=3, changed=3)


def test_a_killed_process_repeats_nothing(home, moderator):
    """It had called, and died before it knew: what it announced is taken up, looked at and told as this action's."""
    media = [upload(home, "a"), upload(home, "b")]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)

    class Killed(SampleHomeserver):
        def quarantine(self, mxc):
            super().quarantine(mxc)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(action, Killed(user_id=US))
    assert fates(action) == {media[0]: Fate.CALLED, media[1]: Fate.PENDING}
    counting = Flaky()
    perform(action, counting)

    assert counting.calls == [media[1]]
    assert outcome(action) == Outcome(asked=2, changed=2)
    assert [row[2:] for row in told()] == [("priya", Source.ACTION, action.pk)] * 2


def test_pause_resume_and_cancel_are_heeded_between_two_batches(home, moderator):
    media = [upload(home, f"m{one}") for one in range(3 * BATCH)]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)

    class Watched(Flaky):
        """Staff change their mind during the first call of a batch."""

        def quarantine(self, mxc):
            super().quarantine(mxc)
            if len(self.calls) == 1:
                self.error(action, staff=moderator)

    perform(action, Watched(error=actions.pause))
    paused = Work.objects.get(action=action)
    assert (paused.status, paused.done) == (Work.Status.PAUSED, BATCH)
    actions.resume(action, staff=moderator)
    perform(action, Watched(error=actions.cancel))

    cancelled = Work.objects.get(action=action)
    assert (cancelled.status, cancelled.done) == (Work.Status.CANCELLED, 2 * BATCH)
    assert Change.objects.filter(action=action).count() == 2 * BATCH
    assert not Intent.objects.filter(feed_head__isnull=False, feed_until=None).exists()


def test_what_comes_after_a_call_is_not_the_actions(home, moderator):
    """Somebody quarantines the same media again with our own token's user, long after."""
    media = upload(home, "a")
    action = do(home, Verb.QUARANTINE, media, staff=moderator)
    home.release(media)
    follow()
    home.quarantine(media)
    follow()

    assert [row[-1] for row in told()] == [action.pk, None, None]
