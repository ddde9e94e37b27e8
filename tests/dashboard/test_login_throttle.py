"""How often one may try to sign in."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import signing
from django.core.cache import cache
from django.db import connections
from django.test import Client

from tests.dashboard.people import sign_in, signed_in
from tests.environment import ROOT
from tests.factories import make_staff

pytestmark = pytest.mark.django_db
THROTTLED = "Too many attempts. Wait ten minutes, then try again."


@pytest.fixture(autouse=True)
def anna(db):
    cache.clear()
    return make_staff("anna")


def attempts(count, client=None, name="anna", **more):
    return [sign_in(client or Client(), name, "wrong", **more).status_code for _ in range(count)]


def test_ten_failures_close_an_account_from_everywhere():
    statuses = [sign_in(Client(), "anna", "wrong", REMOTE_ADDR=f"192.0.2.{host}").status_code for host in range(12)]

    refused = sign_in(Client(), REMOTE_ADDR="198.51.100.9")

    assert statuses == [422] * 10 + [429] * 2
    assert refused.status_code == 429
    assert THROTTLED in refused.text
    assert refused.headers["Retry-After"] == "600"


def known_browser(name="anna", **defaults):
    """One that this person signed in from, and out again."""
    client = signed_in(name, **defaults)
    client.post("/logout/")
    return client


def test_a_stranger_keeps_nobody_out_of_a_browser_they_signed_in_from():
    known, new = known_browser(), Client(REMOTE_ADDR="198.51.100.9")
    attempts(12)
    assert sign_in(new).status_code == 429

    assert sign_in(known).status_code == 302


def test_a_browser_that_an_earlier_version_knew_is_known_still():
    known = Client()
    known.cookies["quarantine_device"] = signing.dumps(["a token", ["anna"]], salt="dashboard.devices")
    attempts(12)

    assert sign_in(known).status_code == 302


def test_a_noisy_neighbour_keeps_nobody_out_of_a_browser_they_signed_in_from():
    known = known_browser()
    assert [sign_in(Client(), f"name{n}", "wrong").status_code for n in range(31)][-1] == 429

    assert sign_in(known).status_code == 302


def test_a_known_browser_may_guess_no_more_than_others():
    known = known_browser()

    assert attempts(12, known) == [422] * 10 + [429] * 2
    assert sign_in(known_browser()).status_code == 302


@pytest.mark.parametrize("forge", [lambda value: value[:-2], lambda value: "", lambda value: "x:y:z", str.upper])
def test_a_browser_is_not_known_by_its_word(forge):
    make_staff("ben")
    known = known_browser()
    forged, bens = Client(), known_browser("ben")
    forged.cookies["quarantine_device"] = forge(known.cookies["quarantine_device"].value)
    attempts(10)

    assert [sign_in(client).status_code for client in (forged, bens)] == [429, 429]


def test_a_shared_browser_is_known_to_each_who_signed_in_from_it():
    make_staff("ben")
    shared = known_browser()
    sign_in(shared, "ben")
    shared.post("/logout/")
    attempts(10)
    attempts(10, name="ben")

    assert sign_in(shared, "ben").status_code == 302
    shared.post("/logout/")
    assert sign_in(shared).status_code == 302


def test_the_cookie_that_knows_a_browser_opens_nothing():
    known, thief = known_browser(), Client()
    thief.cookies["quarantine_device"] = known.cookies["quarantine_device"].value

    cookie = known.cookies["quarantine_device"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert thief.get("/account/").status_code == 302


def test_an_account_that_does_not_exist_is_closed_alike():
    assert attempts(12, name="nobody") == [422] * 10 + [429] * 2


def test_thirty_failures_close_an_address_and_no_other():
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
def test_no_trick_of_the_client_starts_a_new_count(trick):
    attempts(10)

    kind, values = next(iter(trick.items()))
    answer = sign_in(Client(), password="wrong", **{kind: {name: value.format(n=7) for name, value in values.items()}})

    assert answer.status_code == 429


def test_those_who_get_in_are_not_counted():
    attempts(9)

    assert [sign_in(Client()).status_code for _ in range(5)] == [302] * 5
    assert attempts(2) == [422, 429]


def attempt(_number):
    try:
        return sign_in(Client(), password="wrong").status_code
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_time_are_each_counted():
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(attempt, range(24)))

    # Who waits too long to be counted is refused: there may be fewer than ten, never more.
    assert set(statuses) == {422, 429}
    assert statuses.count(422) <= 10


ATTEMPTS = """
import django; django.setup()
from django.conf import settings
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
from django.test import Client
client = Client()
print([int(client.post("/login/", {"username": "nobody", "password": "wrong"}).status_code) for _ in range(5)])
"""


@pytest.mark.django_db(transaction=True)
def test_attempts_in_other_processes_count(process_env):
    command = [sys.executable, "-c", ATTEMPTS]
    env = process_env(ALLOWED_HOSTS="testserver")
    assert attempts(4, name="nobody") == [422] * 4

    other = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)

    assert other.stdout == "[422, 422, 422, 422, 422]\n"
    assert attempts(2, name="nobody") == [422, 429]
