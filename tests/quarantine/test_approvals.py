"""The two-person rule: what waits, who may rule on it, and that of two rulings one is the one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from quarantine.accounts.staff import (
    NotAllowedError,
    account_of_automation,
    account_of_terminal,
    disable_staff,
    set_role,
)
from quarantine.acting import actions, approvals
from quarantine.acting.actions import ActionError
from quarantine.acting.approvals import RulingError, approve, awaiting, decline, plan_again, withdraw
from quarantine.acting.plans import plan_undo
from quarantine.homeserver.models import LocalMedia
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Action, AppendOnlyError, Change, Proposal, Role, Ruling, Verb, Work
from quarantine.worker import Worker, attempt, due, perform_if_small
from tests.factories import make_staff
from tests.quarantine.acting import US, begin, cache, do, outcome, perform, planned, status, told, upload

pytestmark = pytest.mark.django_db(transaction=True)
SERVER = "spam.example"


@pytest.fixture
def lead(home, settings):
    settings.TWO_PERSON_RULE, settings.TWO_PERSON_LIMIT = True, 2
    return make_staff("lena", role=Role.LEAD)


@pytest.fixture
def second(home):
    return make_staff("root", role=Role.ADMIN)


@pytest.fixture
def held(home, lead):
    """A whole server, asked for by a lead."""
    cache(home, "a")
    cache(home, "b")
    return begin(home, Verb.QUARANTINE, staff=lead, origins=(SERVER,))


def seen(action, home):
    return plan_again(action, homeserver=home).digest


def approved(action, home, *, staff, note=""):
    approve(action, staff=staff, note=note, seen=seen(action, home), homeserver=home)


def rulings():
    return list(Ruling.objects.values_list("kind", "staff__username", "note"))


# --- What waits ---------------------------------------------------------------------------


def test_what_waits_is_on_record_and_nobody_does_it(home, held, lead):
    for process in (lambda: perform_if_small(held), lambda: attempt(held, stop=threading.Event())):
        process()
    for control in (actions.resume, actions.pause, actions.cancel):
        control(held, staff=lead)

    assert status(held) == "held"
    assert due() == []
    assert told() == []
    assert (held.staff, held.intents.count(), held.proposal.affected) == (lead, 2, 2)


def test_only_what_is_large_waits_and_only_while_the_rule_is_on(home, lead, settings):
    media = [upload(home, name) for name in ("a", "b", "c")]
    quarantined = do(home, Verb.QUARANTINE, *media, staff=lead)
    assert status(begin(home, Verb.RELEASE, *media[:2], staff=lead)) == "waiting"
    assert status(begin(home, Verb.RELEASE, *media, staff=lead)) == "held"
    undo = actions.start(plan_undo(quarantined), staff=lead, category="spam", reason="mistake")
    assert status(undo) == "held"  # one's own, too

    settings.TWO_PERSON_RULE = False

    assert status(begin(home, Verb.RELEASE, *media, staff=lead)) == "waiting"


def test_the_undoing_of_what_was_approved_waits_too(home, held, second, lead):
    approved(held, home, staff=second)
    perform(held, home)

    undo = actions.start(plan_undo(held), staff=second, category="spam", reason="mistake")

    assert (status(undo), undo.undoes) == ("held", held)
    with pytest.raises(RulingError, match="somebody else"):
        approved(undo, home, staff=second)
    approved(undo, home, staff=lead)
    perform(undo, home)
    assert outcome(undo).changed == 2


def test_accounts_that_are_nobodys_cannot_ask(home, lead):
    cache(home, "a")

    with pytest.raises(ActionError, match="--staff NAME"):
        begin(home, Verb.QUARANTINE, staff=account_of_terminal(), origins=(SERVER,))
    with pytest.raises(NotAllowedError):
        begin(home, Verb.QUARANTINE, staff=account_of_automation(), origins=(SERVER,))

    assert not Action.objects.exists()


# --- Who rules ----------------------------------------------------------------------------


def test_approved_by_another_it_is_done_and_both_are_named(home, held, second):
    approved(held, home, staff=second, note=" seen ")

    assert rulings() == [("approved", "root", "seen")]
    assert [work.pk for work in due()] == [held.pk]
    perform(held, home)
    assert outcome(held).changed == 2
    assert set(Change.objects.values_list("changed_by", "action__ruling__staff__username")) == {("lena", "root")}
    with pytest.raises(AppendOnlyError):
        Ruling.objects.update(note="")
    with pytest.raises(AppendOnlyError):
        Proposal.objects.all().delete()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR, Role.AUDITOR])
def test_others_than_leads_and_admins_rule_on_nothing(home, held, role):
    nobody = make_staff("nobody", role=role)

    for attempted in (lambda: approved(held, home, staff=nobody), lambda: decline(held, staff=nobody, note="no")):
        with pytest.raises(NotAllowedError):
            attempted()
    with pytest.raises((NotAllowedError, RulingError)):
        withdraw(held, staff=nobody)

    assert (rulings(), status(held), awaiting(nobody)) == ([], "held", 0)


def test_nobody_rules_on_their_own_and_nobody_else_withdraws(home, held, lead, second):
    refusals = {
        "somebody else has to": lambda: approved(held, home, staff=lead),
        "asked for this yourself": lambda: decline(held, staff=lead, note="no"),
        "Only who asked": lambda: withdraw(held, staff=second),
        "Say why": lambda: decline(held, staff=second, note=" "),
        "no longer what you saw": lambda: approve(held, staff=second, note="", seen="", homeserver=home),
    }

    for sentence, attempted in refusals.items():
        with pytest.raises(RulingError, match=sentence):
            attempted()

    assert (rulings(), status(held)) == ([], "held")
    assert (awaiting(lead), awaiting(second)) == (0, 1)


def test_the_plan_that_is_approved_is_the_plan_that_was_seen(home, held, second):
    before = seen(held, home)
    upload(home, "a again")  # a copy of what is asked for: it would be carried along

    with pytest.raises(RulingError, match="no longer what you saw"):
        approve(held, staff=second, note="", seen=before, homeserver=home)

    approved(held, home, staff=second)
    assert (held.proposal.affected, Ruling.objects.get().affected) == (2, 3)
    assert LocalMedia.objects.filter(quarantined_by=None).count() == 1  # nothing is done by approving


def test_what_somebody_else_did_meanwhile_is_not_approved(home, held, second):
    do(home, Verb.QUARANTINE, *(intent.mxc for intent in held.intents.all()), staff=second)

    with pytest.raises(RulingError, match="Nothing of it would change"):
        approved(held, home, staff=second)

    assert (rulings(), status(held)) == ([], "held")


@pytest.mark.parametrize("ending", ["declined", "withdrawn"])
def test_what_is_declined_or_withdrawn_is_never_done(home, held, lead, second, ending):
    if ending == "declined":
        decline(held, staff=second, note="the wrong server")
    else:
        withdraw(held, staff=lead)

    with pytest.raises(RulingError, match=f"has {ending} it already"):
        approved(held, home, staff=second)
    attempt(held, stop=threading.Event())
    assert (Work.objects.get(action=held).over, status(held), told()) == (True, "cancelled", [])
    assert [ruling[0] for ruling in rulings()] == [ending]


@pytest.mark.parametrize("lose", [lambda: disable_staff("lena"), lambda: set_role(name="lena", role=Role.VIEWER)])
def test_what_somebody_asked_for_who_may_no_longer_act_is_not_approved(home, held, second, lose):
    lose()

    with pytest.raises(RulingError, match="may no longer act"):
        approved(held, home, staff=second)

    decline(held, staff=second, note="left us")
    assert status(held) == "cancelled"


# --- Time ---------------------------------------------------------------------------------


def expired(home, lead, settings):
    settings.TWO_PERSON_HOURS = -1
    cache(home, "c", origin="late.example")
    return begin(home, Verb.QUARANTINE, staff=lead, origins=("late.example",))


def test_what_nobody_approves_in_time_expires_also_where_nobody_follows(home, lead, second, settings):
    action = expired(home, lead, settings)
    assert awaiting(second) == 0

    with pytest.raises(RulingError, match="It has expired"):
        approved(action, home, staff=second)

    assert (rulings(), status(action)) == ([("expired", None, "")], "cancelled")


def test_the_process_that_follows_ends_what_is_late_and_nothing_else(home, held, lead, settings):
    late = expired(home, lead, settings)

    Worker(threading.Event()).tick()

    assert (status(late), status(held)) == ("cancelled", "held")
    assert list(Ruling.objects.values_list("action", "kind")) == [(late.pk, "expired")]


def test_the_time_is_as_set(home, held, settings):
    hours = (held.proposal.expires_at - datetime.now(UTC)) / timedelta(hours=1)

    assert 23.9 < hours < 24


# --- At the same moment, and killed -------------------------------------------------------


def at_once(attempted, barrier):
    try:
        barrier.wait()
        attempted()
    except RulingError as error:
        return str(error)
    finally:
        connections.close_all()
    return "ruled"


PAIRS = ["approved twice", "approved and withdrawn", "declined and withdrawn", "approved and expired"]


@pytest.mark.parametrize("pair", PAIRS * 3)
def test_of_two_rulings_at_once_exactly_one_is_the_one(home, held, lead, second, pair):
    third, digest = make_staff("theo", role=Role.LEAD), seen(held, home)
    by = {
        "approved": lambda: approve(held, staff=second, note="", seen=digest, homeserver=home),
        "twice": lambda: approve(held, staff=third, note="", seen=digest, homeserver=home),
        "declined": lambda: decline(held, staff=second, note="no"),
        "withdrawn": lambda: withdraw(held, staff=lead),
        "expired": lambda: approvals.record(held, Ruling.Kind.EXPIRED) or at_once_lost(held),
    }
    barrier = threading.Barrier(2)

    with ThreadPoolExecutor(2) as pool:
        words = [word for word in pair.split() if word != "and"]
        ends = sorted(pool.map(at_once, [by[word] for word in words], [barrier] * 2))

    [kind] = Ruling.objects.values_list("kind", flat=True)
    assert status(held) == ("waiting" if kind == "approved" else "cancelled")
    assert ends.count("ruled") == 1


def at_once_lost(action):
    raise RulingError(approvals.already(action))


def test_a_process_killed_while_it_rules_has_ruled_nothing(home, held, second, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("quarantine.acting.approvals.change", killed)
        with pytest.raises(KeyboardInterrupt):
            approved(held, home, staff=second)
    assert (rulings(), status(held)) == ([], "held")

    approved(held, home, staff=second)
    perform(held, home)
    assert outcome(held).changed == 2


def test_a_process_killed_after_the_approval_leaves_it_to_the_one_that_follows(home, held, second):
    class Killed(SampleHomeserver):
        def quarantine(self, mxc):
            super().quarantine(mxc)
            raise KeyboardInterrupt

    approved(held, home, staff=second)
    with pytest.raises(KeyboardInterrupt):
        perform(held, Killed(user_id=US))
    perform(held, home)

    assert outcome(held).changed == 2
    assert len(told()) == 2


def test_a_large_release_by_a_moderator_who_undoes_their_own_waits_for_a_lead(home, lead):
    moderator = make_staff("priya")
    media = [upload(home, name) for name in ("a", "b", "c")]
    action = do(home, Verb.QUARANTINE, *media, staff=moderator)

    undo = actions.start(plan_undo(action), staff=moderator, category="spam", reason="mistake")

    assert status(undo) == "held"
    with pytest.raises(NotAllowedError):
        approved(undo, home, staff=moderator)
    approved(undo, home, staff=lead)
    perform(undo, home)
    assert not [mxc for mxc in media if home.media(mxc).quarantined_by]
    assert planned(home, Verb.RELEASE, *media).affected == 0
