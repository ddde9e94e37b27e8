"""Signing in and out."""

import re

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from dashboard.signing_in.session_store import stored
from quarantine.accounts.staff import disable_staff
from tests.dashboard.people import PASSWORD, sign_in
from tests.factories import make_staff

pytestmark = pytest.mark.django_db
REFUSED = "That user name and password do not match."


@pytest.fixture(autouse=True)
def _no_earlier_attempts(db):
    cache.clear()


@pytest.fixture
def anna():
    return make_staff("anna")


def errors(answer):
    return re.findall(r'<p class="field-error"[^>]*>(?:<svg.*?</svg>)?\s*([^<]*?)\s*</p>', answer.text, re.S)


def is_signed_in(client):
    return "_auth_user_id" in client.session


def test_the_page_is_for_strangers(client):
    answer = client.get("/login/")

    assert answer.status_code == 200
    assert answer.text.count("<h1") == 1
    assert "Sign in to matrix.example" in answer.text
    assert not Session.objects.exists()


def test_the_right_password_opens_the_timeline(client, anna):
    answer = sign_in(client)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert is_signed_in(client)
    assert 7_000 < client.session.get_expiry_age() <= 7_200


def test_somebody_signed_in_does_not_see_the_form(client, anna):
    client.force_login(anna)

    assert client.get("/login/").headers["Location"] == "/"


def test_signing_out_ends_the_session(client, anna):
    sign_in(client)
    key = stored(client.session.session_key)
    assert Session.objects.filter(session_key=key).exists()

    answer = client.post("/logout/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/")
    assert not is_signed_in(client)
    assert not Session.objects.filter(session_key=key).exists()


def test_a_link_signs_nobody_out(client, anna):
    sign_in(client)

    assert client.get("/logout/").status_code == 405
    assert is_signed_in(client)


def test_signing_in_changes_the_session_key(client, anna):
    client.force_login(make_staff("ben"))
    before = client.session.session_key
    client.logout()
    client.cookies["quarantine_session"] = before

    sign_in(client)

    assert client.session.session_key != before


def test_signing_in_forgets_sessions_that_have_run_out(client, anna):
    old, other = Client(), Client()
    for browser in (old, other):
        sign_in(browser)
    Session.objects.filter(session_key=stored(old.session.session_key)).update(expire_date=timezone.now())

    sign_in(client)

    going_on = {stored(browser.session.session_key) for browser in (other, client)}
    assert set(Session.objects.values_list("pk", flat=True)) == going_on


# --- Nobody learns which accounts there are -----------------------------------------------


@pytest.fixture
def gone():
    make_staff("gone")
    return disable_staff("gone")


def test_wrong_unknown_and_disabled_get_the_same_answer(client, anna, gone):
    answers = [sign_in(client, "anna", "wrong"), sign_in(client, "nobody"), sign_in(client, "gone")]

    assert [(answer.status_code, errors(answer)) for answer in answers] == [(422, [REFUSED])] * 3
    pages = {
        re.sub(r'csrfmiddlewaretoken" value="\w+"|value="(?:anna|nobody|gone)"', "", answer.text) for answer in answers
    }
    assert len(pages) == 1
    assert not Session.objects.exists()


class CountingHasher(PBKDF2PasswordHasher):
    """The hash is nearly all the time that signing in takes; counting it doesn't depend on the machine's mood."""

    iterations = 1
    runs = 0

    def encode(self, *args, **kwargs):
        CountingHasher.runs += 1
        return super().encode(*args, **kwargs)


def test_wrong_unknown_and_disabled_take_the_same_work(client, settings):
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    for name in ("anna", "gone"):
        make_staff(name)
    disable_staff("gone")

    def work(name, password):
        before = CountingHasher.runs
        assert sign_in(client, name, password).status_code == 422
        return CountingHasher.runs - before

    attempts = [("anna", "wrong"), ("nobody", "wrong"), ("gone", "wrong"), ("gone", PASSWORD), ("", "wrong")]
    assert [work(name, password) for name, password in attempts] == [1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "name",
    [
        "anna\n",
        " anna",
        "an\u202ena",
        "anna\0",
        "a" * 10_000,
        "<script>",
        "' OR 1=1 --",
        "@anna:x",
        "system",
        "",
        "ANNA",
        "%00",
    ],
)
def test_a_hostile_name_is_refused_and_written_as_text(client, anna, caplog, name):
    answer = sign_in(client, name, "wrong")

    assert answer.status_code == 422
    assert "<script>" not in answer.text
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert not is_signed_in(client)


# --- Where `next` may lead ----------------------------------------------------------------


@pytest.mark.parametrize("target", ["/account/", "/?state=released&origin=a.example", "/media/a.example/x/#history"])
def test_next_leads_back_to_a_page_of_ours(client, anna, target):
    assert sign_in(client, data={"next": target}).headers["Location"] == target


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "http:///evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "\thttps://evil.example",
        "https://testserver@evil.example/",
        "http://localhost/",  # allowed as a host of ours, but another origin
        "http://testserver:81/",
    ],
)
@pytest.mark.parametrize("place", ["query", "form"])
def test_next_leads_nowhere_else(client, anna, target, place):
    answer = (
        sign_in(client, data={"next": target}) if place == "form" else sign_in(client, query_params={"next": target})
    )

    assert answer.headers["Location"] == "/"


def test_next_survives_a_typing_error(client, anna):
    first = client.get("/login/", {"next": "/account/"})
    again = sign_in(client, password="wrong", data={"next": "/account/"})

    for answer in (first, again):
        assert '<input type="hidden" name="next" value="/account/">' in answer.text


# --- Forged forms -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login/", "/logout/"])
def test_a_form_from_elsewhere_is_refused(anna, path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)

    answer = client.post(path, {"username": "anna", "password": PASSWORD}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert is_signed_in(client)


def test_the_form_carries_its_token(anna):
    client = Client(enforce_csrf_checks=True)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get("/login/").text)[1]

    assert sign_in(client, data={"csrfmiddlewaretoken": token}).status_code == 302
