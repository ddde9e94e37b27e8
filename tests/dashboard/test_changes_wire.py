"""The changes API as bytes on a connection to `manage.py serve`: what no client library would show."""

import gzip
import json
import socket
from datetime import UTC, datetime, timedelta

import pytest

from quarantine import consumers, ledger
from quarantine.models import Consumer, Scope
from tests.dashboard.readers import STORM, read_through_a_storm
from tests.factories import make_changes

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/_synapse/admin/v1/media/quarantine_changes"


class Wire:
    """One connection; requests are sent as they are written, answers read one by one."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.answers = self.socket.makefile("rb")

    def send(self, *requests):
        self.socket.sendall(b"".join(requests))

    def answer(self, *, body=True):
        """Status, headers and body of the next answer; `body`: whether one follows."""
        status = int(self.answers.readline().split()[1])
        headers = {}
        while line := self.answers.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        length = int(headers.get("content-length", 0)) if body else 0
        return status, headers, self.answers.read(length)

    def close(self):
        self.answers.close()
        self.socket.close()


@pytest.fixture
def token(transactional_db):
    ledger.bind()
    make_changes(30)
    return consumers.create("hma", scopes=[Scope.CHANGES])


@pytest.fixture
def wire(server, token):
    wire = Wire(server.port)
    yield wire
    wire.close()


@pytest.fixture
def request_for(token):
    """A function: the bytes of a request with a good token."""

    def build(query="", *, method="GET", authorization=f"Bearer {token}", **headers):
        lines = [f"{method} {URL}{query} HTTP/1.1", "Host: localhost", f"Authorization: {authorization}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    return build


def positions(body):
    return [change["stream_id"] for change in json.loads(body)["changes"]]


def test_requests_sent_at_once_are_answered_in_turn_on_one_connection(wire, request_for):
    wire.send(request_for("?from=28"), request_for("?from=x"), request_for(method="POST"), request_for("?from=29"))

    answers = [wire.answer() for _ in range(4)]

    assert [status for status, _, _ in answers] == [200, 400, 405, 200]
    assert [positions(answers[0][2]), positions(answers[3][2])] == [[29, 30], [30]]
    assert answers[2][1]["allow"] == "GET"


def test_a_head_request_has_no_body_and_leaves_the_connection_in_order(wire, request_for):
    wire.send(request_for(method="HEAD"))
    status, _, _ = wire.answer(body=False)
    wire.send(request_for("?from=29"))

    assert (status, positions(wire.answer()[2])) == (405, [30])


def test_unchanged_is_304_without_a_body_and_packed_is_the_same(wire, request_for):
    wire.send(request_for("?from=now"))
    _, headers, empty = wire.answer()
    wire.send(
        request_for("?from=30", If_None_Match=headers["etag"]), request_for(Accept_Encoding="gzip"), request_for()
    )
    unchanged, packed, plain = wire.answer(), wire.answer(), wire.answer()

    assert json.loads(empty) == {"next_batch": 30, "changes": []}
    assert (unchanged[0], unchanged[2], unchanged[1].get("content-length")) == (304, b"", "0")
    assert (packed[1]["content-encoding"], packed[1]["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed[2]) == plain[2]


def test_a_token_revoked_or_expired_meanwhile_opens_nothing_on_an_open_connection(wire, request_for):
    wire.send(request_for("?from=29"))
    opened = wire.answer()[0]
    Consumer.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    wire.send(request_for("?from=29"))
    expired = wire.answer()
    Consumer.objects.update(expires_at=None)
    consumers.revoke("hma")
    wire.send(request_for("?from=29", If_None_Match='W/"30"'))
    revoked = wire.answer()

    assert (opened, expired[0], revoked[0]) == (200, 401, 401)
    assert [json.loads(answer[2])["errcode"] for answer in (expired, revoked)] == ["M_UNKNOWN_TOKEN"] * 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?from=%2530", 400),
        ("?from=0%00", 400),
        ("?from=%ff", 400),
        ("?from=29&from=x", 200),
        ("?from=29;limit=0", 400),
        ("?limit=" + "9" * 5000, 400),
        ("?from=31", 400),
        ("?from=%2B29", 200),
        ("?&&&=&from=29&junk[]=%F0%9F%98%80", 200),
        ("?" + "a=1&" * 9000, 200),
        ("?from=29&limit=1000&deleted=1&deleted=%0d%0aX-Injected:1", 200),
    ],
)
def test_hostile_query_strings_are_answered_and_nothing_breaks(wire, request_for, query, status):
    wire.send(request_for(query), request_for("?from=29"))
    first, second = wire.answer(), wire.answer()

    assert (first[0], positions(second[2])) == (status, [30])
    assert "x-injected" not in first[1]
    assert first[1]["content-type"] == "application/json"


@pytest.mark.parametrize("authorization", ["Bearer " + "x" * 20_000, "Bearer \xff\xfe", "bearer a b c", "Bearer qd_\t"])
def test_hostile_tokens_are_unknown(wire, request_for, authorization):
    wire.send(request_for(authorization=authorization), request_for("?from=29"))
    first, second = wire.answer(), wire.answer()

    assert (first[0], json.loads(first[2])["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert second[0] == 200


# --- A storm of writers -------------------------------------------------------------------


def test_a_reader_in_a_storm_of_writers_gets_each_change_once_in_order(server, token):
    assert read_through_a_storm(server.port, token) == list(range(1, 30 + STORM + 1))
