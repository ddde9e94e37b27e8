"""The changes API from an event loop, on PostgreSQL: judged each time, read ahead, its connections renewed."""

import asyncio
import json
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection

from dashboard.heads import parameters
from dashboard.machines.change_pages import MOST, PIECE
from dashboard.machines.changes_api import Question, answer_to
from dashboard.serving.workers import Workers
from dashboard.streaming.change_reader import ChangeReader
from quarantine import consumers
from quarantine.models import Change, Scope, Source, State
from quarantine.statements import Preparing
from tests.factories import make_change, make_changes, make_ledger

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def token(db):
    make_ledger()
    return consumers.create("hma", scopes=[Scope.CHANGES])


def question(token, **values):
    return Question(
        method="GET",
        authorization=f"Bearer {token}",
        values={name.rstrip("_"): [value] for name, value in values.items()},
    )


def reading(steps):
    """Run `steps(reader)`, a coroutine, with a reader of its own."""

    async def run():
        workers = Workers(threads=1, name="test", checked=False)
        reader = ChangeReader(workers)
        try:
            return await steps(reader)
        finally:
            await reader.close()
            workers.close()

    return asyncio.run(run())


def positions(answer):
    return [change["stream_id"] for change in json.loads(answer.body)["changes"]]


QUESTIONS = [
    {}, {"from_": "0", "limit": "2"}, {"from_": "2", "deleted": "1"}, {"from_": "now"}, {"from_": "4"}, {"from_": "5"},
    {"from_": "-1"}, {"from_": "x"}, {"from_": str(10**29)}, {"limit": "0"}, {"limit": "1000"},
]  # fmt: skip


def test_it_answers_as_the_view_does(token):
    make_changes(2)
    make_change(media_id="gone", upload_name='"\\\n\u2028é')
    make_change(media_id="gone", state=State.DELETED)
    other = consumers.create("metrics", scopes=[Scope.METRICS])
    asked = [question(shown, **values) for shown in (token, other, "wrong", "") for values in QUESTIONS]

    async def steps(reader):
        return [await reader.answer_to(one) for one in asked]

    assert reading(steps) == [answer_to(one) for one in asked]
    assert {answer.status for answer in reading(steps)} == {200, 400, 401, 403}


@pytest.mark.parametrize("deleted", ["0", "1"])
def test_pages_of_several_pieces_are_as_the_view_has_them(token, deleted):
    head = make_many(gap=range(PIECE + 3, PIECE + 90), deleted=range(3, 2 * PIECE + 9))
    limits = [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 1, MOST]
    asked = [
        question(token, from_=str(position), limit=str(limit), deleted=deleted)
        for position in (0, 1, PIECE, PIECE + 20, head - PIECE, head - 1, head)
        for limit in limits
    ]

    async def steps(reader):
        return [await reader.answer_to(one) for one in asked]

    assert reading(steps) == [answer_to(one) for one in asked]


def make_many(*, gap, deleted):
    """More than a page: positions without those of a gap, some of them deletions; returns the head."""
    places = [place for place in range(1, MOST + 120) if place not in gap]
    Change.objects.bulk_create(
        Change(
            stream_id=place,
            origin="a.example",
            local=False,
            media_id=f'"{place}"',
            quarantined=place not in deleted,
            deleted=place in deleted,
            seen_at=datetime(2026, 3, 1, tzinfo=UTC),
            source=Source.FEED,
        )
        for place in places
    )
    make_ledger(head=places[-1])
    return places[-1]


def test_whoever_reads_on_gets_each_change_once_and_what_is_new_too(token):
    make_changes(9)

    async def steps(reader):
        seen, position, ahead = [], 0, 0
        while page := positions(await reader.answer_to(question(token, from_=str(position), limit="2"))):
            seen, position, ahead = seen + page, page[-1], max(ahead, len(reader.ahead.pages))
            if position == 9:
                await asyncio.to_thread(make_changes_elsewhere)
        return seen, ahead

    seen, ahead = reading(steps)

    assert seen == list(range(1, 13))
    assert ahead == 1


def make_changes_elsewhere():
    make_changes(3)
    connection.close()


def test_a_page_read_ahead_is_not_for_a_token_revoked_meanwhile(token):
    make_changes(8)

    async def steps(reader):
        first = [await reader.answer_to(question(token, from_=position, limit="2")) for position in ("0", "2")]
        assert len(reader.ahead.pages) == 1
        await asyncio.to_thread(revoke)
        return [*first, await reader.answer_to(question(token, from_="4", limit="2"))]

    assert [answer.status for answer in reading(steps)] == [200, 200, 401]


def revoke():
    consumers.revoke("hma")
    connection.close()


def test_broken_connections_are_renewed(token):
    make_changes(3)

    async def steps(reader):
        many = [reader.answer_to(question(token)) for _ in range(9)]
        before = await asyncio.gather(*many)
        await asyncio.to_thread(end_connections, [line.raw.pgconn.backend_pid for line in reader.lines.idle])
        return [positions(answer) for answer in (*before, await reader.answer_to(question(token)))]

    assert reading(steps) == [[1, 2, 3]] * 10


def end_connections(pids):
    with connection.cursor() as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) pid", [pids])
    connection.close()


def test_a_pooler_that_loses_prepared_statements_is_borne(token, monkeypatch):
    make_changes(2)
    monkeypatch.setattr(Preparing, "on", True)

    async def steps(reader):
        await reader.answer_to(question(token))
        reader.lines.idle[0].raw.pgconn.exec_(b"DEALLOCATE ALL")  # as if lent another server connection
        return [positions(await reader.answer_to(question(token))) for _ in range(2)]

    assert reading(steps) == [[1, 2]] * 2
    assert not Preparing.on


def test_a_database_that_is_away_is_a_503(token, monkeypatch):
    monkeypatch.setattr(
        "dashboard.streaming.lines.parameters", lambda: {"host": "127.0.0.1", "port": 1, "connect_timeout": 5}
    )

    async def steps(reader):
        return await reader.answer_to(question(token))

    assert reading(steps).status == 503


def test_a_database_that_hangs_is_a_503_and_the_next_question_is_answered(token, monkeypatch):
    make_changes(2)
    monkeypatch.setattr("dashboard.streaming.change_reader.PATIENCE", 0.5)

    async def steps(reader):
        with psycopg.connect(**parameters()) as db:
            db.execute("LOCK TABLE quarantine_ledger IN ACCESS EXCLUSIVE MODE")
            hung = await reader.answer_to(question(token))
        monkeypatch.setattr("dashboard.streaming.change_reader.PATIENCE", 15.0)
        return hung.status, positions(await reader.answer_to(question(token)))

    assert reading(steps) == (503, [1, 2])
