"""Signing in at a real provider of OpenID Connect, which the test starts."""

from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client

from dashboard.signing_in.freshness import SHOWN
from dashboard.signing_in.renewal import TRIED
from dashboard.signing_in.session_store import BEGAN, RENEWED
from dashboard.signing_in.sessions import UNATTENDED
from quarantine.accounts.staff import disable_staff
from quarantine.models import AccessEntry, Role, Staff
from tests import providers
from tests.dashboard.people import sign_in
from tests.environment import settings_with
from tests.factories import make_staff
from tests.providers import running_provider

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")]
SETTINGS = ("OIDC_ISSUER", "OIDC_NAME", "OIDC_ROLES", "OIDC_ROLE_CLAIM", "OIDC_PROVIDER_ID", "SOCIALACCOUNT_PROVIDERS")
ROLES = "bosses=admin,mods=moderator,everybody=viewer"


@pytest.fixture(scope="module")
def issuer():
    with running_provider() as issuer:
        yield issuer


def use(settings, **environ):
    found = settings_with(
        {"OIDC_CLIENT_ID": "dashboard", "OIDC_CLIENT_SECRET": "secret", "OIDC_ROLES": ROLES} | environ
    )
    for name in (*SETTINGS, "SSO_ONLY", "SECURE_CSP"):
        setattr(settings, name, found[name])


@pytest.fixture(autouse=True)
def _provider(db, settings, issuer):
    cache.clear()
    use(settings, OIDC_ISSUER=issuer)


@pytest.fixture
def people(issuer):
    """A function: what the provider says of somebody from now on."""
    say = partial(providers.say, issuer)
    say("17", preferred_username="carla", groups=["mods", "everybody"], email="anna@matrix.example")
    return say


def begin(client, path="/login/sso/", **data):
    answer = client.post(path, data)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def at_provider(address, sub="17"):
    """Show there who one is; returns the address the provider leads back to."""
    answer = httpx.post(address, data={"sub": sub})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"].removeprefix("http://testserver")


def come_in(client, sub="17", **data):
    return client.get(at_provider(begin(client, **data), sub))


def is_signed_in(client):
    return client.get("/account/").status_code == 200


@pytest.mark.usefixtures("people")
def test_the_first_sign_in_opens_an_account_with_the_role_of_the_claim(client):
    answer = come_in(client, next="/insights/?range=24h")

    assert answer.headers["Location"] == "/insights/?range=24h"
    carla = Staff.objects.get()
    assert (carla.username, carla.role, carla.has_usable_password()) == ("carla", Role.MODERATOR, False)
    assert is_signed_in(client)
    assert SocialAccount.objects.get().extra_data == {}


def test_the_role_follows_the_claim_at_each_sign_in(client, people):
    come_in(client)
    people("17", preferred_username="renamed", groups=["bosses"])

    come_in(Client())

    assert list(Staff.objects.values_list("username", "role")) == [("carla", Role.ADMIN)]
    told = AccessEntry.objects.filter(who="single sign-on").order_by("pk").values_list("what", "target")
    assert list(told) == [("account-added", "carla"), ("role-changed", "carla")]


def test_whoever_loses_every_role_is_out_everywhere(client, people):
    come_in(client)
    people("17", preferred_username="carla", groups=["others"])

    answer = come_in(Client())

    assert answer.status_code == 403
    assert "gives you no role here" in answer.text
    assert not is_signed_in(client)


def test_without_a_role_no_account_is_opened(client, people):
    people("18", preferred_username="dora", groups="bosses-not")

    assert come_in(client, "18").status_code == 403
    assert not Staff.objects.exists()
    assert not is_signed_in(client)


@pytest.mark.parametrize("name", ["anna", "ANNA", "system", "terminal", "<b>x</b>", "", "a b"])
def test_a_name_that_is_taken_or_no_name_opens_nothing(client, people, name):
    anna = make_staff("anna", role=Role.ADMIN)
    people("19", preferred_username=name, groups=["everybody"], email="anna@matrix.example")

    answer = come_in(client, "19")

    assert answer.status_code == 403
    assert "<b>x" not in answer.text
    assert not is_signed_in(client)
    assert list(Staff.objects.all()) == [anna]
    assert not SocialAccount.objects.exists()


