"""Signing in with a second factor, in a real browser with an authenticator of its own."""

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from playwright.sync_api import expect

from tests.dashboard.people import PASSWORD
from tests.factories import make_staff
from tests.providers import running_provider, say

# What differs between the engines is tested without a browser.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def issuer():
    with running_provider() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def server_settings(issuer):
    provider = {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": "dashboard", "OIDC_ROLES": "mods=moderator"}
    return {"MFA_REQUIRED": "on"} | provider


@pytest.fixture
def site(server):
    """By name: browsers keep passkeys for names, not for addresses."""
    return server.url.replace("127.0.0.1", "localhost")


@pytest.fixture
def passkeys(page):
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    return session.send("WebAuthn.addVirtualAuthenticator", {"options": KEY})


def type_password(page, site):
    page.goto(f"{site}/login/")
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page):
    page.get_by_label("Account: anna").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in to matrix.example")).to_be_visible()


def code_of(secret):
    return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))


def test_a_passkey_is_added_and_signs_in_without_a_password(page, site, passkeys):
    make_staff("anna")
    type_password(page, site)
    expect(page.get_by_text("A second factor is required here")).to_be_visible()

    page.get_by_role("link", name="Passkey or security key").click()
    page.get_by_label("Name, to tell it from others").fill("<b>laptop</b>")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("They are shown this once")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("link", name="Remove <b>laptop</b>")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_label("Account: anna")).to_be_visible()
    assert page.url == f"{site}/"
    sign_out(page)
    type_password(page, site)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_label("Account: anna")).to_be_visible()


def test_an_app_is_set_up_and_its_code_signs_in(page, site):
    make_staff("anna")
    type_password(page, site)
    page.get_by_role("link", name="Authenticator app").click()
    secret = page.get_by_label("Key", exact=True).inner_text()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    page.get_by_label("Code that the app shows").fill(code_of(secret))
    page.get_by_role("button", name="Set it up").click()
    recovery = page.get_by_label("Recovery codes", exact=True).inner_text().split()

    page.get_by_role("link", name="I have kept them").click()
    sign_out(page)
    type_password(page, site)
    page.get_by_label("recovery code").fill(recovery[0])
    page.get_by_role("button", name="Sign in", exact=True).click()

    expect(page.get_by_label("Account: anna")).to_be_visible()


def test_a_passkey_that_is_not_there_is_said_in_words(page, site, passkeys):
    page.goto(f"{site}/login/")

    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_text("That did not work")).to_be_visible()
    assert page.url == f"{site}/login/"


def test_a_form_leads_to_the_provider_and_back_under_the_policy(page, site, issuer, complaints):
    say(issuer, "17", preferred_username="carla", groups=["mods"])
    page.goto(f"{site}/login/?next=/insights/")

    page.get_by_role("button", name="Sign in with single sign-on").click()
    page.wait_for_url(f"{issuer}/**")
    page.get_by_label("Subject").fill("17")
    complaints.clear()  # of the provider's own page, which has no icon and a style sheet from elsewhere
    page.get_by_role("button", name="Authorize").click()

    expect(page.get_by_label("Account: carla")).to_be_visible()
    assert page.url == f"{site}/insights/"
