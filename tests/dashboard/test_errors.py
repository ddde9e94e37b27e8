"""Error pages: what happened in a sentence, and a reference that leads to its line in the log."""

import io
import logging
import re

import pytest
from django.db import connections
from django.test import Client

from dashboard.references import WithReference
from tests import databases
from tests.environment import settings_with
from tests.factories import make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.dashboard.refusing_urls")]
HTMX = {"HX-Request": "true", "HX-Target": "results"}


def forged(_client, **headers):
    return Client(enforce_csrf_checks=True).post("/login/", headers=headers)


ERRORS = {
    "bad request": (400, "This request can't be read", lambda client, **more: client.get("/damaged/", headers=more)),
    "unknown host": (
        400,
        "This server does not answer under that name",
        lambda client, **more: client.get("/", headers=more | {"Host": "x"}),
    ),
    "not allowed": (
        403,
        "Your role does not include this",
        lambda client, **more: client.get("/moderate/", headers=more),
    ),
    "forged": (403, "This form did not come from here", forged),
    "not found": (404, "There is no such page", lambda client, **more: client.get("/nowhere", headers=more)),
    "too large": (413, "This is more than one form can carry", lambda client, **more: too_large(client, more)),
    "broken": (500, "Something broke here", lambda client, **more: client.get("/broken/", headers=more)),
}


def too_large(client, headers):
    return client.post("/login/", {"username": "x" * 1024 * 1024}, headers=headers)


@pytest.fixture
def client(db):
    client = Client(raise_request_exception=False)
    client.force_login(make_staff(role="viewer"))
    return client


@pytest.fixture
def log():
    """What the server's own handler writes."""
    ours = [
        handler
        for handler in logging.getLogger().handlers
        if any(isinstance(each, WithReference) for each in handler.filters)
    ]
    before = ours[0].setStream(io.StringIO())
    yield ours[0].stream
    ours[0].setStream(before)


def quoted(answer):
    found = re.findall(r">(q-[0-9a-f]{4}-[0-9a-f]{4})<", answer.text)
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_told_with_a_reference_that_is_in_the_log(client, log, kind):
    status, words, provoke = ERRORS[kind]

    answer = provoke(client)

    assert answer.status_code == status
    assert f"<h1>{words.replace("'", '&#x27;')}</h1>" in answer.text
    assert quoted(answer) == answer.headers["X-Request-ID"]
    assert f"[{quoted(answer)}]\n" in log.getvalue()
    assert quoted(provoke(client)) != quoted(answer)


@pytest.mark.parametrize("kind", ERRORS)
def test_htmx_gets_the_sentence_alone(client, kind):
    status, words, provoke = ERRORS[kind]

    answer = provoke(client, **HTMX)

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert answer.text.startswith(f"{words}. ")
    assert answer.headers["X-Request-ID"].startswith("q-")


def test_what_works_has_no_reference(client):
    assert "X-Request-ID" not in client.get("/account/").headers


@pytest.fixture
def away(client):
    """Nothing listens where the ledger's database should be."""
    database = connections.settings["default"]
    closed = settings_with({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})["DATABASES"]["default"]
    databases.point("default", closed)
    yield client
    databases.point("default", database)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_is_said_so(away, log):
    page, region, posted = away.get("/"), away.get("/", headers=HTMX), away.post("/login/", {"username": "a"})

    assert [answer.status_code for answer in (page, region, posted)] == [503] * 3
    assert "The ledger&#x27;s database does not answer" in page.text
    assert page.headers["Retry-After"] == "10"
    assert region.text.startswith("The ledger's database does not answer. ")
    assert "127.0.0.1" not in page.text + region.text + posted.text
    assert f"[{quoted(page)}]\n" in log.getvalue()
    assert "Connection refused" in log.getvalue()