def test_a_disabled_account_stays_shut(client, people):
    make_staff("boss", role=Role.ADMIN)
    come_in(client)
    disable_staff("carla")

    come_in(client)

    assert not is_signed_in(client)
    assert AccessEntry.objects.filter(what="sign-in-failed", who="carla").count() == 1


def test_another_issuer_with_the_same_ids_opens_another_account(client, people, settings, issuer):
    come_in(client)
    people("17", preferred_username="mallory", groups=["everybody"])
    use(settings, OIDC_ISSUER=issuer.replace("localhost", "127.0.0.1"))

    come_in(Client())

    assert set(Staff.objects.values_list("username", flat=True)) == {"carla", "mallory"}


# --- The way there and back ---------------------------------------------------------------


def test_state_nonce_and_pkce_go_along(client, issuer):
    address = begin(client)
    asked = parse_qs(urlsplit(address).query)

    assert address.startswith(f"{issuer}/oauth2/authorize?")
    assert asked["redirect_uri"] == ["http://testserver/login/sso/callback/"]
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= asked.keys()
    assert set(asked["scope"][0].split()) == {"openid", "profile"}


@pytest.mark.usefixtures("people")
def test_an_answer_belongs_to_the_browser_that_asked_and_works_once(client):
    back = at_provider(begin(client))

    assert Client().get(back).status_code == 403
    assert client.get(back).headers["Location"] == "/"
    assert Client().get(back).status_code == 403
    assert Staff.objects.count() == 1


@pytest.mark.usefixtures("people")
def test_an_answer_to_another_question_opens_nothing(client):
    """The code of somebody else's sign-in, put into one's own: the nonce tells."""
    victim = parse_qs(urlsplit(at_provider(begin(Client()))).query)["code"][0]
    mine = parse_qs(urlsplit(begin(client)).query)["state"][0]

    assert client.get("/login/sso/callback/", {"code": victim, "state": mine}).status_code == 403
    assert not is_signed_in(client)


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?code=x", "?code=x&state=y", "?state=%00&code=%00"])
def test_nonsense_is_refused_in_words(client, query):
    answer = client.get(f"/login/sso/callback/{query}")

    assert answer.status_code == 403
    assert "Nobody was signed in" in answer.text


def test_saying_no_there_is_refused_in_words(client, people):
    answer = httpx.post(begin(client), data={"action": "deny"})

    assert client.get(answer.headers["Location"].removeprefix("http://testserver")).status_code == 403


def test_a_provider_that_is_away_is_said_in_words(client, settings):
    use(settings, OIDC_ISSUER="http://127.0.0.1:9")

    answer = client.post("/login/sso/")

    assert answer.status_code == 502
    assert "does not answer as it should" in answer.text


def test_one_that_speaks_for_another_is_not_asked(client, settings, issuer):
    use(settings, OIDC_ISSUER=f"{issuer}/oauth2/..")

    assert client.post("/login/sso/").status_code == 502


def test_without_a_provider_there_is_no_way(client, settings):
    settings.OIDC_ISSUER = ""

    assert client.post("/login/sso/").status_code == 404
    assert client.get("/login/sso/callback/").status_code == 404
    assert "single sign-on" not in client.get("/login/").text


def test_strangers_do_not_begin_without_end(client, settings):
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"sso_begin": "1/m/ip"}
    begin(client)
    kept = Session.objects.count()

    answer = Client().post("/login/sso/")

    assert (answer.status_code, Session.objects.count()) == (429, kept)


# --- Alone, and asked again ---------------------------------------------------------------


def test_alone_it_leaves_no_other_way_in(client, people, settings):
    settings.SSO_ONLY = True
    make_staff("anna")

    assert sign_in(client).status_code == 403
    assert client.get("/login/passkey/", headers={"Accept": "application/json"}).status_code == 403
    assert 'name="password"' not in client.get("/login/").text
    come_in(client)
    assert is_signed_in(client)


