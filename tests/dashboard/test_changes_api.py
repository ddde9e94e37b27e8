"""The changes API: Synapse's shape and errors, nothing skipped, tokens of our own."""

import gzip
import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from dashboard.exports.change_json import change_json, compact
from quarantine import consumers, ledger
from quarantine.entries import Entry
from quarantine.models import Change, Consumer, Scope, Source, State
from quarantine.mxc import Mxc
from quarantine.statements import Preparing
from tests.factories import make_action, make_change, make_changes, make_ledger

pytestmark = pytest.mark.django_db
URL = "/_synapse/admin/v1/media/quarantine_changes"


@pytest.fixture
def token(db):
    make_ledger()
    return consumers.create("hma", scopes=[Scope.CHANGES])


@pytest.fixture
def read(client, token):
    """Ask with a good token; returns (status, decoded JSON)."""

    def ask(query="", *, method="get", authorization=f"Bearer {token}"):
        headers = {"Authorization": authorization} if authorization else {}
        response = getattr(client, method)(URL + query, headers=headers)
        return response.status_code, response.json()

    return ask


def test_a_row_is_in_synapses_shape_with_more_in_it(read):
    make_change(media_id="abc", sha256="ab" * 32)

    status, body = read()

    assert status == 200
    assert body["next_batch"] == 1
    [change] = body["changes"]
    assert {name: change[name] for name in ("origin", "media_id", "quarantined")} == {
        "origin": "matrix.example",
        "media_id": "abc",
        "quarantined": True,
    }
    assert change["sha256"] == "ab" * 32
    assert change["seen_at"] == "2026-03-01T12:00:01.000Z"


def test_from_is_exclusive_and_oldest_comes_first(read):
    make_changes(5)

    _, body = read("?from=2")

    assert [change["stream_id"] for change in body["changes"]] == [3, 4, 5]
    assert body["next_batch"] == 5


def test_pages_hold_a_hundred_unless_asked_otherwise(read):
    make_changes(103)

    assert [len(read(query)[1]["changes"]) for query in ("", "?from=100", "?limit=2", "?limit=1000")] == [
        100,
        3,
        2,
        103,
    ]
    assert read("?limit=2")[1]["next_batch"] == 2


def test_at_the_head_there_is_nothing_and_next_batch_stays(read):
    make_changes(3)

    assert read("?from=3") == (200, {"next_batch": 3, "changes": []})
    assert read("?from=now") == (200, {"next_batch": 3, "changes": []})


@pytest.mark.parametrize("query", ["", "?from=0", "?from=1"])
def test_an_empty_ledger_accepts_nothing_0_and_1_and_then_skips_nothing(read, query):
    status, body = read(query)
    make_change(media_id="first")
    _, later = read(f"?from={body['next_batch']}")

    assert (status, body["changes"]) == (200, [])
    assert [change["media_id"] for change in later["changes"]] == ["first"]


def test_deletions_are_left_out_unless_asked_for_and_the_cursor_moves_all_the_same(read):
    make_change(media_id="gone")
    make_change(media_id="gone", state=State.DELETED)

    assert read("?from=1") == (200, {"next_batch": 2, "changes": []})
    [deletion] = read("?from=1&deleted=1")[1]["changes"]
    assert (deletion["quarantined"], deletion["deleted"]) == (False, True)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?from=abc", "Query parameter from must be an integer"),
        ("?from=1.5", "Query parameter from must be an integer"),
        ("?from=", "Query parameter from must be an integer"),
        ("?from=%00", "Query parameter from must be an integer"),
        ("?from=1_0", "Query parameter from must be an integer"),
        ("?from=٣", "Query parameter from must be an integer"),
        ("?from=-1", "Query parameter from must be a positive integer."),
        ("?limit=0", "Query parameter limit must be from 1 to 1000."),
        ("?limit=1001", "Query parameter limit must be from 1 to 1000."),
        ("?limit=x", "Query parameter limit must be an integer"),
    ],
)
def test_a_bad_parameter_is_named(read, query, error):
    assert read(query) == (400, {"errcode": "M_INVALID_PARAM", "error": error})


@pytest.mark.parametrize("position", [4, 2**31, 2**63, 10**29])
def test_a_position_beyond_the_head_is_refused(read, position):
    make_changes(3)

    status, body = read(f"?from={position}")

    assert (status, body["errcode"]) == (400, "M_INVALID_PARAM")
    assert "greater than the furthest persisted position" in body["error"]


