"""What waits for a second person is what one person does, in however many pieces, lists, requests and accounts."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connections, models

from quarantine.accounts.staff import account_of_automation, account_of_terminal
from quarantine.acting import actions
from quarantine.acting.actions import ActionError, Outcome
from quarantine.acting.approvals import RulingError, approve, awaiting, decline, plan_again
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.sample import File
from quarantine.models import Action, Change, Role, Verb, Work
from quarantine.mxc import Mxc
from tests.factories import make_staff
from tests.quarantine.acting import begin, cache, do, outcome, perform, planned, status, upload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lena(home, settings):
    settings.TWO_PERSON_RULE, settings.TWO_PERSON_LIMIT = True, 3
    return make_staff("lena", role=Role.LEAD)


@pytest.fixture
def root(home):
    return make_staff("root", role=Role.ADMIN)


@pytest.fixture
def media(home, root):
    """Eight, quarantined."""
    media = [upload(home, name) for name in "abcdefgh"]
    do(home, Verb.QUARANTINE, *media, staff=root)
    return media


def release(home, *media, staff):
    return status(begin(home, Verb.RELEASE, *media, staff=staff))


def quarantine(home, *media, staff):
    return status(begin(home, Verb.QUARANTINE, *media, staff=staff))


def make_older(action, by):
    models.QuerySet(Action).filter(pk=action.pk).update(created_at=datetime.now(UTC) - by)


# --- Several releases ---------------------------------------------------------------------


def test_small_releases_of_one_person_are_one_large_one(home, lena, root, media):
    assert release(home, *media[:2], staff=lena) == "waiting"
    assert release(home, media[2], staff=lena) == "waiting"

    assert release(home, media[3], staff=lena) == "held"
    assert release(home, media[4], staff=lena) == "held"
    assert release(home, *media[:3], staff=root) == "waiting"


def test_what_was_done_an_hour_ago_no_longer_counts(home, lena, media):
    earlier = begin(home, Verb.RELEASE, *media[:3], staff=lena)

    make_older(earlier, timedelta(minutes=59))
    assert release(home, media[3], staff=lena) == "held"
    make_older(earlier, timedelta(minutes=61))
    assert release(home, media[4], staff=lena) == "waiting"


@pytest.mark.parametrize("ruled", ["approved", "declined", "open"])
def test_what_waits_or_somebody_else_looked_at_does_not_count(home, lena, root, media, ruled):
    held = begin(home, Verb.RELEASE, *media[:4], staff=lena)
    if ruled == "approved":
        approve(held, staff=root, note="", seen=plan_again(held, homeserver=home).digest, homeserver=home)
    if ruled == "declined":
        decline(held, staff=root, note="no")

    assert release(home, *media[5:8], staff=lena) == "waiting"


def test_copies_count_and_quarantine_does_not(home, lena, media):
    quarantine(home, *(upload(home, name) for name in "stuv"), staff=lena)
    for copy in ("a again", "a thrice"):
        upload(home, copy)

    assert release(home, media[0], staff=lena) == "waiting"  # three media items
    assert release(home, media[1], staff=lena) == "held"


def test_of_what_was_cancelled_counts_what_it_did(home, lena, media):
    cancelled = begin(home, Verb.RELEASE, *media[:3], staff=lena)
    assert release(home, media[3], staff=lena) == "held"

    actions.cancel(cancelled, staff=lena)
    assert release(home, media[3], staff=lena) == "waiting"

    Work.objects.filter(action=cancelled).update(outcome={"changed": 1, "copies": 2})
    assert release(home, media[4], staff=lena) == "held"


def test_an_action_of_the_version_before_counts_as_what_was_asked_for(home, lena, media):
    earlier = begin(home, Verb.RELEASE, *media[:3], staff=lena)
    Work.objects.filter(action=earlier).update(planned=None)

    assert release(home, media[3], staff=lena) == "held"


def test_a_terminal_is_told_to_name_somebody(home, lena, media):
    terminal = account_of_terminal()
    begin(home, Verb.RELEASE, *media[:3], staff=terminal)

    with pytest.raises(ActionError, match="--staff NAME"):
        begin(home, Verb.RELEASE, media[3], staff=terminal)


def test_off_it_counts_nothing(home, lena, media, settings):
    settings.TWO_PERSON_RULE = False

    assert [release(home, one, staff=lena) for one in media[:5]] == ["waiting"] * 5


# --- At the same moment -------------------------------------------------------------------


def at_once(number, attempted):
    def one(which):
        try:
            return attempted(which)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return sorted(pool.map(one, range(number)))


@pytest.mark.parametrize("kind", ["releases", "lists"])
def test_of_two_at_the_same_moment_one_waits(home, lena, media, monkeypatch, kind):
    """Each has measured itself before the other is recorded, if that were possible."""
    remote = [cache(home, name) for name in "stuv"]
    verb, asked = (Verb.RELEASE, media) if kind == "releases" else (Verb.QUARANTINE, remote)
    plans = [planned(home, verb, *asked[:2]), planned(home, verb, *asked[2:4])]
    both, make_work = threading.Barrier(2), actions.make_work

    def meet(*args, **kwargs):
        with suppress(threading.BrokenBarrierError):
            both.wait(timeout=1)
        make_work(*args, **kwargs)

    monkeypatch.setattr(actions, "make_work", meet)
    ends = at_once(2, lambda n: status(actions.start(plans[n], staff=lena, category="spam", reason="case 7")))

    assert ends == ["held", "waiting"]


# --- A list that is a whole server --------------------------------------------------------


def test_a_list_of_most_of_a_server_is_a_whole_server(home, lena, root):
    remote = [cache(home, name) for name in "abcdefg"]  # seven
    here = [upload(home, name) for name in "stuvwxyz"]

    assert quarantine(home, *here, staff=lena) == "waiting"
    assert quarantine(home, *remote[:4], staff=root) == "held"
    cache(home, "h")
    assert quarantine(home, *remote[:4], staff=root) == "waiting"  # half of eight


@pytest.mark.parametrize("done", [True, False])
def test_lists_of_one_person_add_up_to_a_server(home, lena, root, done):
    remote = [cache(home, name) for name in "abcdef"]
    first = begin(home, Verb.QUARANTINE, *remote[:3], staff=lena)
    if done:
        perform(first, home)

    assert quarantine(home, remote[3], staff=root) == "waiting"
    assert quarantine(home, remote[3], staff=lena) == "held"


def test_half_of_a_server_is_not_most_of_it_whatever_of_it_is_done(home, lena):
    remote = [cache(home, name) for name in "abcdefgh"]
    perform(begin(home, Verb.QUARANTINE, *remote[:3], staff=lena), home)

    assert quarantine(home, remote[3], staff=lena) == "waiting"
    assert quarantine(home, remote[4], staff=lena) == "held"


def test_a_small_server_is_no_great_matter_and_few_of_a_large_one_neither(home, lena):
    small = [cache(home, name, origin="small.example") for name in "abc"]
    large = [cache(home, name, origin="large.example") for name in "defghijk"]

    assert quarantine(home, *small, *large[:3], staff=lena) == "waiting"


def test_what_was_cancelled_is_no_part_of_a_server(home, lena):
    remote = [cache(home, name) for name in "abcdef"]
    actions.cancel(begin(home, Verb.QUARANTINE, *remote[:3], staff=lena), staff=lena)

    assert quarantine(home, *remote[3:5], staff=lena) == "waiting"


def test_files_that_are_back_are_quarantined_whatever_the_server(home, lena):
    remote = [cache(home, name) for name in "abcd"]

    assert quarantine(home, *remote, staff=account_of_automation()) == "waiting"


def test_where_nobody_can_tell_nothing_begins(home, lena, monkeypatch):
    remote = [cache(home, name) for name in "abcd"]
    plan = planned(home, Verb.QUARANTINE, *remote)

    def away(*_, **__):
        msg = "no route to host"
        raise HomeserverAwayError(msg)

    monkeypatch.setattr("quarantine.homeserver.media.of_origin", away)
    with pytest.raises(ActionError, match="no route to host"):
        actions.start(plan, staff=lena, category="spam", reason="")

    assert not Action.objects.exists()


# --- Two accounts -------------------------------------------------------------------------


def test_accounts_of_one_id_at_the_provider_are_one_person(home, lena, root, media):
    other = make_staff("lena2", role=Role.LEAD)
    for staff, provider, uid in ((lena, "new", "17"), (other, "old", "17"), (root, "old", "18")):
        SocialAccount.objects.create(user=staff, provider=provider, uid=uid)
    release(home, *media[:3], staff=lena)

    assert release(home, media[3], staff=root) == "waiting"
    held = begin(home, Verb.RELEASE, media[3], staff=other)
    assert status(held) == "held"
    with pytest.raises(RulingError, match="somebody else"):
        approve(held, staff=lena, note="", seen=plan_again(held, homeserver=home).digest, homeserver=home)
    assert (awaiting(lena), awaiting(other), awaiting(root)) == (0, 0, 1)


@pytest.mark.parametrize("before", ["not-quarantined", "unknown"])
def test_what_is_quarantined_only_later_is_not_released_by_what_was_begun_before(home, lena, root, before):
    first, *others = [upload(home, name) for name in "abcdefgh"] if before == "not-quarantined" else named(8)
    if before == "unknown":
        home.cache_remote(File(sha256="0" * 64), mxc=first)
    do(home, Verb.QUARANTINE, first, staff=root)
    action = begin(home, Verb.RELEASE, first, *others, staff=lena)
    assert status(action) == "waiting"
    actions.pause(action, staff=lena)
    if before == "unknown":
        for number, mxc in enumerate(others, 1):
            home.cache_remote(File(sha256=str(number) * 64), mxc=mxc)
    do(home, Verb.QUARANTINE, *others, staff=root)
    actions.resume(action, staff=lena)

    perform(action, home)

    assert list(Change.objects.filter(action=action).values_list("media_id", flat=True)) == [first.media_id]
    kept = {"absent": 7} if before == "unknown" else {"already": 7}
    assert outcome(action) == Outcome(asked=8, changed=1, **kept)


def named(number):
    return [Mxc("spam.example", f"id-{each}") for each in range(number)]


def test_who_approves_a_release_is_shown_what_it_can_do(home, lena, root, media):
    later = upload(home, "later")
    held = begin(home, Verb.RELEASE, *media[:4], later, staff=lena)
    do(home, Verb.QUARANTINE, later, staff=root)

    shown = plan_again(held, homeserver=home)
    approve(held, staff=root, note="", seen=shown.digest, homeserver=home)
    perform(held, home)

    assert shown.affected == outcome(held).changed == 4
