"""Exports over the wire: whole files, slow readers, readers that leave."""

import asyncio
import json
import logging.config
import socket
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from dashboard.serving.room import MOST_OF_ACCOUNT
from dashboard.serving.wire import CUT_OFF
from dashboard.streaming import export_streams
from dashboard.streaming.export_streams import AT_ONCE, Streams
from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import AccessEntry, Role, Source
from quarantine.mxc import Mxc
from tests.factories import make_staff
from tests.quarantine.followers import eventually

CHANGES, LONG = 6_000, "x" * 1_000  # nine megabytes: more than sockets hold for a reader that doesn't read


@pytest.fixture
def cookie(transactional_db):
    ledger.bind()
    return cookie_of("anna")


def cookie_of(name):
    client = Client()
    client.force_login(make_staff(name, role=Role.VIEWER))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def begin(server, cookie, path="/changes.ndjson"):
    """Ask for an export and read no more than how it begins."""
    address = urlsplit(server.url)
    reader = socket.create_connection((address.hostname, address.port), timeout=60)
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode())
    return reader, reader.recv(4_000).decode(errors="replace")


def fill():
    media = (Mxc("far.example", f"m{number}") for number in range(CHANGES))
    ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED, upload_name=LONG) for mxc in media])


def copying():
    """How many sessions of the database are exporting."""
    with connection.cursor() as db:
        db.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%AS high) step%%' AND pid <> pg_backend_pid() AND datname = current_database()"
        )
        return db.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_slow_readers_are_few_and_keep_nobody_from_the_pages(server, cookie):
    fill()
    bens = cookie_of("ben")
    slow = [begin(server, each) for each in [cookie, bens] * MOST_OF_ACCOUNT]

    refused, answer = begin(server, cookie_of("cleo"))
    page = server.request("GET", "/", headers={"Cookie": cookie})

    assert [text.split("\r\n")[0] for _, text in slow] == ["HTTP/1.1 200 OK"] * AT_ONCE
    assert all(f"x-ledger-head: {CHANGES}\r\n" in text.lower() for _, text in slow)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "retry-after: 10" in answer.lower()
    assert page.status == 200
    if connection.vendor == "postgresql":
        assert copying() == 2 * AT_ONCE  # each makes one range while it sends another
    for reader in [refused, *(reader for reader, _ in slow)]:
        reader.close()
    if connection.vendor == "postgresql":
        assert eventually(lambda: copying() == 0), "who has left keeps a connection"
    answers = []
    eventually(lambda: answers.append(export(server, cookie)) or answers[-1].status == HTTPStatus.OK)
    assert answers[-1].body.count(b"\n") == CHANGES


@pytest.mark.django_db(transaction=True)
def test_one_account_leaves_room_for_others(server, cookie):
    fill()
    slow = [begin(server, cookie) for _ in range(MOST_OF_ACCOUNT)]

    refused = [export(server, cookie, path) for path in ("/changes.csv", "/actions.json")]
    colleague, answer = begin(server, cookie_of("ben"))

    assert MOST_OF_ACCOUNT < AT_ONCE
    assert [(each.status, each.headers["Retry-After"]) for each in refused] == [(429, "10")] * 2
    text = f"{MOST_OF_ACCOUNT} exports of your account are running already. Try again in a moment."
    assert json.loads(refused[0].body) == {"errcode": "M_LIMIT_EXCEEDED", "error": text}
    assert AccessEntry.objects.filter(what="export", who="anna").count() == MOST_OF_ACCOUNT  # none that didn't begin
    assert answer.startswith("HTTP/1.1 200 ")
    for reader in [colleague, *(reader for reader, _ in slow)]:
        reader.close()
    assert eventually(lambda: export(server, cookie).status == HTTPStatus.OK), "who has left keeps a place"


def export(server, cookie, path="/changes.ndjson"):
    return server.request("GET", path, headers={"Cookie": cookie})


def test_a_reader_that_takes_nothing_is_broken_off_without_an_error(monkeypatch, caplog):
    monkeypatch.setattr(export_streams, "WRITE_TIMEOUT", 0.01)
    closed = []

    def chunks():
        try:
            yield b"some"
            yield b"more"
        finally:
            closed.append(True)

    async def never(_message=None):
        await asyncio.Event().wait()

    exports = Streams("export")
    asyncio.run(exports.stream(chunks(), receive=never, send=never, may_go_on=lambda: True))
    exports.close()

    assert closed == [True]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "took nothing for 0.01 s" in caplog.text


def test_who_is_signed_out_half_way_gets_no_more_and_no_end(monkeypatch, caplog):
    monkeypatch.setattr(export_streams, "ADMISSION_EVERY", 0.0)
    sent, admitted = [], iter([True, False])

    async def keep(message):
        sent.append(message["body"])

    exports = Streams("export")
    chunks = (b"%d" % number for number in range(9))
    asyncio.run(exports.stream(chunks, receive=asyncio.Event().wait, send=keep, may_go_on=lambda: next(admitted)))
    exports.close()

    assert sent == [b"0", b"1"]  # and not the empty one that ends an answer
    assert "signed out" in caplog.text


@pytest.mark.django_db
def test_an_export_goes_on_while_its_session_does(client):
    ledger.bind()
    client.force_login(make_staff("anna", role=Role.VIEWER))
    opening = client.get("/changes.csv")

    before = opening.may_go_on()
    client.logout()

    assert (before, opening.may_go_on()) == (True, False)


def test_what_uvicorn_says_of_an_answer_broken_off_is_not_said_again():
    assert "not cut off" in settings.LOGGING["handlers"]["stderr"]["filters"]
    told = logging.config.DictConfigurator(settings.LOGGING).configure_filter(
        settings.LOGGING["filters"]["not cut off"]
    )

    said = [
        told.filter(logging.LogRecord("uvicorn.error", logging.ERROR, "", 1, text, (), None)) for text in (CUT_OFF, "x")
    ]

    assert said == [False, True]
