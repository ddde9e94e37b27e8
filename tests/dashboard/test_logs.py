"""LOG_FORMAT=json: one object a line, and nothing in it that is somebody's."""

import json
import logging

import pytest

from dashboard.serving.logs import JsonFormatter
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
