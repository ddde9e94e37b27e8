"""One's own account: sessions and password."""

import re

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from dashboard.signing_in.session_store import stored
from quarantine.accounts.staff import disable_staff, set_role
from quarantine.models import Role, Staff
from tests.dashboard import people
from tests.dashboard.people import PASSWORD
from tests.factories import make_staff

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "another horse battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


@pytest.fixture(autouse=True)
def anna(db):
    cache.clear()
    return make_staff("anna")


def signed_in(name="anna", *, browser=FIREFOX, address="192.0.2.7"):
    return people.signed_in(name, headers={"User-Agent": browser}, REMOTE_ADDR=address)


def may_read(client):
    return client.get("/account/").status_code == 200


def sessions_shown(client):
    """(browser, address) of each row, as they are read."""
    rows = re.findall(r"<tr>(.*?)</tr>", client.get("/account/").text.partition("<tbody>")[2], re.S)
    return [tuple(re.findall(r"<bdi>(.*?)</bdi>.*?class=\"mono\">(.*?)<", row, re.S)[0]) for row in rows]


def end_one(client, session):
    return client.post(f"/account/sessions/{session.pk}/end/")


def session_of(client):
    return UserSession.objects.get(session_key=stored(client.cookies["quarantine_session"].value))


# --- Seeing them --------------------------------------------------------------------------


def test_signed_out_leads_to_the_sign_in_page(client):
    assert client.get("/account/").headers["Location"] == "/login/?next=/account/"


def test_each_session_is_listed_newest_first(client):
    here = signed_in()
    signed_in(browser=CHROME, address="2001:db8::1")
    make_staff("ben")
    signed_in("ben", address="203.0.113.1")

    assert sessions_shown(here) == [("Chrome on Windows", "2001:db8::1"), ("Firefox on Linux", "192.0.2.7")]


