"""The description at /api/openapi.json against what the server really answers, asked by schemathesis."""

import http.client
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client

from dashboard.exports.exports import CONTENT_TYPES
from dashboard.machines.openapi import DESCRIPTION, PATHS
from quarantine import consumers, ledger
from quarantine.models import Role, Scope, State
from tests.dashboard.sitemap import routes
from tests.environment import ROOT
from tests.factories import make_action, make_change, make_changes, make_local_media, make_staff

CONFIG = Path(__file__).with_name("schemathesis.toml")
LINES = {"SCHEMATHESIS_HOOKS": "tests.dashboard.schemathesis_lines", "PYTHONPATH": str(ROOT)}


def test_every_address_that_is_no_page_is_described():
    """Pages end in a slash."""
    machine = {route for route in routes() if route and not route.endswith("/")}
    forms = [route.replace("<export_form:form>", form) for route in machine for form in CONTENT_TYPES]

    assert machine
    assert {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", form) for form in forms} == set(PATHS)


@pytest.fixture(scope="module")
def server_settings():
    return {"MEDIA_DOWNLOADS": "on"}


@pytest.fixture
def credentials(transactional_db):
    """What opens everything; the ledger and the homeserver have something to show."""
    ledger.bind()
    make_changes(5)
    make_change(media_id="gone", action=make_action(reason="Why"))
    make_change(media_id="gone", state=State.DELETED)
    make_local_media("hXkQvbTzRtLm", quarantined_by="x")  # the example of the description
    token = consumers.create("all", scopes=list(Scope))
    client = Client()
    client.force_login(make_staff("anna", role=Role.AUDITOR))
    return {"TOKEN": token, "SESSION": client.cookies[settings.SESSION_COOKIE_NAME].value}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_every_answer_is_as_described(server, credentials, tmp_path):
    """But for streams without end."""
    session = f"{settings.SESSION_COOKIE_NAME}={credentials['SESSION']}"
    description = server.request("GET", "/api/openapi.json", headers={"Cookie": session})
    (tmp_path / "openapi.json").write_bytes(description.body)
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", "openapi.json"]
    command += ["--url", server.url, "--exclude-path-regex", r"/live$"]

    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | credentials | LINES, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert not server.logged("Traceback")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_without_credentials_only_what_is_for_anybody_answers(server, credentials):
    found = {path: server.request("GET", path.format(origin="a", media_id="b")).status for path in PATHS}

    assert {path for path, status in found.items() if status < 300} == {"/healthz", "/readyz"}
    for path, status in found.items():
        assert str(status) in DESCRIPTION["paths"][path]["get"]["responses"]


LIVE = "/changes/live"
ASKED = [  # method, query, more headers, signed in, the answer
    ("GET", "", {}, True, 200),
    ("GET", "?origin=a&since=1", {}, True, 200),
    ("GET", "", {"Last-Event-ID": "2"}, True, 200),
    ("GET", "", {}, False, 401),
    ("GET", "?since=x", {}, True, 422),
    ("GET", "", {"Last-Event-ID": "x"}, True, 422),
    ("HEAD", "", {}, True, 405),
]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked[0]}{asked[1]}-{asked[4]}")
def test_streams_open_as_described(server, credentials, asked):
    """They never end: read as far as their head, by hand."""
    method, query, more, signed_in, status = asked
    cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={credentials['SESSION']}"} if signed_in else {}
    described = DESCRIPTION["paths"][LIVE]["get"]["responses"][str(status)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, LIVE + query, headers=cookie | more)
        answer = connection.getresponse()

        assert answer.status == status
        if "content" in described:
            assert answer.getheader("Content-Type").partition(";")[0] in described["content"]
        assert all(answer.getheader(name) is not None for name in described.get("headers", {}))
        if status == 200:
            assert re.fullmatch(rb"retry: \d+\n", answer.readline())
    finally:
        connection.close()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_events_are_those_described(server, credentials):
    """Each kind of event that a stream may hold; ids are positions."""
    cookie = f"{settings.SESSION_COOKIE_NAME}={credentials['SESSION']}"
    described = DESCRIPTION["paths"][LIVE]["get"]["responses"]["200"]["description"]
    head = ledger.current().head
    with server.stream(f"{LIVE}?since={head - 1}", cookie=cookie) as missed:
        [change] = missed.take(1)
    with server.stream(f"{LIVE}?since={head + 1}", cookie=cookie) as ahead:
        [reset] = ahead.take(1)
        Session.objects.all().delete()
        [ended] = ahead.take(1)

    assert [(event.name, event.id) for event in (change, reset)] == [("change", head), ("reset", head)]
    assert described.startswith(f"Events {change.name}, {reset.name} and {ended.name};")
