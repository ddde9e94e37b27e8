"""/changes/live over the wire: a real server, real databases, and readers that come and go."""

import threading
from itertools import count, islice
from time import monotonic

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from dashboard.events import LIMIT
from dashboard.streaming.hub import MOST_VIEWS
from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Ledger, Role, Source, Staff
from quarantine.mxc import Mxc
from tests.factories import make_staff
from tests.servers import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)
numbers = count(1)


@pytest.fixture(autouse=True)
def _bound(transactional_db):
    ledger.bind()


@pytest.fixture
def cookie(transactional_db):
    return cookie_of(make_staff("anna", role=Role.VIEWER))


def cookie_of(staff):
    client = Client()
    client.force_login(staff)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def entries(number, **fields):
    """Of media the ledger has never heard of."""
    origin = fields.pop("origin", settings.HOMESERVER_NAME)
    fields = {"quarantined": True, "source": Source.FEED} | fields
    return [Entry(mxc=Mxc(origin, f"live{next(numbers)}"), **fields) for _ in range(number)]


def append(number=1, **fields):
    """Commit so many changes at once; return the head."""
    return ledger.append(entries(number, **fields)).head


def ids(events):
    return [event.id for event in events]


# --- What arrives -------------------------------------------------------------------------


def test_a_change_arrives_as_the_row_of_the_page(server, cookie):
    with server.stream(cookie=cookie) as stream:
        append()
        [event] = stream.take(1)

    page = server.request("GET", "/", headers={"Cookie": cookie}).body.decode()
    assert (event.name, event.id) == ("change", 1)
    assert event.data.startswith('<li class="row" id="c1">')
    assert event.data in page


def test_nothing_is_sent_on_opening(server, cookie):
    append(3)

    with server.stream(cookie=cookie) as stream:
        assert stream.answer.getheader("X-Ledger-Head") == "3"
        append()
        assert ids(stream.take(1)) == [4]


def test_a_filtered_stream_holds_what_the_page_would(server, cookie):
    with server.stream("/changes/live?origin=remote.example&origin=-matrix.example", cookie=cookie) as stream:
        append(3)
        append(2, origin="remote.example")
        append(1)
        append(1, origin="remote.example")

        assert ids(stream.take(3)) == [4, 5, 7]


@pytest.mark.parametrize("how", ["since", "header"])
def test_resuming_sends_what_was_missed(server, cookie, how):
    append(5)
    path = "/changes/live?since=2" if how == "since" else "/changes/live?since=1"
    headers = {"Last-Event-ID": "2"} if how == "header" else {}

    with server.stream(path, cookie=cookie, headers=headers) as stream:
        append()
        assert ids(stream.take(4)) == [3, 4, 5, 6]


def test_resuming_a_filtered_stream_searches_from_its_last_id(server, cookie):
    append(1, origin="remote.example")
    append(300)
    append(2, origin="remote.example")

    with server.stream("/changes/live?origin=remote.example", cookie=cookie, headers={"Last-Event-ID": "1"}) as stream:
        assert ids(stream.take(2)) == [302, 303]


def test_limit_changes_behind_is_every_row_and_one_more_is_a_reset(server, cookie):
    head = append(LIMIT + 1)

    with server.stream("/changes/live?since=1", cookie=cookie) as stream:
        assert ids(stream.take(LIMIT)) == list(range(2, LIMIT + 2))
    with server.stream("/changes/live?since=0", cookie=cookie) as stream:
        [event] = stream.take(1)
        assert (event.name, event.id) == ("reset", head)
        append()
        assert ids(stream.take(1)) == [head + 1]


def test_a_burst_is_a_reset_for_who_is_watching(server, cookie):
    with server.stream(cookie=cookie) as stream:
        head = append(LIMIT + 1)
        [event] = stream.take(1)

    assert (event.name, event.id, event.data) == ("reset", head, "More than 200 new changes")


def test_a_position_the_ledger_has_not_reached_is_a_reset(server, cookie):
    append(2)

    with server.stream("/changes/live?since=7", cookie=cookie) as stream:
        [event] = stream.take(1)

    assert (event.name, event.id) == ("reset", 2)


