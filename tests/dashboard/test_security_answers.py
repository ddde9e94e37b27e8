"""What every answer carries, whatever kind it is; and what none gives away."""

import asyncio

import pytest
from django.core.cache import cache
from django.templatetags.static import static
from django.test import Client

from dashboard.serving.wire import respond
from tests.dashboard.people import sign_in
from tests.dashboard.refusing_urls import SECRET
from tests.environment import settings_with
from tests.factories import make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.dashboard.refusing_urls")]

CSP = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def throttled(client):
    for _ in range(10):
        sign_in(client, "nobody")
    return sign_in(client, "nobody")


def without_token(client):
    return Client(enforce_csrf_checks=True).post("/login/")


STRANGERS = {
    "sign-in page": (200, lambda client: client.get("/login/")),
    "to the sign-in page": (302, lambda client: client.get("/")),
    "htmx to the sign-in page": (200, lambda client: client.get("/", headers={"HX-Request": "true"})),
    "refused sign-in": (422, lambda client: sign_in(client, "nobody")),
    "throttled sign-in": (429, throttled),
    "forged form": (403, without_token),
    "health": (200, lambda client: client.get("/healthz")),
    "live, signed out": (401, lambda client: client.get("/changes/live")),
    "wrong host": (400, lambda client: client.get("/", headers={"Host": "evil.example"})),
    "no such page": (404, lambda client: client.get("/nowhere")),
}
STAFF = {
    "page": (200, lambda client: client.get("/account/")),
    "timeline": (200, lambda client: client.get("/")),
    "region": (200, lambda client: client.get("/", headers={"HX-Request": "true", "HX-Target": "results"})),
    "bad filter": (422, lambda client: client.get("/?state=nonsense")),
    "no such media": (404, lambda client: client.get("/media/a.example/nowhere/")),
    "wrong method": (405, lambda client: client.get("/logout/")),
    "role too low": (403, lambda client: client.get("/moderate/")),
    "failure": (500, lambda client: client.get("/broken/")),
    "redirect": (302, lambda client: client.get("/login/")),
    "opening of live": (200, lambda client: client.get("/changes/live")),
}


@pytest.fixture(autouse=True)
def _no_earlier_attempts(db):
    cache.clear()


@pytest.fixture
def staff_client():
    client = Client(raise_request_exception=False)
    client.force_login(make_staff(role="viewer"))
    return client


def assert_guarded(answer):
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert {"camera=()", "geolocation=()", "serial=()"} <= set(answer.headers["Permissions-Policy"].split(", "))
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == CSP


@pytest.mark.parametrize("kind", STRANGERS)
def test_answers_to_strangers_are_guarded(client, kind):
    status, ask = STRANGERS[kind]

    answer = ask(client)

    assert answer.status_code == status
    assert_guarded(answer)
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("kind", STAFF)
def test_answers_to_staff_are_guarded_and_never_stored(staff_client, kind):
    status, ask = STAFF[kind]

    answer = ask(staff_client)

    assert answer.status_code == status
    assert_guarded(answer)
    assert "no-store" in answer.headers["Cache-Control"]
    assert "public" not in answer.headers["Cache-Control"]


def test_static_files_are_guarded_and_kept(client):
    answer = client.get(static("icons.svg"))
    answer.close()

    assert answer.status_code == 200
    assert_guarded(answer)
    assert "immutable" in answer.headers["Cache-Control"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not answer.cookies


def test_answers_without_django_are_not_guessed_at_or_stored():
    messages = []

    async def send(message):
        messages.append(message)

    asyncio.run(respond(send, status=413, text="Too large."))

    headers = dict(messages[0]["headers"])
    assert (headers[b"x-content-type-options"], headers[b"cache-control"]) == (b"nosniff", b"no-store")
    assert headers[b"content-security-policy"] == b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"
    assert headers[b"content-type"] == b"text/plain; charset=utf-8"


# --- HTTPS --------------------------------------------------------------------------------


@pytest.fixture
def https(settings):
    """The settings that HTTPS=on makes."""
    for name, value in settings_with({"HTTPS": "on"}).items():
        if name.startswith("SECURE_") or "_COOKIE_" in name or name == "HTTPS":
            setattr(settings, name, value)


@pytest.mark.usefixtures("https")
def test_plain_http_is_sent_to_https(client):
    answer = client.get("/account/?x=1")

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://testserver/account/?x=1")
    assert_guarded(answer)
    assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]