def test_given_twice_the_first_counts(read):
    make_changes(3)

    assert [change["stream_id"] for change in read("?from=2&from=0")[1]["changes"]] == [3]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_not_recognised_even_without_a_token(read, method):
    assert read(method=method, authorization=None) == (
        405,
        {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"},
    )


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic eDp5"])
def test_without_a_token_nothing_else_is_looked_at(read, authorization):
    assert read("?from=abc", authorization=authorization) == (
        401,
        {"errcode": "M_MISSING_TOKEN", "error": "Missing access token"},
    )


def test_a_token_in_the_query_string_is_not_looked_at(read, token):
    assert read(f"?access_token={token}", authorization=None)[0] == 401


def test_an_unknown_token_is_refused_before_the_parameters(read):
    status, body = read("?from=abc", authorization="Bearer wrong\u00e9")

    assert (status, body["errcode"]) == (401, "M_UNKNOWN_TOKEN")


def test_a_revoked_token_opens_nothing_from_then_on(read):
    assert read()[0] == 200

    consumers.revoke("hma")

    assert read()[1]["errcode"] == "M_UNKNOWN_TOKEN"


def test_a_token_of_another_scope_is_forbidden(read):
    other = consumers.create("metrics", scopes=[Scope.METRICS])

    status, body = read(authorization=f"Bearer {other}")

    assert (status, body["errcode"]) == (403, "M_FORBIDDEN")


def test_a_session_is_no_token(client, read, django_user_model):
    client.force_login(django_user_model.objects.create_user("anna"))

    assert read(authorization=None)[0] == 401


def test_the_token_itself_is_stored_nowhere(token):
    stored = Consumer.objects.values_list("name", "token_digest", "scopes").get()

    assert token not in str(stored)
    assert stored[1] == consumers.digest(token)


def test_its_last_use_is_recorded(read):
    make_changes(3)

    read("?from=2")

    consumer = Consumer.objects.get()
    assert consumer.last_seen_at is not None
    assert consumer.position == 2


@pytest.mark.sqlite  # on PostgreSQL they pass by Django, which then can't count them
def test_a_page_costs_the_same_few_queries_however_long(read, django_assert_num_queries):
    make_changes(30)

    with django_assert_num_queries(4):  # who asks, the head, the page, the use
        read()


def test_an_expired_token_opens_nothing(read):
    Consumer.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert read()[1]["errcode"] == "M_UNKNOWN_TOKEN"


def test_what_is_unchanged_is_not_sent_again(client, token):
    make_changes(3)
    headers = {"Authorization": f"Bearer {token}"}
    head = client.get(f"{URL}?from=3", headers=headers)

    again = client.get(f"{URL}?from=3", headers=headers | {"If-None-Match": head.headers["ETag"]})
    make_change(media_id="new")
    later = client.get(f"{URL}?from=3", headers=headers | {"If-None-Match": head.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert (later.status_code, [change["media_id"] for change in later.json()["changes"]]) == (200, ["new"])


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, deflate", True), ("gzip;q=0", False), ("br", False)])
def test_a_page_is_packed_for_whoever_asks(client, token, accepted, packed):
    make_changes(50)
    headers = {"Authorization": f"Bearer {token}"}
    plain = client.get(URL, headers=headers)

    answer = client.get(URL, headers=headers | {"Accept-Encoding": accepted})

    assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    assert (gzip.decompress(answer.content) if packed else answer.content) == plain.content


def test_both_engines_send_the_bytes_that_python_makes(client, token):
    hostile = "\u202e\"\\/\x01\x1f\t\r\n\x7f<é😀\u2028'"
    action = make_action(reason=hostile)
    make_change(media_id=hostile, origin="evil.example", upload_name=hostile, uploader=hostile, action=action)
    make_change(media_id="bare", not_before=None, media_type="", sha256="0a" * 32, media_length=2**40)
    make_change(media_id="bare", state=State.DELETED)
    changes = Change.objects.newer_than(0).select_related("action")

    answer = client.get(f"{URL}?deleted=1", headers={"Authorization": f"Bearer {token}"})

    assert answer.content.decode() == compact({"next_batch": 3, "changes": [change_json(one) for one in changes]})


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_pooler_that_loses_prepared_statements_is_borne(read, monkeypatch):
    make_changes(2)
    monkeypatch.setattr(Preparing, "on", True)
    read()
    connections["default"].connection.pgconn.exec_(b"DEALLOCATE ALL")  # as if lent another server connection

    assert [change["stream_id"] for change in read()[1]["changes"]] == [1, 2]
    assert not Preparing.on


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_broken_connection_is_renewed(read):
    make_changes(2)
    read()
    connections["default"].connection.pgconn.finish()

    assert [change["stream_id"] for change in read()[1]["changes"]] == [1, 2]


def write(writer, *, times, batch):
    for number in range(times):
        names = [Mxc("w.example", f"{writer}-{number}-{row}") for row in range(batch)]
        ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED) for mxc in names])
    connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_keeps_next_batch_misses_nothing_while_writers_write(read):
    work = {"times": 25, "batch": 5}
    writers = [threading.Thread(target=write, args=[writer], kwargs=work) for writer in range(4)]
    for writer in writers:
        writer.start()
    seen, position, going = [], 0, True
    while going:
        alive = any(writer.is_alive() for writer in writers)
        _, body = read(f"?from={position}&limit=7")
        seen += [change["stream_id"] for change in body["changes"]]
        assert body["next_batch"] >= position
        position, going = body["next_batch"], alive or body["changes"]

    assert seen == list(range(1, 4 * 25 * 5 + 1))
