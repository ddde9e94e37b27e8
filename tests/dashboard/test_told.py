"""Actions on their page and in the list: whether they can be undone, and what undid them."""

from dataclasses import replace
from threading import Event

import pytest

from quarantine import ledger
from quarantine.acting import actions
from quarantine.acting.aims import Aim
from quarantine.acting.plans import plan, plan_undo
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Verb
from quarantine.worker import attempt
from tests.factories import make_action, make_categories, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
MALLORY = "@mallory:matrix.example"


@pytest.fixture
def home(transactional_db):
    ledger.bind()
    make_categories()
    return SampleHomeserver(user_id="@ann:matrix.example")


@pytest.fixture
def priya(home):
    return make_staff("priya")


@pytest.fixture
def moderator(client, priya):
    client.force_login(priya)
    return client


def done(planned, priya):
    action = actions.start(planned, staff=priya, category="spam", reason="case 7")
    attempt(action, stop=Event())
    return action


def quarantined(media, priya):
    return done(plan(verb=Verb.QUARANTINE, aim=Aim(media=tuple(media)), homeserver=gateway()), priya)


def uploaded(home, *hashes):
    return [home.upload(File(sha256=one * 64 if one else None), uploader=MALLORY) for one in hashes]


def offers(client, action):
    """On its page, and in the list."""
    undo = f'href="/actions/{action.pk}/undo/"'
    return [undo in client.get(page).text for page in (f"/actions/{action.pk}/", "/actions/")]


def test_what_was_undone_whole_is_not_offered_again_and_says_by_what(moderator, priya, home):
    first, _copy = uploaded(home, "a", "a")
    action = quarantined([first], priya)  # and the copy with it
    assert offers(moderator, action) == [True, True]

    undo = done(plan_undo(action), priya)

    assert offers(moderator, action) == [False, False]
    assert offers(moderator, undo) == [True, True]
    link = f'<a class="link" href="/actions/{undo.pk}/">'
    assert f"Undone by {link}action {undo.pk}</a>" in moderator.get("/actions/").text
    assert f"Undone by priya: {link}action {undo.pk}</a>" in moderator.get(f"/actions/{action.pk}/").text


def test_protection_that_was_taken_back_is_not_offered_again(moderator, priya, home):
    aim = Aim(media=tuple(uploaded(home, "a", "b")))
    action = done(plan(verb=Verb.PROTECT, aim=aim, homeserver=gateway()), priya)

    done(plan_undo(action), priya)

    assert offers(moderator, action) == [False, False]


def test_what_was_undone_in_part_is_undone_further(moderator, priya, home):
    media = uploaded(home, None, None)
    action = quarantined(media, priya)
    undo = plan_undo(action)
    part = done(replace(undo, items=undo.items[:1]), priya)

    assert part.undoes == action
    assert offers(moderator, action) == [True, True]
    assert "Undone by <a" not in moderator.get("/actions/").text
    rest = done(plan_undo(action), priya)
    assert offers(moderator, action) == [False, False]
    assert f"action {rest.pk}</a>" in moderator.get("/actions/").text


def test_the_list_costs_the_same_however_much_was_undone(moderator, priya, django_assert_num_queries):
    for _ in range(5):
        make_action(undoes=make_action())

    moderator.get("/actions/")
    with django_assert_num_queries(7):
        moderator.get("/actions/")


def test_an_undo_that_came_to_nothing_undid_nothing(moderator, priya, home):
    action = quarantined(uploaded(home, "a"), priya)
    undo = actions.start(plan_undo(action), staff=priya, category="", reason="a mistake")
    assert "Being undone by priya" in moderator.get(f"/actions/{action.pk}/").text

    actions.cancel(undo, staff=priya)

    page = moderator.get(f"/actions/{action.pk}/").text
    assert "Being undone" not in page
    assert "Undone by" not in page
    assert offers(moderator, action) == [True, True]
