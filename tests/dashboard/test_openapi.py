"""The description at /api/openapi.json against what the server really answers, asked by schemathesis."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
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
