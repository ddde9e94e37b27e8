"""Whoever came by a provider of OpenID Connect, asked again who they are: what counts is what they showed there."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from dashboard.signing_in.freshness import SHOWN
from quarantine.models import Consumer
from tests.dashboard.test_single_sign_on import (  # noqa: F401 - fixtures
    _provider,
    at_provider,
    begin,
    come_in,
    is_signed_in,
    issuer,
    people,
)

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")]
TOKEN = {"name": "hma", "scope": "changes:read"}


def asks(answer):
    return answer.headers.get("Location", "").startswith("/account/confirm/")


@pytest.fixture
def stale(client, people):  # noqa: F811 - fixtures
    people("17", preferred_username="carla", groups=["bosses"])
    come_in(client)
    session = client.session
    session["began_at"] = session[SHOWN] = time.time() - 3000
    session["account_authentication_methods"][-1]["at"] = time.time() - 3000
    session.save()
    return client


def test_whoever_is_asked_again_shows_it_at_the_provider(stale):
    asked = stale.post("/consumers/add/", TOKEN).headers["Location"]
    assert "Show it at single sign-on" in stale.get(asked).text
    address = begin(stale, "/account/confirm/sso/", next="/consumers/add/")
    question = parse_qs(urlsplit(address).query)
    assert (question["prompt"], question["max_age"]) == (["login"], ["0"])
    assert not Consumer.objects.exists()

    answer = stale.get(at_provider(address))

    assert "The token of hma" in answer.text
    assert Session.objects.count() == 1


def test_somebody_else_there_is_not_who_was_asked(stale, people):  # noqa: F811 - fixtures
    people("20", preferred_username="eve", groups=["bosses"])
    stale.post("/consumers/add/", TOKEN)

    answer = stale.get(at_provider(begin(stale, "/account/confirm/sso/", next="/consumers/add/"), "20"))

    assert answer.status_code == 403
    assert not Consumer.objects.exists()
    assert stale.get("/account/factors/app/").headers["Location"].startswith("/account/confirm/")


def test_asked_again_the_role_is_heeded_too(stale, people):  # noqa: F811 - fixtures
    people("17", preferred_username="carla", groups=["others"])

    answer = stale.get(at_provider(begin(stale, "/account/confirm/sso/", next="/consumers/")))

    assert (answer.status_code, is_signed_in(stale)) == (403, False)


@pytest.mark.parametrize(("seconds_ago", "asked"), [(3000, True), (100, False), (-9_000_000, False), (None, True)])
def test_to_be_let_through_there_shows_nothing(client, people, seconds_ago, asked):  # noqa: F811 - fixtures
    """A provider signs in whoever sits at a browser it knows: it says when it last asked them, or shows nobody."""
    told = "no time" if seconds_ago is None else time.time() - seconds_ago
    people("17", preferred_username="carla", groups=["bosses"], auth_time=told)

    for _ in range(2):  # signed in already, too: that ends one session and begins another
        come_in(client)
        assert asks(client.post("/consumers/add/", TOKEN)) == asked
        assert asks(client.get("/account/factors/app/")) == asked
        Consumer.objects.all().delete()


def test_signing_out_and_in_there_shows_nothing(stale, people):  # noqa: F811 - fixtures
    people("17", preferred_username="carla", groups=["bosses"], auth_time=time.time() - 3000)
    stale.post("/logout/")

    come_in(stale)

    assert asks(stale.post("/consumers/add/", TOKEN))
    assert asks(come_in(Client()).client.post("/consumers/add/", TOKEN))