@pytest.mark.usefixtures("https")
def test_over_https_cookies_are_bound_to_this_host(client):
    make_staff("anna")

    answer = sign_in(client, secure=True)

    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert {"__Host-session", "__Host-csrf", "__Host-device"} == set(answer.cookies)
    for cookie in answer.cookies.values():
        assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        assert cookie["samesite"] == "Lax"


@pytest.mark.usefixtures("https")
@pytest.mark.parametrize(("path", "name"), [("/theme/", "theme"), ("/language/", "language")])
def test_over_https_what_a_browser_remembers_is_bound_too(staff_client, path, name):
    chosen = {"theme": "dark", "language": "de"}

    answer = staff_client.post(path, {name: chosen[name]}, secure=True)
    page = staff_client.get("/account/", secure=True)

    cookie = answer.cookies[f"__Host-{name}"]
    assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
    assert {"theme": 'data-theme="dark"', "language": 'lang="de"'}[name] in page.text


@pytest.mark.usefixtures("https")
def test_over_https_what_a_stranger_sent_is_noted_in_a_bound_cookie_without_it(client):
    answer = client.post("/actions/new/", {"verb": "quarantine", "list": "mxc://a.example/b"}, secure=True)

    [cookie] = answer.cookies.values()
    assert (cookie.key, cookie.value) == ("__Host-unsent", "1")
    assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
    assert cookie["samesite"] == "Lax"


@pytest.mark.usefixtures("https")
@pytest.mark.parametrize(
    "path",
    [
        "/_synapse/admin/v1/media/quarantine_changes",
        "/_matrix/client/v1/media/download/a.example/b",
        "/api/v1/quarantined",
        "/metrics",
    ],
)
def test_programs_are_not_led_to_https(client, path):
    answer = client.get(path, headers={"Authorization": "Bearer qd_secret"})

    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")
    assert "Location" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get(path, secure=True).status_code == 401


@pytest.mark.usefixtures("https")
def test_over_https_next_does_not_lead_back_to_http(client):
    make_staff("anna")

    answer = sign_in(client, data={"next": "http://testserver/account/"}, secure=True)

    assert answer.headers["Location"] == "/"


def test_without_https_nothing_is_promised_about_it(client):
    answer = client.get("/login/")

    assert "Strict-Transport-Security" not in answer.headers
    assert set(answer.cookies) == {"quarantine_csrf"}


# --- Hosts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "testserver.evil.example", "testserver:80@evil.example", "testserver/x", ""]
)
@pytest.mark.parametrize("path", ["/", "/login/", "/nowhere"])
def test_another_host_is_refused_without_being_named(client, host, path):
    answer = client.get(path, headers={"Host": host})

    assert answer.status_code == 400
    assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Host", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Server"]
)
def test_no_header_stands_in_for_the_host(staff_client, header):
    for client in (staff_client, Client()):
        answer = client.get("/account/", headers={header: "evil.example"})

        assert answer.status_code in {200, 302}
        assert "evil.example" not in answer.text + str(answer.headers)


# --- Too much -----------------------------------------------------------------------------


def test_a_file_is_not_taken(client, tmp_path):
    file = tmp_path / "x.txt"
    file.write_text("x")

    with file.open() as upload:
        answer = client.post("/login/", {"username": upload, "password": "x"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "status"), [({"username": "x" * 1024 * 1024}, 413), ({f"name{n}": "x" for n in range(1001)}, 413)]
)
def test_too_large_a_form_is_not_read(client, fields, status):
    assert client.post("/login/", fields).status_code == status
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    assert client.post("/login/", body, content_type="application/x-www-form-urlencoded").status_code == status


def test_an_address_of_two_slashes_becomes_no_link_to_another_host(staff_client, client):
    for reader in (staff_client, client):
        answer = reader.get("/", PATH_INFO="//evil.example/x")

        assert answer.status_code == 404
        assert 'href="/evil.example/x"' in answer.text
        assert "//evil" not in answer.text


# --- Error pages --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("/broken/", "Something broke here"),
        ("/nowhere/<script>alert(1)</script>", "There is no such page"),
        ("/moderate/", "Your role does not include this"),
    ],
)
def test_an_error_page_says_nothing_but_its_sentence(staff_client, address, title):
    answer = staff_client.get(address)

    assert answer.text.count("<h1") == 1
    assert title in answer.text
    for leak in (SECRET, "Traceback", "RuntimeError", "refusing_urls", "<script>alert", "Django", "SECRET_KEY"):
        assert leak not in answer.text


def test_a_forged_form_is_answered_in_our_words():
    answer = without_token(None)

    assert "This form did not come from here" in answer.text
    assert "CSRF" not in answer.text
