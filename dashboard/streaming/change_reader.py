"""The changes API from an event loop: who asks and what they get is one statement, and the next page is read ahead.

Whoever reads on and on waits for the database once: while a page is under way to them, the next one is being made. The
token is judged whenever it is shown; only whole pages are kept ahead, which never change, for seconds, each for one reader.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from django.db import DatabaseError, connections

from dashboard.machines.bearer import RefusedError, only_get, refusals, token_of
from dashboard.machines.change_pages import NOWHERE, QUESTION, ChangePage
from dashboard.machines.changes_api import (
    Answer,
    Question,
    Wanted,
    page_answer,
    read_somewhere,
    refusal,
    refused_by,
    to_wanted,
)
from dashboard.replica import REPLICA
from dashboard.serving.workers import Workers
from dashboard.streaming.lines import Lines, Row
from quarantine import consumers, ledger
from quarantine.consumers import Caller, UnknownTokenError
from quarantine.fold import LedgerError
from quarantine.models import Scope

CONNECTIONS = 8  # opened as they are needed: on a busy machine it is the waiting for them that bounds the rate
PATIENCE = 15.0  # seconds for an answer: a database that hangs closes no connection, and there are only so many
REMEMBERED = 256  # pages given, whose readers may come for the next ones
PAGES, LARGEST, KEPT_FOR = 8, 2**20, 5.0  # pages, bytes of one, seconds
NOTHING = Wanted(position=NOWHERE, limit=1, deleted=False)


class ChangeReader:
    """That of this process. Reads pages from a replica, where there is one, in threads."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.lines = Lines(QUESTION, at_once=CONNECTIONS)
        self.ahead = Ahead(self.ask, self.lines)

    async def answer_to(self, question: Question) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.read(question)
        except (RefusedError, psycopg.Error, DatabaseError, LedgerError, TimeoutError) as error:
            return refusal(refused_by(error))

    async def read(self, question: Question) -> Answer:
        only_get(question.method)
        digest = consumers.digest(token_of(question.authorization)).encode()
        hoped = foreseen(question)
        elsewhere = REPLICA in connections.settings
        ready = None if elsewhere else self.ahead.take(hoped)
        who, page = await self.ask(digest, NOTHING if elsewhere or ready else hoped)
        wanted = hoped if hoped.position <= who.head else to_wanted(question, head=who.head)
        if elsewhere:
            page = await self.workers.run(read_somewhere, wanted, head=who.head)
            return page_answer(question, who, wanted, page)
        if ready:
            page = await ready or (await self.ask(digest, hoped))[1]
        self.ahead.given(wanted, page, digest=digest, head=who.head)
        return page_answer(question, who, wanted, page)

    async def ask(self, digest: bytes, wanted: Wanted) -> tuple[Caller, ChangePage]:
        """Raises RefusedError unless this token reads changes."""
        rows = await self.lines.ask(*values(digest, wanted))
        if not rows:
            raise LedgerError(ledger.UNBOUND)
        name, kind, head, consumer_id, held, over, *_ = rows[0]
        ledger.check_homeserver(text(name), text(kind))
        with refusals(Scope.CHANGES):
            if consumer_id is None or over == b"t":
                raise UnknownTokenError
            consumers.check_scopes(text(held), {Scope.CHANGES})
        who = Caller(consumer_id=int(consumer_id), head=int(text(head)))
        return who, put_together(rows, head=who.head)

    async def close(self) -> None:
        await self.ahead.close()
        await self.lines.close()


class Ahead:
    """Whole pages, read before they are asked for."""

    def __init__(self, ask: Callable[[bytes, Wanted], Awaitable[tuple[Caller, ChangePage]]], lines: Lines) -> None:
        self.ask, self.lines = ask, lines
        self.due: OrderedDict[Wanted, None] = OrderedDict()  # what whoever reads on would ask for
        self.pages: OrderedDict[Wanted, tuple[float, asyncio.Task[ChangePage | None]]] = OrderedDict()

    def take(self, wanted: Wanted) -> asyncio.Task[ChangePage | None] | None:
        """The page, or its being read; None comes of that where there is none to have."""
        began, task = self.pages.pop(wanted, (0.0, None))
        return task if time.monotonic() - began < KEPT_FOR else None

    def given(self, wanted: Wanted, page: ChangePage, *, digest: bytes, head: int) -> None:
        """Read the next page for a reader who took at least two in a row, where it is whole and nobody has to wait."""
        if not is_whole(wanted, page):
            return
        reads_on = wanted in self.due
        self.due.pop(wanted, None)
        following = replace(wanted, position=page.next_batch)
        self.due[following] = None
        forget(self.due, more_than=REMEMBERED)
        if reads_on and following.position + following.limit <= head and not self.lines.busy:
            self.pages[following] = (time.monotonic(), asyncio.create_task(self.read(digest, following)))
            forget(self.pages, more_than=PAGES)

    async def read(self, digest: bytes, wanted: Wanted) -> ChangePage | None:
        try:
            _, page = await self.ask(digest, wanted)
        except (psycopg.Error, RefusedError, LedgerError):
            return None
        return page if is_whole(wanted, page) and len(page.rows) <= LARGEST else None

    async def close(self) -> None:
        tasks = [task for _, task in self.pages.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def put_together(found: Sequence[Row], *, head: int) -> ChangePage:
    """A page by its pieces: the last position of each, if anything was left for it, and its changes, if any are shown."""
    pieces = sorted((int(last), rows) for *_, last, rows in found if last is not None)
    return ChangePage(
        next_batch=pieces[-1][0] if pieces else head, rows=b",".join(rows for _, rows in pieces if rows is not None)
    )


def is_whole(wanted: Wanted, page: ChangePage) -> bool:
    """What a page holds never changes once it has reached its limit."""
    return page.next_batch == wanted.position + wanted.limit


def forget(held: OrderedDict[Wanted, Any], *, more_than: int) -> None:
    """The oldest."""
    while len(held) > more_than:
        held.popitem(last=False)


def foreseen(question: Question) -> Wanted:
    """What is asked for, as far as that can be told before the ledger's head is known."""
    try:
        return to_wanted(question, head=NOWHERE)
    except RefusedError:
        return NOTHING


def values(digest: bytes, wanted: Wanted) -> tuple[bytes, ...]:
    """As QUESTION takes them."""
    return (b"\\x" + digest, b"%d" % wanted.position, b"%d" % wanted.limit, b"t" if wanted.deleted else b"f")


def text(value: bytes | None) -> str:
    return (value or b"").decode()