def test_nothing_is_lost_or_repeated_in_a_storm(server, cookie):
    """Four readers leave and come back all the time while two writers commit, a little ahead of the slowest."""
    total, pieces = 240, (2, 9, 31, 240)
    seen = [[] for _ in pieces]
    progress = threading.Condition()

    def write():
        try:
            for _ in range(total // 2):
                with progress:
                    assert progress.wait_for(slowest_is_near, PATIENCE)
                append()
        finally:
            connections.close_all()

    def slowest_is_near():
        return Ledger.objects.get().head - min(map(len, seen)) < LIMIT - 20

    def read(taken, piece):
        while len(taken) < total:
            headers = {"Last-Event-ID": str(taken[-1] if taken else 0)}
            with server.stream(cookie=cookie, headers=headers) as stream:
                for event in islice(stream, min(piece, total - len(taken))):
                    assert event.name == "change"
                    with progress:
                        taken.append(event.id)
                        progress.notify_all()

    readers = [threading.Thread(target=read, args=each) for each in zip(seen, pieces, strict=True)]
    in_parallel(*readers, threading.Thread(target=write), threading.Thread(target=write))

    assert seen == [list(range(1, total + 1))] * len(pieces)


def in_parallel(*threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.postgresql
def test_a_lost_listener_is_replaced(server, cookie):
    with server.stream(cookie=cookie) as stream:
        append()
        stream.take(1)
        assert listeners() == 1
        kill_listeners()

        append()
        assert ids(stream.take(1)) == [2]
        deadline = monotonic() + 10
        while not listeners():
            assert monotonic() < deadline, "nobody listens any more"


def listeners():
    return query("SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN ledger' AND datname = current_database()")


def kill_listeners():
    query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE query = 'LISTEN ledger' AND datname = current_database()"
    )


def query(sql):
    with connection.cursor() as db:
        db.execute(sql)
        return db.fetchone()[0]


# --- Who may watch ------------------------------------------------------------------------


def test_nobody_watches_signed_out(server):
    answer = server.request("GET", "/changes/live")

    assert (answer.status, answer.body) == (401, b"Signed out.")


def end_session(staff):
    Session.objects.all().delete()


def expire_session(staff):
    Session.objects.update(expire_date=timezone.now())


def disable(staff):
    Staff.objects.filter(pk=staff.pk).update(is_active=False)


def change_password(staff):
    staff.set_password("another battery staple")
    staff.save()


def remove(staff):
    staff.delete()


@pytest.mark.parametrize("end", [end_session, expire_session, disable, change_password, remove])
def test_a_stream_ends_with_what_let_its_reader_in(server, end):
    anna, boris = make_staff("anna"), make_staff("boris")
    bystander = cookie_of(boris)
    with server.stream(cookie=cookie_of(anna)) as stream, server.stream(cookie=bystander) as other:
        append()
        assert ids(stream.take(1)) == [1]
        end(anna)
        ended = monotonic()
        [event] = list(stream)
        took = monotonic() - ended

        assert (event.name, event.id) == ("signed-out", 1)
        assert took < 4  # two seconds between checks, and this machine may be busy
        if end not in (end_session, expire_session):  # which ended all
            append()
            assert ids(other.take(2)) == [1, 2]


# --- What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=eaten", "state: “eaten” is not one of"),
        ("colour=red", "colour"),
        ("since=-1", "since: "),
        ("since=x", "since: "),
        ("after=2026-02-02&before=2026-02-01", "before"),
    ],
)
def test_a_bad_filter_is_refused_in_words(server, cookie, query, words):
    answer = server.request("GET", f"/changes/live?{query}", headers={"Cookie": cookie})

    assert answer.status == 422
    assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
    assert words in answer.body.decode()


def test_a_bad_last_event_id_is_refused_in_words(server, cookie):
    answer = server.request("GET", "/changes/live", headers={"Cookie": cookie, "Last-Event-ID": "12 or 13"})

    assert answer.status == 422
    assert answer.body.decode().startswith("Last-Event-ID: “12 or 13” is not a whole number")


def test_one_session_may_not_watch_any_number_of_views(server, cookie):
    streams = [server.stream(f"/changes/live?origin=o{number}.example", cookie=cookie) for number in range(MOST_VIEWS)]

    one_more = server.request("GET", "/changes/live?origin=one.more", headers={"Cookie": cookie})
    again = server.stream("/changes/live?origin=o1.example", cookie=cookie)

    assert {stream.status for stream in streams} == {200}
    assert (one_more.status, again.status) == (429, 200)
    for stream in (*streams, again):
        stream.close()


def test_only_get_opens_a_stream(server, cookie):
    statuses = {
        method: server.request(method, "/changes/live", headers={"Cookie": cookie}).status for method in ("HEAD", "PUT")
    }

    assert statuses == {"HEAD": 405, "PUT": 403}  # PUT meets the CSRF check first


def test_a_foreign_host_is_refused(server, cookie):
    answer = server.request("GET", "/changes/live", headers={"Cookie": cookie, "Host": "evil.example"})

    assert answer.status == 400


def test_a_stream_carries_the_headers_of_a_page(server, cookie):
    page = dict(server.request("GET", "/", headers={"Cookie": cookie}).getheaders())
    with server.stream(cookie=cookie) as stream:
        headers = dict(stream.answer.getheaders())

    varying = {"date", "content-length", "content-type", "vary", "set-cookie"}
    expected = {name: value for name, value in page.items() if name not in varying}
    assert "content-security-policy" in expected
    assert {name: headers.get(name) for name in expected} == expected
    assert headers["content-type"] == "text/event-stream"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
