"""Second factors: set up, asked for, required."""

import base64
import json
import re

import pytest
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from quarantine import ledger
from quarantine.models import Access, AccessEntry, Role, Staff
from tests.dashboard.people import sign_in, signed_in
from tests.factories import make_change, make_staff

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
APP, FACTORS, CODES, STEP = "/account/factors/app/", "/account/factors/", "/account/factors/codes/", "/login/code/"


@pytest.fixture(autouse=True)
def anna(db):
    cache.clear()
    return make_staff("anna")


@pytest.fixture
def now(monkeypatch):
    """A clock of the codes; a list, so that a test can set it."""
    clock = [1_800_000_000]
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time.time", lambda: clock[0])
    return clock


def code_at(seconds, secret=SECRET):
    return format_hotp_value(hotp_value(secret, seconds // 30))


@pytest.fixture
def app(anna):
    return TOTP.activate(anna, SECRET)


def secret_on(page):
    """In groups of four, as people read it."""
    groups = re.findall(r'<span class="four">([A-Z2-7]{4})</span>', page.text)
    assert len(groups) == 8
    return "".join(groups)


def is_signed_in(client):
    return client.get("/account/").status_code == 200


# --- Setting up ---------------------------------------------------------------------------


def test_what_is_set_up_and_removed_is_on_record(now, anna, django_capture_on_commit_callbacks):
    here = signed_in()
    with django_capture_on_commit_callbacks(execute=True):
        here.post(APP, {"code": code_at(now[0], secret_on(here.get(APP)))})
        here.post(f"{APP}remove/")

    told = AccessEntry.objects.filter(what__startswith="factor-").order_by("pk")
    assert {(entry.what, entry.who, entry.details) for entry in told} >= {
        (Access.FACTOR_ADDED, "anna", '{"factor": "totp"}'),
        (Access.FACTOR_ADDED, "anna", '{"factor": "recovery_codes"}'),
        (Access.FACTOR_REMOVED, "anna", '{"factor": "totp"}'),
    }


def test_an_app_is_set_up_and_its_recovery_codes_are_shown_once(now, anna):
    here = signed_in()
    secret = secret_on(here.get(APP))

    answer = here.post(APP, {"code": code_at(now[0], secret)})

    assert answer.headers["Location"] == CODES
    codes = re.findall(r"^(?:.*>)?(\d{8})$", here.get(CODES).text, re.M)
    assert len(codes) == 10
    assert codes[0] not in here.get(CODES).text
    assert "10 codes are left" in here.get(FACTORS).text
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))


def test_a_wrong_code_sets_up_nothing(now):
    here = signed_in()
    here.get(APP)

    answer = here.post(APP, {"code": "000000"})

    assert answer.status_code == 422
    assert "That code does not fit." in answer.text
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_removes_the_passkey_of_another(method):
    other = make_staff("ben")
    key = Authenticator.objects.create(user=other, type="webauthn", data={"name": "x", "credential": {}})

    assert getattr(signed_in(), method)(f"/account/factors/passkeys/{key.pk}/remove/").status_code == 404
    assert Authenticator.objects.filter(pk=key.pk).exists()


def test_a_wrong_second_step_is_on_record(app, now):
    here = Client()
    sign_in(here)
    here.post(STEP, {"code": "000000"})

    assert list(AccessEntry.objects.values_list("what", "who")) == [("sign-in-failed", "anna")]


# --- Asked for ----------------------------------------------------------------------------


def test_the_password_alone_no_longer_signs_in(app, now):
    here = Client()

    answer = sign_in(here)

    assert answer.headers["Location"] == STEP
    assert not is_signed_in(here)
    assert here.post(STEP, {"code": "000000"}).status_code == 422
    assert not is_signed_in(here)
    assert here.post(STEP, {"code": code_at(now[0])}).headers["Location"] == "/"
    assert is_signed_in(here)


def test_where_one_wanted_to_go_is_kept_over_the_second_step(app, now):
    here = Client()
    sign_in(here, data={"next": "/insights/?range=24h"})

    assert here.post(STEP, {"code": code_at(now[0])}).headers["Location"] == "/insights/?range=24h"


def test_a_code_works_once(app, now):
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client)

    assert first.post(STEP, {"code": code_at(now[0])}).status_code == 302
    assert second.post(STEP, {"code": code_at(now[0])}).status_code == 422


def test_a_recovery_code_works_once(app, anna):
    code = RecoveryCodes.activate(anna).get_unused_codes()[0]
    first, second = Client(), Client()
    for client in (first, second):
        sign_in(client)

    assert first.post(STEP, {"code": code}).status_code == 302
    assert second.post(STEP, {"code": code}).status_code == 422


def test_ten_wrong_codes_close_the_second_step(app, now):
    here = Client()
    sign_in(here)

    statuses = [here.post(STEP, {"code": "000000"}).status_code for _ in range(11)]

    assert statuses == [422] * 10 + [429]
    assert here.post(STEP, {"code": code_at(now[0])}).status_code == 429


