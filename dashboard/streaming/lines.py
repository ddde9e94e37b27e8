"""One statement, asked again and again from an event loop: over a few connections of its own, without a thread.

A thread costs 0.5 ms a question, psycopg's own asynchronous cursors a third of that; a page of changes is made in
less. So this speaks libpq by itself: prepared once a connection, values as text, one question at a time on each.
Only for questions that may be asked twice: over a connection that broke they are.
"""

import asyncio
import sys
from collections.abc import Sequence

import psycopg
from django.db import connection
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName, QueryCanceled, error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from dashboard.heads import parameters
from quarantine.statements import Preparing

type Row = list[bytes | None]

NAME = b"asked_again_and_again"
LOST = (DuplicatePreparedStatement, InvalidSqlStatementName)  # by a pooler that lends its connections in turn
BROKEN = (psycopg.OperationalError, psycopg.InterfaceError)


def possible() -> bool:
    """Whether the ledger's database speaks libpq, and the event loop can watch sockets."""
    return connection.vendor == "postgresql" and sys.platform != "win32"


class Line:
    """One connection."""

    def __init__(self, raw: psycopg.AsyncConnection) -> None:
        self.raw = raw
        self.prepared = False
        self.result: PGresult | None = None
        self.answer: asyncio.Future[PGresult | None] | None = None
        raw.pgconn.nonblocking = 0  # one short question on an idle connection always fits: to send never waits
        self.loop, self.socket = asyncio.get_running_loop(), raw.pgconn.socket
        self.loop.add_reader(self.socket, self.readable)

    async def ask(self, statement: bytes, values: Sequence[bytes]) -> list[Row]:
        """The rows of the answer, their values as text. After any error the line is of no more use."""
        if not Preparing.on:
            self.raw.pgconn.send_query_params(statement, values)
            return await self.rows()
        if not self.prepared:
            self.raw.pgconn.send_prepare(NAME, statement)
            await self.rows()
            self.prepared = True
        self.raw.pgconn.send_query_prepared(NAME, values)
        return await self.rows()

    async def rows(self) -> list[Row]:
        self.result, self.answer = None, self.loop.create_future()
        try:
            result = await self.answer
        finally:
            self.answer = None
        if result is None:
            msg = "the connection was lost"
            raise psycopg.OperationalError(msg)
        if result.status not in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
            raise error_from_result(result)
        columns = range(result.nfields)
        return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]

    def readable(self) -> None:
        """Something came: an answer, a part of one, or the connection's end."""
        try:
            self.raw.pgconn.consume_input()
            while self.answer is not None and not self.answer.done() and not self.raw.pgconn.is_busy():
                if (result := self.raw.pgconn.get_result()) is None:
                    self.answer.set_result(self.result)
                self.result = result
        except psycopg.Error as error:
            self.ignore()
            if self.answer is not None and not self.answer.done():
                self.answer.set_exception(error)

    def ignore(self) -> None:
        """At once when it ends: its number may soon be another socket's."""
        if self.socket >= 0:
            self.loop.remove_reader(self.socket)
            self.socket = -1

    async def close(self) -> None:
        self.ignore()
        await self.raw.close()


class Lines:
    """Up to so many connections, opened when they are needed; more questions than that wait in turn."""

    def __init__(self, statement: str, *, at_once: int) -> None:
        self.statement = statement.encode()
        self.slots = asyncio.Semaphore(at_once)
        self.idle: list[Line] = []

    @property
    def busy(self) -> bool:
        return self.slots.locked()

    async def ask(self, *values: bytes) -> list[Row]:
        """The rows of the answer; asked again, once, where an old connection broke.

        Raises psycopg's errors.
        """
        async with self.slots:
            if self.idle:
                try:
                    return await self.ask_over(self.idle.pop(), values)
                except QueryCanceled:
                    raise  # it took too long, and would again
                except BROKEN:
                    await self.close()  # the others are as old
                except LOST:
                    Preparing.on = False
            return await self.ask_over(await self.open(), values)

    async def ask_over(self, line: Line, values: Sequence[bytes]) -> list[Row]:
        try:
            rows = await line.ask(self.statement, values)
            self.idle.append(line)
            return rows
        finally:
            if line not in self.idle:
                await line.close()

    async def open(self) -> Line:
        return Line(await psycopg.AsyncConnection.connect(**parameters(), autocommit=True))

    async def close(self) -> None:
        while self.idle:
            await self.idle.pop().close()
