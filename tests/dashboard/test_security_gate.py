"""Nothing is shown, and nothing done, to whoever has not signed in."""

import pytest
from django.core.cache import cache
from django.test import Client

from quarantine.models import Role
from tests.dashboard.people import PASSWORD
from tests.dashboard.sitemap import FOR_PROGRAMS, PUBLIC, addresses, behind_the_gate
from tests.factories import make_change, make_local_media, make_staff

pytestmark = pytest.mark.django_db
SECRETS = ("hunted.example", "abc", "@mallory:", "portrait.jpg")


@pytest.fixture
def _something_to_leak(db):
    cache.clear()
    make_local_media("abc", upload_name="portrait.jpg", quarantined_by="system")
    make_change(media_id="abc", upload_name="portrait.jpg", uploader="@mallory:hunted.example")


def test_the_walk_finds_the_pages():
    assert {"/", "/media/matrix.example/abc/", "/account/", "/login/", "/changes/live"} <= set(addresses())
    assert set(addresses()) >= PUBLIC


@pytest.mark.usefixtures("_something_to_leak")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("address", behind_the_gate())
def test_strangers_are_sent_to_the_sign_in_page(client, address, method):
    answer = client.generic(method, address)

    if address in FOR_PROGRAMS:
        assert answer.status_code in ({401} if method == "GET" else {405})
    else:
        back = address if method in {"GET", "HEAD"} else "/"
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/login/?next={back}")
    assert not [secret for secret in SECRETS if secret in answer.text]


@pytest.mark.usefixtures("_something_to_leak")
@pytest.mark.parametrize("address", [address for address in behind_the_gate() if address not in FOR_PROGRAMS])
def test_htmx_is_sent_there_by_a_header(client, address):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/?state=released#c7"}

    answer = client.get(address, headers=headers)

    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["HX-Redirect"] == "/login/?next=/%3Fstate%3Dreleased"


@pytest.mark.usefixtures("_something_to_leak")
@pytest.mark.parametrize("address", [address for address in behind_the_gate() if address not in FOR_PROGRAMS])
def test_a_page_that_asks_by_itself_stays_and_is_told(client, address):
    answer = client.get(address, headers={"HX-Request": "true", "X-Unattended": "1"})

    assert (answer.status_code, answer.headers.get("HX-Redirect")) == (401, None)
    assert answer.text == "You are signed out. Reload the page to sign in again and go on."


@pytest.mark.parametrize(
    "shown", ["https://evil.example/", "//evil.example/x", "javascript:alert(1)", "", "http://[", "\\\\evil"]
)
def test_htmx_leads_back_to_no_other_origin(client, shown):
    answer = client.get("/account/", headers={"HX-Request": "true", "HX-Current-URL": shown})

    assert answer.headers["HX-Redirect"] == "/login/?next=/account/"


@pytest.mark.usefixtures("_something_to_leak")
@pytest.mark.parametrize(
    ("address", "method", "status"),
    [
        ("/login/", "GET", 200),
        ("/logout/", "GET", 405),
        ("/logout/", "POST", 302),
        ("/healthz", "GET", 200),
        ("/readyz", "GET", 200),
    ],
)
def test_what_strangers_may_ask_for_says_nothing(client, address, method, status):
    answer = client.generic(method, address)

    assert answer.status_code == status
    assert not [secret for secret in SECRETS if secret in answer.text]


@pytest.mark.parametrize(
    "address", ["/nowhere/", "/admin/", "/admin/login/", "/accounts/signup/", "/signup/", "/static/nowhere.css"]
)
def test_there_is_nothing_else(client, address):
    assert client.get(address).status_code == 404


def test_a_disabled_account_is_a_stranger(client):
    staff = make_staff()
    client.force_login(staff)
    assert client.get("/account/").status_code == 200

    staff.is_active = False
    staff.save()

    assert client.get("/account/").headers["Location"] == "/login/?next=/account/"


@pytest.mark.parametrize("address", behind_the_gate())
def test_no_form_is_taken_without_its_token(address):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff())

    assert client.post(address, {"username": "mod", "password": PASSWORD}).status_code in {403, 405}


@pytest.mark.urls("tests.dashboard.refusing_urls")
@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.MODERATOR, 200)])
def test_what_the_core_refuses_is_403(client, role, status):
    client.force_login(make_staff(role=role))

    answer = client.get("/moderate/")

    assert answer.status_code == status
    assert ("Your role does not include this" in answer.text) == (status == 403)