def test_without_the_first_step_there_is_no_second(client):
    assert client.get(STEP).headers["Location"] == "/login/"
    assert client.post(STEP, {"code": "000000"}).headers["Location"] == "/login/"


def test_another_secret_key_opens_nothing_and_breaks_nothing(app, now, settings):
    settings.SECRET_KEY = "another-" * 8
    here = Client()
    sign_in(here)

    assert here.post(STEP, {"code": code_at(now[0])}).status_code == 422


@pytest.mark.parametrize("credential", ["", "{}", "[]", "null", '{"response": {}}', "x" * 1000])
def test_a_passkey_that_makes_no_sense_signs_nobody_in(client, credential):
    client.get("/login/passkey/", headers={"Accept": "application/json"})

    assert client.post("/login/passkey/", {"credential": credential}).headers["Location"] == "/login/"
    assert not is_signed_in(client)


def failures():
    """What is on record of them, oldest first."""
    told = AccessEntry.objects.filter(what=Access.SIGN_IN_FAILED).order_by("pk")
    return list(told.values_list("who", "staff", "address", "details"))


def of_user(handle):
    """As a browser answers, for somebody whose passkey this isn't."""
    return json.dumps({"id": "AAAA", "response": {"userHandle": base64.urlsafe_b64encode(handle.encode()).decode()}})


NOBODY = Staff(pk=999_999)
FAILED = ("192.0.2.0/24", '{"factor": "webauthn"}')


def test_a_passkey_that_does_not_fit_is_on_record_under_the_name_it_gives(client, anna):
    others = ['{"response": {}}', '{"response": []}', "[1]", of_user(user_pk_to_url_str(NOBODY)), of_user("?")]
    for credential in [of_user(user_pk_to_url_str(anna)), *others]:
        client.post("/login/passkey/", {"credential": credential}, REMOTE_ADDR="192.0.2.7")

    assert failures() == [("anna", anna.pk, *FAILED), *[("", None, *FAILED)] * len(others)]
    assert not is_signed_in(client)


def test_a_second_step_by_passkey_that_fails_is_on_record(app, anna):
    here = Client()
    sign_in(here)

    refused = here.post(STEP, {"credential": of_user("?")}, REMOTE_ADDR="192.0.2.7")

    assert refused.status_code == 422
    assert failures() == [("anna", anna.pk, *FAILED)]


# --- Required -----------------------------------------------------------------------------


@pytest.fixture
def _required(settings):
    settings.MFA_REQUIRED = True


@pytest.mark.usefixtures("_required")
@pytest.mark.parametrize("address", ["/", "/account/", "/account/password/", "/insights/", "/consumers/"])
def test_whoever_has_none_is_led_to_set_one_up(address):
    make_staff("root", role=Role.ADMIN)
    here = signed_in("root")

    assert here.get(address).headers["Location"] == FACTORS
    assert here.get(address, headers={"HX-Request": "true"}).headers["HX-Redirect"] == FACTORS
    assert "A second factor is required here" in here.get(FACTORS).text


@pytest.mark.usefixtures("_required")
def test_what_a_page_asks_for_by_itself_leads_nowhere():
    """Or the page that it is part of, the one for setting one up, would be opened again and again."""
    headers = {"HX-Request": "true", "X-Unattended": "1"}

    answer = signed_in().get("/alerts/count/", headers=headers)

    assert (answer.status_code, answer.text, answer.headers.get("HX-Redirect")) == (204, "", None)


@pytest.mark.usefixtures("_required")
@pytest.mark.parametrize("address", ["/changes/live", "/changes.csv", "/changes.ndjson", "/actions.csv"])
def test_streams_are_closed_to_whoever_has_none(address):
    make_change(media_id="abc")
    answer = signed_in().get(address)

    assert answer.status_code in {302, 403}
    assert "abc" not in answer.text


@pytest.mark.usefixtures("_required")
def test_nothing_can_be_done_without_one():
    here = signed_in()

    assert here.post("/views/add/", {"name": "x", "query": "state=released"}).headers["Location"] == FACTORS
    assert here.get("/api/openapi.json").status_code == 401


@pytest.mark.usefixtures("_required")
def test_all_opens_with_the_first_one(now):
    ledger.bind()
    here = signed_in()
    secret = secret_on(here.get(APP))

    here.post(APP, {"code": code_at(now[0], secret)})

    assert is_signed_in(here)
    assert here.get("/changes.csv").status_code == 200


@pytest.mark.usefixtures("_required")
def test_the_last_one_stays(app, anna, now):
    here = Client()
    sign_in(here)
    here.post(STEP, {"code": code_at(now[0])})

    answer = here.post("/account/factors/app/remove/")

    assert answer.status_code == 422
    assert "add another before you remove the last" in answer.text
    assert Authenticator.objects.filter(user=anna).exists()
