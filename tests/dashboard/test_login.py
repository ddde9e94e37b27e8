"""Signing in and out."""

import re
import subprocess
import sys

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from quarantine.models import Role
from quarantine.staff import add_staff, disable_staff
from tests.environment import ROOT

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
REFUSED = "That user name and password do not match."
THROTTLED = "Too many attempts. Wait ten minutes, then try again."


@pytest.fixture(autouse=True)
def _no_earlier_attempts(db):
    cache.clear()


@pytest.fixture
def anna():
    return add_staff(name="anna", role=Role.MODERATOR, password=PASSWORD)


def sign_in(client, name="anna", password=PASSWORD, **more):
    return client.post("/login/", {"username": name, "password": password} | more.pop("data", {}), **more)


def errors(answer):
    return re.findall(r'<p class="field-error"[^>]*>(?:<svg.*?</svg>)?\s*([^<]*?)\s*</p>', answer.text, re.S)


def signed_in(client):
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
    assert signed_in(client)
    assert client.session.get_expiry_age() > 13 * 86_400


def test_somebody_signed_in_does_not_see_the_form(client, anna):
    client.force_login(anna)

    assert client.get("/login/").headers["Location"] == "/"


def test_signing_out_ends_the_session(client, anna):
    sign_in(client)
    key = client.session.session_key

    answer = client.post("/logout/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/")
    assert not signed_in(client)
    assert not Session.objects.filter(session_key=key).exists()


def test_a_link_signs_nobody_out(client, anna):
    sign_in(client)

    assert client.get("/logout/").status_code == 405
    assert signed_in(client)


def test_signing_in_changes_the_session_key(client, anna):
    client.force_login(add_staff(name="ben", role=Role.VIEWER, password=PASSWORD))
    before = client.session.session_key
    client.logout()
    client.cookies["quarantine_session"] = before

    sign_in(client)

    assert client.session.session_key != before


# --- Nobody learns which accounts there are -----------------------------------------------


@pytest.fixture
def gone():
    add_staff(name="gone", role=Role.MODERATOR, password=PASSWORD)
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
        add_staff(name=name, role=Role.VIEWER, password=PASSWORD)
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
    assert not signed_in(client)


# --- The throttle -------------------------------------------------------------------------


def attempts(count, client=None, name="anna", **more):
    return [sign_in(client or Client(), name, "wrong", **more).status_code for _ in range(count)]


def test_ten_failures_close_an_account_from_everywhere(anna):
    statuses = [sign_in(Client(), "anna", "wrong", REMOTE_ADDR=f"192.0.2.{host}").status_code for host in range(12)]

    refused = sign_in(Client(), REMOTE_ADDR="198.51.100.9")

    assert statuses == [422] * 10 + [429] * 2
    assert (refused.status_code, errors(refused)) == (429, [THROTTLED])
    assert refused.headers["Retry-After"] == "600"


def test_an_account_that_does_not_exist_is_closed_alike():
    assert attempts(12, name="nobody") == [422] * 10 + [429] * 2


def test_thirty_failures_close_an_address_and_no_other(anna):
    statuses = [sign_in(Client(), f"name{n}", "wrong").status_code for n in range(31)]

    assert statuses == [422] * 30 + [429]
    assert sign_in(Client()).status_code == 429
    assert sign_in(Client(), REMOTE_ADDR="192.0.2.1").status_code == 302


def test_one_network_of_ipv6_is_one_address():
    statuses = [sign_in(Client(), f"name{n}", "wrong", REMOTE_ADDR=f"2001:db8::{n:x}").status_code for n in range(31)]

    assert statuses[-1] == 429
    assert sign_in(Client(), "other", "wrong", REMOTE_ADDR="2001:db8:1::1").status_code == 422


@pytest.mark.parametrize(
    "trick",
    [
        {"headers": {"X-Forwarded-For": "203.0.113.{n}"}},
        {"headers": {"Forwarded": "for=203.0.113.{n}"}},
        {"headers": {"Host": "localhost:{n}"}},
        {"data": {"username": "ANNA"}},
        {"data": {"username": " anna "}},
    ],
)
def test_no_trick_of_the_client_starts_a_new_count(anna, trick):
    attempts(10)

    kind, values = next(iter(trick.items()))
    answer = sign_in(Client(), password="wrong", **{kind: {name: value.format(n=7) for name, value in values.items()}})

    assert answer.status_code == 429


def test_those_who_get_in_are_not_counted(anna):
    attempts(9)

    assert [sign_in(Client()).status_code for _ in range(5)] == [302] * 5
    assert attempts(2) == [422, 429]


@pytest.mark.django_db(transaction=True)
def test_attempts_in_other_processes_count(process_env):
    code = """
import django; django.setup()
from django.test import Client
print([int(Client().post("/login/", {"username": "anna", "password": "wrong"}).status_code) for _ in range(3)])
"""
    env = process_env(ALLOWED_HOSTS="testserver")

    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    ]

    assert outputs == ["[422, 422, 422]\n"] * 3
    assert attempts(2) == [422, 429]


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
    assert signed_in(client)


def test_the_form_carries_its_token(anna):
    client = Client(enforce_csrf_checks=True)
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', client.get("/login/").text)[1]

    assert sign_in(client, data={"csrfmiddlewaretoken": token}).status_code == 302