def test_a_passkey_does_not_outlive_the_providers_word(client, people, monkeypatch):
    come_in(client)
    key = Authenticator.objects.create(user=Staff.objects.get(), type="webauthn", data={"name": "x", "credential": {}})
    monkeypatch.setattr("allauth.mfa.webauthn.forms.LoginWebAuthnForm.clean_credential", lambda _: key)
    other = Client()

    answer = other.post("/login/passkey/", {"credential": '{"id": "x"}'})

    assert answer.status_code == 403
    assert "This account signs in at the provider" in answer.text
    assert not is_signed_in(other)
    SocialAccount.objects.all().delete()
    assert other.post("/login/passkey/", {"credential": '{"id": "x"}'}).status_code == 302
    assert is_signed_in(other)


def test_a_second_factor_that_is_required_is_the_providers(client, people, settings):
    settings.MFA_REQUIRED = True

    come_in(client)

    assert is_signed_in(client)


def test_there_is_no_password_to_change(client, people):
    come_in(client)

    assert "Change your password" not in client.get("/account/").text
    for answer in (client.get("/account/password/"), client.post("/account/password/", {"password1": "x" * 12})):
        assert answer.headers["Location"] == "/account/"
    assert not Staff.objects.get().has_usable_password()


# --- Asked by the way ---------------------------------------------------------------------


def aged(client, minutes):
    """As if the session had begun so long ago, and gone on until now."""
    session = client.session
    for record in session["account_authentication_methods"]:
        record["at"] -= 60 * minutes
    for name in {BEGAN, RENEWED, SHOWN, TRIED} & set(session.keys()):
        session[name] -= 60 * minutes
    session.save()
    return client


def open_page(client, path="/insights/?range=24h", **headers):
    return client.get(path, headers={"Sec-Fetch-Dest": "document"} | headers)


@pytest.mark.usefixtures("people")
def test_a_session_from_there_and_no_other_ends_without_the_providers_word(client, settings):
    come_in(client)

    assert is_signed_in(aged(client, 59))
    assert not is_signed_in(aged(client, 2))

    come_in(client)
    settings.OIDC_SESSION_MINUTES = 0
    assert is_signed_in(aged(client, 120))
    settings.OIDC_SESSION_MINUTES, other = 60, Client()
    make_staff("anna")
    sign_in(other, "anna")
    assert (is_signed_in(aged(other, 120)), open_page(other).status_code) == (True, 200)


@pytest.mark.usefixtures("people")
def test_whoever_works_is_led_over_the_provider_and_back(client):
    come_in(client)
    assert open_page(aged(client, 29)).status_code == 200

    away = open_page(aged(client, 2))
    assert "prompt" not in parse_qs(urlsplit(away["Location"]).query)
    back = client.get(at_provider(away["Location"]))

    assert back["Location"] == "/insights/?range=24h"
    assert is_signed_in(aged(client, 40))  # an hour and more after signing in
    asked = client.get("/account/factors/app/")["Location"]  # it was no proof of who sits there
    assert asked.startswith("/account/confirm/")


@pytest.mark.parametrize(("groups", "role"), [(["others"], None), (["everybody"], Role.VIEWER)])
def test_a_role_that_was_taken_away_is_gone_then(client, people, groups, role):
    for browser in (client, other := Client()):
        come_in(browser)
    people("17", preferred_username="carla", groups=groups)

    back = client.get(at_provider(open_page(aged(client, 31))["Location"]))

    assert ("gives you no role here" in back.text) == (role is None)
    assert is_signed_in(client) == is_signed_in(other) == (role is not None)
    assert Staff.objects.get().role == (role or Role.MODERATOR)


@pytest.mark.usefixtures("people")
def test_only_an_opened_page_is_led_away_and_not_again_and_again(client, settings):
    aged(come_in(client) and client, 31)
    for headers in ({"Sec-Fetch-Dest": "empty"}, {UNATTENDED: "1"}):
        assert open_page(client, **headers).status_code == 200
    assert client.get("/insights/").status_code == 200
    assert client.post("/theme/", {"theme": "dark"}, headers={"Sec-Fetch-Dest": "document"})["Location"] == "/"
    assert open_page(client).status_code == 302
    assert open_page(client).status_code == 200

    settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://localhost:1"
    assert open_page(aged(client, 6)).status_code == 200
