"""Reading from a replica of the ledger's database, where DATABASE_REPLICA_URL names one.

Commit order is position order, so what a replica holds is always a complete beginning of the ledger.
It answers whoever it has caught up with; everybody else, and everybody while it is away, is answered by
the primary. Writes, sessions and the live view stay on the primary.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

import psycopg
from django.db import InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from dashboard.heads import read_head

logger = logging.getLogger(__name__)

PRIMARY, REPLICA = "default", "replica"
AWAY_FOR = 5.0  # seconds after a failure in which nobody is made to wait for it
PROBE, READ = 2.0, 10.0  # seconds it may take to say how far it has got, and for all that a page or an answer reads
LOOK_EVERY = 0.25
CATCH_UP = 1.0  # seconds it may take to get as far as the primary is
WRITTEN = "written"  # in a session: where the primary's log was after the last thing this person did
BROKEN = (OperationalError, InterfaceError)
REACHED = """
    SELECT head >= %s AND CASE
        WHEN %s = '' OR NOT pg_is_in_recovery() THEN true
        ELSE pg_last_wal_replay_lsn() >= %s::text::pg_lsn
    END FROM quarantine_ledger WHERE id = 1
"""

WRITTEN_BY_NOW = "SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_current_wal_insert_lsn()::text END"

reading_from: ContextVar[str | None] = ContextVar("reading_from", default=None)


class Absence:
    """Until when the replica is left alone."""

    until = float("-inf")


def alias_for(position: int | None, *, written: str = "") -> str:
    """The alias to read from for somebody who must miss nothing up to `position` (inclusive; None: any beginning will do).

    `written` is a place in the primary's log that it must have reached as well. Never raises: a replica that
    can't be asked is left alone for some seconds.
    """
    if REPLICA not in connections.settings or time.monotonic() < Absence.until:
        return PRIMARY
    try:
        with patience(PROBE), connections[REPLICA].cursor() as db:
            db.execute(REACHED, [position or 0, written, written])
            row = db.fetchone()
    except BROKEN as error:
        leave_alone(error)
        return PRIMARY
    return REPLICA if row is not None and row[0] else PRIMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database to read from for a while, and what it must have reached: a position, and a place in the primary's log."""

    alias: str = PRIMARY
    position: int = 0
    written: str = ""

    @property
    def is_replica(self) -> bool:
        return self.alias != PRIMARY

    @property
    def patience(self) -> float | None:
        """Seconds without a word after which it is taken for dead."""
        return READ if self.is_replica else None


def up_to_date(position: int) -> Place:
    """A database that has all that the primary has now. A replica may take a moment to get there."""
    if REPLICA not in connections.settings:
        return Place()
    with connections[PRIMARY].cursor() as db:
        db.execute(WRITTEN_BY_NOW)
        [written] = db.fetchone()
    until = time.monotonic() + CATCH_UP
    while (alias := alias_for(position, written=written)) == PRIMARY and Absence.until < time.monotonic() < until:
        time.sleep(CATCH_UP / 20)
    return Place(alias=alias, position=position, written=written)


def leave_alone(error: Exception) -> None:
    logger.warning("The replica can't be read (%s); the primary answers.", str(error).strip().partition("\n")[0])
    Absence.until = time.monotonic() + AWAY_FOR
    connections[REPLICA].close()


# --- A replica that hangs -----------------------------------------------------------------


class Watch:
    """Cuts connections that somebody has waited on for too long: a server that hangs closes none by itself."""

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[float, BaseDatabaseWrapper]] = {}  # by thread: until when, for which connection
        self.lock = threading.Lock()
        self.looking = False

    def start(self) -> None:
        with self.lock:
            if not self.looking:
                self.looking = True
                threading.Thread(target=self.look, name="replica-watch", daemon=True).start()

    def look(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            now = time.monotonic()
            with self.lock:
                for until, waited_for in self.waiting.values():
                    if until < now:
                        cut(waited_for)


def cut(waited_for: BaseDatabaseWrapper) -> None:
    """End its connection under whoever waits; to them it broke."""
    raw = waited_for.connection
    # Suppressed: nothing is open, or not any more.
    with suppress(psycopg.Error, OSError, AttributeError), socket.socket(fileno=os.dup(raw.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


watch = Watch()  # of this process


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """What this thread asks the replica meanwhile breaks off after so long; or earlier, where it already had to."""
    if not watch.looking:
        watch.start()
    me, held = threading.get_ident(), (time.monotonic() + seconds, connections[REPLICA])
    with watch.lock:
        before = watch.waiting.get(me, held)
        watch.waiting[me] = min(before, held, key=lambda one: one[0])
    try:
        yield
    finally:
        with watch.lock:
            if before is held:
                del watch.waiting[me]
            else:
                watch.waiting[me] = before


# --- Reading ------------------------------------------------------------------------------


@contextmanager
def reading(alias: str) -> Iterator[None]:
    """All that is read of our own models meanwhile, in this thread, is read from this alias."""
    token = reading_from.set(alias)
    try:
        yield
    finally:
        reading_from.reset(token)


class ReplicaRouter:
    """Follows `reading`; whatever was read where, it is written to the primary."""

    def db_for_read(self, model: type[Model], **_hints: Any) -> str | None:
        return reading_from.get()

    def db_for_write(self, model: type[Model], **_hints: Any) -> str | None:
        return PRIMARY

    def allow_relation(self, left: Model, right: Model, **_hints: Any) -> bool | None:
        return True

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        return False if db == REPLICA else None


def read_anywhere[T](read: Callable[[str], T], *, position: int | None, written: str = "") -> T:
    """What `read` finds under an alias that has reached this. Should the replica fail half-way, again from the primary."""
    alias = alias_for(position, written=written)
    if alias != PRIMARY:
        try:
            with reading(alias), patience(READ):
                return read(alias)
        except BROKEN as error:
            leave_alone(error)
    return read(PRIMARY)


# --- Pages --------------------------------------------------------------------------------


def may_read_replica[**P](view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """A page that only reads: from the replica where that is as good. Should the replica fail half-way, again without."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request = cast("HttpRequest", args[0])
        if REPLICA not in connections.settings:
            return view(*args, **kwargs)
        written = request.session.get(WRITTEN, "")
        return read_anywhere(lambda _: view(*args, **kwargs), position=position_needed(request), written=written)

    return wrapped


def position_needed(request: HttpRequest) -> int:
    """What is below a cursor is the same everywhere; the newest page must never be older than the one before it."""
    cursor = request.GET.get("cursor", "")
    return int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) < 19 else read_head()


class WrittenMiddleware:
    """Notes how far the primary's log had got when somebody has done something: the replica must have got there too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if REPLICA in connections.settings and request.method == "POST" and request.user.is_authenticated:
            with connection.cursor() as db:
                db.execute("SELECT pg_current_wal_insert_lsn()::text")
                [request.session[WRITTEN]] = db.fetchone()
        return response
