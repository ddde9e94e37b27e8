"""LOG_FORMAT=json: one object a line, and nothing in it that is somebody's."""

import json
import logging
import sys

import pytest

from dashboard.serving.logs import JsonFormatter, LineFormatter
from quarantine import ledger
from tests.dashboard.test_live import cookie_of
from tests.factories import make_staff
from tests.servers import running_server

PRIVATE = ("hush", "anna", "127.0.0.9", "evil.example")


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_log_of_requests_holds_nothing_of_what_was_asked(process_env, form):
    ledger.bind()
    cookie = {"Cookie": cookie_of(make_staff("anna"))}
    with running_server(process_env(LOG_FORMAT=form)) as server:
        missing = server.request("GET", "/media/evil.example/hush/?q=hush", headers=cookie)
        nowhere = server.request("GET", "/hush/?q=hush", headers=cookie)
        refused = server.request("POST", "/views/add/", headers=cookie, body="name=hush")
        server.request("GET", "/?origin=evil.example&cursor=hush", headers=cookie)
        server.stop()
        log = list(server.log)

    assert (missing.status, nowhere.status, refused.status) == (404, 404, 403)
    assert not [line for line in log if any(name in line for name in PRIVATE)]
    for answer, route in ((missing, "/media/<origin:origin>/<name:media_id>/"), (refused, "/views/add/")):
        [line] = [line for line in log if answer.headers["X-Request-ID"] in line]
        assert route in line
    if form == "json":
        records = [json.loads(line) for line in log]
        assert {record["request_id"] for record in records if "request_id" in record} >= {
            answer.headers["X-Request-ID"] for answer in (missing, nowhere, refused)
        }
        assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_a_failed_sign_in_is_logged_without_who_and_where(process_env):
    ledger.bind()
    with running_server(process_env(LOG_FORMAT="json")) as server:
        page = server.request("GET", "/login/")
        token = page.body.decode().partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        headers = {"Cookie": page.headers["Set-Cookie"].partition(";")[0], "X-Forwarded-For": "127.0.0.9"}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = f"csrfmiddlewaretoken={token}&username=hush&password=hush"
        assert server.request("POST", "/login/", headers=headers, body=body).status == 422
        server.stop()

    [line] = [line for line in server.log if "failed sign-in" in line]
    assert json.loads(line)["message"] == "failed sign-in as … from …"
    assert not [line for line in server.log if any(name in line for name in PRIVATE)]


def test_an_error_is_told_by_its_kind_and_place():
    try:
        raise ValueError("hush")
    except ValueError as error:
        given = (type(error), error, error.__traceback__)
        record = logging.LogRecord("a", logging.ERROR, __file__, 1, "It broke (%s), %d times.", (error, 2), given)

    said = json.loads(JsonFormatter().format(record))

    assert (said["message"], said["error"]) == ("It broke (ValueError), 2 times.", "ValueError")
    assert "test_logs.py" in said["at"][0]
    assert "hush" not in json.dumps(said)


# --- Lines --------------------------------------------------------------------------------

FORGED = "x\n2026-01-01 00:00:00,000 WARNING dashboard: forged\r\x1b[2J\u2028\x85\x00"
formatter = LineFormatter("{levelname} {name}: {message}", style="{")


def record(message, *arguments, exc_info=None):
    return logging.LogRecord("dashboard", logging.WARNING, __file__, 1, message, arguments, exc_info)


@pytest.mark.parametrize("how", [record(FORGED), record("failed: %s", FORGED)])
def test_what_is_quoted_adds_no_line(how):
    line = formatter.format(how)

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "x\\n2026-01-01" in line


def test_words_stay_as_they_are():
    assert formatter.format(record("größer als %d — ok", 3)) == "WARNING dashboard: größer als 3 — ok"


def test_a_traceback_is_set_in():
    try:
        raise ValueError(FORGED)
    except ValueError:
        text = formatter.format(record("broke", exc_info=sys.exc_info()))

    first, *rest = text.split("\n")
    assert first == "WARNING dashboard: broke"
    assert "Traceback" in rest[0]
    assert all(line.startswith("    ") for line in rest)
