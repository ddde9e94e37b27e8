"""Actions on the sample homeserver: planned, done, verified, undone."""

import hashlib
import threading
from collections import Counter

import pytest

from quarantine import actions, ledger
from quarantine.actions import ActionError, Outcome
from quarantine.aims import Aim, AimError
from quarantine.follow import Follower
from quarantine.homeserver.gateway import SetupError, UnavailableError
from quarantine.homeserver.models import LocalMedia
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, AppendOnlyError, Cause, Change, Fate, Intent, Role, Source, State, Verb, Work
from quarantine.mxc import Mxc
from quarantine.performance import BATCH, Performer, attempt, perform_if_small
from quarantine.plans import SHARED, SINCE, PlanError, plan, plan_undo
from quarantine.staff import NotAllowedError
from tests.factories import make_categories, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
HOME = "matrix.example"
US, SOMEBODY = f"@quarantine-dashboard:{HOME}", f"@alice:{HOME}"


@pytest.fixture
def home(transactional_db):
    """The sample homeserver with us as its moderator, the ledger bound to it."""
    ledger.bind()
    make_categories()
    return SampleHomeserver(user_id=US)


@pytest.fixture
def moderator(home):
    return make_staff("priya")


def upload(home, name, *, uploader="@mallory:matrix.example"):
    """Local media; the same content for the same first word of the name."""
    content = hashlib.sha256(name.split()[0].encode()).hexdigest()
    return home.upload(File(sha256=content, upload_name=name), uploader=uploader)


def cache(home, name, *, origin="spam.example"):
    mxc = Mxc(origin, f"id-{name}".replace(" ", "-"))
    home.cache_remote(File(sha256=hashlib.sha256(name.split()[0].encode()).hexdigest()), mxc=mxc)
    return mxc


def planned(home, verb, *media, **aim):
    return plan(verb=verb, aim=Aim(media=media, **aim), homeserver=home)


def begin(home, verb, *media, staff, reason="case 7", **aim):
    return actions.start(planned(home, verb, *media, **aim), staff=staff, category="spam", reason=reason)


def do(home, verb, *media, staff, **aim):
    """Plan, start and perform; the action."""
    action = begin(home, verb, *media, staff=staff, **aim)
    perform(action, home)
    return action


def perform(action, homeserver):
    Performer(action, homeserver, threading.Event()).go()


def follow():
    Follower(threading.Event()).settle()


def outcome(action):
    return Outcome(**Work.objects.get(action=action).outcome)


def fates(action):
    return {intent.mxc: Fate(intent.fate) for intent in action.intents.all()}


def told():
    """What the ledger says, in its order."""
    return [
        (change.mxc, change.state, change.changed_by, change.source, change.action_id)
        for change in Change.objects.order_by("stream_id")
    ]


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


# --- The plan -----------------------------------------------------------------------------


def test_the_plan_says_what_becomes_of_each(home):
    first, copy = upload(home, "scam"), upload(home, "scam again", uploader="@eve:matrix.example")
    remote = cache(home, "scam")
    shielded, held = upload(home, "logo"), upload(home, "old")
    home.protect(shielded)
    home.quarantine(held)
    typo = Mxc("Matrix.Example", first.media_id)

    found = planned(home, Verb.QUARANTINE, first, shielded, held, typo)

    assert {item.mxc: item.fate for item in found.items} == {
        first: Fate.CHANGED,
        shielded: Fate.PROTECTED,
        held: Fate.ALREADY,
        typo: Fate.ABSENT,
    }
    assert {row.mxc for row in found.copies} == {copy, remote}
    assert found.affected == 3
    assert found.uploaders == ["@eve:matrix.example", "@mallory:matrix.example"]
    assert found.origins == [HOME, "spam.example"]
    assert found.hints == [f"There is no {typo}. Did you mean {first}?"]