@pytest.mark.parametrize(
    ("browser", "name"),
    [
        (f"{CHROME} Edg/140.0.0.0", "Edge on Windows"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0 Safari/537.36",
            "Chrome on Linux",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604",
            "Safari on iOS",
        ),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) AppleWebKit/605 Version/18.0 Safari/605", "Safari on macOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(browser, name):
    assert sessions_shown(signed_in(browser=browser)) == [(name, "192.0.2.7")]


def test_the_page_says_who_is_signed_in_and_as_what(client):
    client.force_login(make_staff("admin", role=Role.ADMIN))

    assert "Signed in as <bdi>admin</bdi>. Role: admin." in client.get("/account/").text


def test_the_page_says_which_session_is_this_one():
    page = signed_in().get("/account/").text

    assert page.count("This one") == 1
    assert "End all others" not in page


def test_no_session_key_is_on_the_page_or_in_the_database():
    here, other = signed_in(), signed_in(browser=CHROME)
    page = here.get("/account/").text
    change_password(here, new=PASSWORD, again=PASSWORD)  # the session goes on under a new key
    held = str([list(model._base_manager.values()) for model in apps.get_models() if not lives_elsewhere(model)])

    for key in [client.cookies["quarantine_session"].value for client in (here, other)]:
        assert key not in page + held
    assert stored(here.cookies["quarantine_session"].value) in held


def lives_elsewhere(model):
    return model._meta.app_label == "homeserver"


def test_what_is_in_the_database_opens_nothing():
    signed_in()
    thief = Client()

    for row in Session.objects.values_list("pk", flat=True):
        thief.cookies["quarantine_session"] = row
        assert not may_read(thief)
    assert Session.objects.count() == 1


@pytest.mark.parametrize("browser", ["<script>alert(1)</script>", '"><img src=x>', "x\u202etxt", "A" * 10_000, ""])
def test_a_browser_may_call_itself_anything(browser):
    answer = signed_in(browser=browser).get("/account/")

    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text


def test_the_page_takes_three_queries_however_many_sessions(django_assert_num_queries):
    here, *_others = [signed_in() for _ in range(4)]

    with django_assert_num_queries(3):  # the session, its user, all sessions
        assert len(sessions_shown(here)) == 4


def test_a_session_that_has_run_out_is_not_listed():
    here, other = signed_in(), signed_in(browser=CHROME)
    key = stored(other.cookies["quarantine_session"].value)
    assert Session.objects.filter(session_key=key).update(expire_date=timezone.now())

    assert sessions_shown(here) == [("Firefox on Linux", "192.0.2.7")]


# --- Ending them --------------------------------------------------------------------------


def test_one_session_ends_and_the_others_go_on():
    here, lost, other = signed_in(), signed_in(browser=CHROME), signed_in()

    answer = end_one(here, session_of(lost))

    assert answer.headers["Location"] == "/account/"
    assert [may_read(client) for client in (here, lost, other)] == [True, False, True]


def test_ending_this_one_signs_out():
    here = signed_in()
    key = stored(here.cookies["quarantine_session"].value)

    end_one(here, session_of(here))

    assert not may_read(here)
    assert not Session.objects.filter(session_key=key).exists()
    assert not UserSession.objects.exists()


def test_all_others_end_at_once():
    here, *others = [signed_in() for _ in range(3)]
    make_staff("ben")
    ben = signed_in("ben")

    here.post("/account/sessions/end-others/")

    assert [may_read(client) for client in (here, *others, ben)] == [True, False, False, True]


@pytest.mark.parametrize("number", ["0", "999999", "9" * 40])
def test_a_session_that_is_not_there_is_not_found(number):
    assert signed_in().post(f"/account/sessions/{number}/end/").status_code == 404


def test_nobody_ends_the_session_of_another():
    make_staff("ben", role=Role.ADMIN)
    anna, ben = signed_in(), signed_in("ben")

    assert end_one(ben, session_of(anna)).status_code == 404
    assert may_read(anna)


@pytest.mark.parametrize("path", ["/account/sessions/1/end/", "/account/sessions/end-others/"])
def test_a_link_ends_nothing(path):
    assert signed_in().get(path).status_code == 405


def test_a_stolen_cookie_is_worth_nothing_once_its_session_has_ended():
    here, thief = signed_in(), Client()
    thief.cookies["quarantine_session"] = here.cookies["quarantine_session"].value
    assert may_read(thief)

    here.post("/logout/")

    assert not may_read(thief)


def test_a_disabled_account_is_out_with_its_next_request():
    here = signed_in()

    disable_staff("anna")

    assert not may_read(here)
    assert not Session.objects.exists()


def test_a_new_role_shows_with_the_next_request():
    here = signed_in()

    set_role(name="anna", role=Role.VIEWER)

    assert "viewer" in here.get("/account/").text


# --- The password -------------------------------------------------------------------------


def change_password(client, old=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD):
    return client.post("/account/password/", {"oldpassword": old, "password1": new, "password2": again})


def test_a_new_password_ends_every_other_session():
    here, other = signed_in(), signed_in(browser=CHROME)
    others_key = stored(other.cookies["quarantine_session"].value)

    answer = change_password(here)

    assert answer.headers["Location"] == "/account/"
    assert "Every other session of yours has ended." in here.get("/account/").text
    assert Staff.objects.get().check_password(NEW_PASSWORD)
    assert [may_read(here), may_read(other)] == [True, False]
    assert not Session.objects.filter(session_key=others_key).exists()
    assert sessions_shown(here) == [("Firefox on Linux", "192.0.2.7")]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"old": "wrong"}, "That is not your current password."),
        ({"new": "short", "again": "short"}, "This password is too short. It must contain at least 12 characters."),
        ({"new": "1q2w3e4r5t6y", "again": "1q2w3e4r5t6y"}, "This password is too common."),
        ({"again": "something else"}, "You must type the same password each time."),
    ],
)
def test_a_bad_new_password_changes_nothing(fields, sentence):
    here, other = signed_in(), signed_in()

    answer = change_password(here, **fields)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert Staff.objects.get().check_password(PASSWORD)
    assert may_read(other)


def test_the_current_password_cannot_be_guessed_from_an_open_session():
    here = signed_in()

    statuses = [change_password(here, old=f"guess {n}").status_code for n in range(6)]

    assert statuses == [422] * 5 + [429]
    answer = change_password(here)
    assert answer.status_code == 429
    assert "Too many attempts" in answer.text


# --- How it works for oneself --------------------------------------------------------------


def test_preferences_are_ones_own_and_kept(client):
    mine, other = make_staff("mine"), make_staff("other")
    client.force_login(mine)
    assert "data-keys" not in client.get("/").text

    answer = client.post("/account/preferences/")

    assert answer["Location"] == "/account/"
    assert 'data-keys="off"' in client.get("/").text
    for person, expected in ((mine, False), (other, True)):
        person.refresh_from_db()
        assert person.single_keys is expected