def test_a_plan_follows_users_rooms_hashes_and_servers(home):
    one, two = upload(home, "a", uploader="@bot:matrix.example"), upload(home, "b", uploader="@bot:matrix.example")
    far, further = cache(home, "c"), cache(home, "d", origin="other.example")
    sha256 = LocalMedia.objects.get(media_id=two.media_id).sha256
    home = SampleHomeserver(user_id=US, rooms={"!r:matrix.example": [far, further]})

    def names(**aim):
        return {item.mxc for item in planned(home, Verb.QUARANTINE, **aim).items}

    assert names(users=("@bot:matrix.example",)) == {one, two}
    assert names(hashes=(sha256,)) == {two}
    assert names(origins=("spam.example",)) == {far}
    assert names(rooms=("!r:matrix.example",)) == {far, further}


def test_what_cannot_be_planned_is_refused_in_a_sentence(home):
    remote = cache(home, "x")

    with pytest.raises(PlanError, match="Nothing was chosen"):
        planned(home, Verb.QUARANTINE)
    with pytest.raises(PlanError, match="Only local media can be protected"):
        planned(home, Verb.PROTECT, remote)
    with pytest.raises(PlanError, match="is this homeserver itself"):
        planned(home, Verb.QUARANTINE, origins=(HOME,))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"lines": ["mxc://a.example/b", "what is this"]}, "'what is this' is neither"),
        ({"lines": ["mxc://nothing"]}, "is not a media address"),
        ({"hashes": ["abc"]}, "'abc' is not a sha256"),
        ({"users": ["mallory"]}, "'mallory' is not a user id"),
        ({"rooms": ["#alias:a.example"]}, "is not a room id"),
        ({"origins": ["https://a.example"]}, "is not a server name"),
    ],
)
def test_an_aim_that_makes_no_sense_is_refused_in_a_sentence(said, complaint):
    with pytest.raises(AimError, match=complaint):
        Aim.read(**said)


def test_an_aim_is_read_from_anything_pasted():
    sha256 = "AB" * 32
    url = "https://matrix.example/_matrix/client/v1/media/download/spam.example/xyz/cat.png"

    aim = Aim.read(lines=["", "mxc://a.example/b ", url, sha256, "@eve:matrix.example", "mxc://a.example/b"])

    assert aim.media == (Mxc("a.example", "b"), Mxc("spam.example", "xyz"))
    assert (aim.hashes, aim.users) == ((sha256.lower(),), ("@eve:matrix.example",))
    assert aim.cause is Cause.LIST
    assert Aim.read(users=["@eve:matrix.example"]).cause is Cause.USER


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


def test_an_action_is_append_only(home, moderator):
    action = do(home, Verb.QUARANTINE, upload(home, "a"), staff=moderator)
    action.reason = "something nicer"

    for change in (action.save, action.delete, lambda: Action.objects.update(reason=""), Action.objects.all().delete):
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
    monkeypatch.setattr("quarantine.performance.gateway", lambda: flaky)

    assert attempt(action, stop=threading.Event())
    held = Work.objects.get(action=action)
    assert (held.status, held.done) == (Work.Status.WAITING, BATCH)
    assert "took too long" in held.message
    flaky.__dict__.update(fail_after=None)
    assert not attempt(action, stop=threading.Event())

    assert outcome(action) == Outcome(asked=len(media), changed=len(media))
    assert Counter(flaky.calls) == Counter(media)  # nothing twice
    assert Counter(told()) == Counter((mxc, State.QUARANTINED, "priya", Source.ACTION, action.pk) for mxc in media)


def test_a_revoked_token_stops_it_and_it_can_be_resumed(home, moderator, monkeypatch):
    media = [upload(home, f"m{one}") for one in range(3)]
    action = begin(home, Verb.QUARANTINE, *media, staff=moderator)
    revoked = Flaky(fail_after=1, error=SetupError("The homeserver doesn't know our access token."))
    monkeypatch.setattr("quarantine.performance.gateway", lambda: revoked)
    assert not attempt(action, stop=threading.Event())
    stopped = Work.objects.get(action=action)
    assert (stopped.status, stopped.message) == (Work.Status.STOPPED, "The homeserver doesn't know our access token.")

    monkeypatch.setattr("quarantine.performance.gateway", lambda: home)
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
    assert fates(action) == dict.fromkeys(media, Fate.CALLED)
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
