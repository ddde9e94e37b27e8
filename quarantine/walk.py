"""Bounded windows over a media table, in physical order.

Nothing indexes `quarantined_by`, and a LIMIT bounds what a statement returns, not what it
reads: with few quarantined rows one statement scans the whole table (9.3 s on 10 million rows).
So a window is a range of pages (`ctid`; SQLite: of rowids), and a statement reads one window.

An updated row may move to a page already passed. Inside one REPEATABLE READ snapshot it does
not, so a stretch of windows shares a snapshot; but not for long, since an old snapshot
hinders vacuum.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from django.conf import settings
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from quarantine.homeserver.media import reading
from quarantine.homeserver.router import ALIAS
from quarantine.mxc import Mxc
from quarantine.statements import fetch_row

LOCAL, REMOTE = "local", "remote"
TABLES = {LOCAL: "local_media_repository", REMOTE: "remote_media_cache"}
ROWS_PER_PAGE = 40  # so that a window is about as much on SQLite, where rowids are counted instead of pages
FIRST = 4  # a walk begins with this fraction of a window, and goes on with more where that took no time
KEYS_PER_STRETCH = 100_000  # some 25 MB, held in memory until they are confirmed
QUERY_CANCELED = "57014"
WAITS = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass)"
WHOLE = "whole"  # savepoint at the start of a snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hard the homeserver's database may be worked."""

    window: int = 128  # pages at most
    max_statement_ms: int = 50  # a statement is cancelled then, and its window halved
    max_snapshot: float = 15.0  # seconds
    rest: float = 0.0  # fraction of the time spent resting, 0 to below 1


@dataclass(frozen=True, slots=True)
class Window:
    """What one statement saw: `start` inclusive, `stop` exclusive, in pages or rowids."""

    start: int
    stop: int
    scanned: int
    keys: list[Mxc]
    ms: float


@dataclass(frozen=True, slots=True)
class Extent:
    """The table as it is now. A changed `identity` means it was rewritten: positions mean nothing any more."""

    end: int
    identity: int


@dataclass(slots=True)
class Walker:
    """Walks one table. Keeps what it learns about a fitting window between stretches."""

    table: str
    pace: Pace
    size: int = field(init=False)
    patience_ms: int = field(init=False)
    longest_ms: float = 0.0

    def __post_init__(self) -> None:
        self.size = max(1, self.pace.window // FIRST)
        self.patience_ms = self.pace.max_statement_ms

    def extent(self) -> Extent:
        with reading(), connections[ALIAS].cursor() as db:
            if connections[ALIAS].vendor == "postgresql":
                name = TABLES[self.table]
                db.execute(
                    "SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int,"
                    " pg_relation_filenode(%s::regclass)",
                    [name, name],
                )
                end, identity = db.fetchone()
            else:
                db.execute(f"SELECT coalesce(max(rowid), 0) + 1 FROM {TABLES[self.table]}")  # noqa: S608 - a table of ours
                [end], identity = db.fetchone(), 0
        return Extent(end=int(end), identity=int(identity or 0))

    def stretch(self, *, start: int, end: int, stop: threading.Event, seen: Callable[[Window], None]) -> list[Window]:
        """Windows from `start` on (inclusive) that one snapshot covers; fewer than to `end` if its time is up,
        somebody waits for our lock, or there is much to confirm already.

        Raises HomeserverAwayError.
        """
        windows: list[Window] = []
        with reading(), closing(connections[ALIAS].copy()) as own, snapshot(own, timeout_ms=self.patience_ms):
            until = time.monotonic() + self.pace.max_snapshot
            keys = 0
            while start < end and not stop.is_set():
                window = self.window(own, start=start, stop=min(end, start + self.step(own)))
                if window is not None:
                    windows.append(window)
                    seen(window)
                    start, keys = window.stop, keys + len(window.keys)
                if time.monotonic() > until or keys >= KEYS_PER_STRETCH or somebody_waits(self.table):
                    break
        return windows

    def step(self, own: BaseDatabaseWrapper) -> int:
        return self.size if own.vendor == "postgresql" else self.size * ROWS_PER_PAGE

    def window(self, own: BaseDatabaseWrapper, *, start: int, stop: int) -> Window | None:
        """Read one window, and fit the next one's size to how long it took. None: it took too long, and was cancelled."""
        began = time.monotonic()
        try:
            scanned, keys = read_window(own, self.table, start=start, stop=stop)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
                raise
            self.longest_ms = max(self.longest_ms, (time.monotonic() - began) * 1000)
            self.give_way(own)
            return None
        ms = (time.monotonic() - began) * 1000
        self.longest_ms = max(self.longest_ms, ms)
        if ms > self.pace.max_statement_ms / 2:
            self.size = max(1, self.size // 2)
        elif ms < self.pace.max_statement_ms / 8:
            self.size = min(self.pace.window, self.size * 2)
        return Window(start, stop, scanned, keys, ms)

    def give_way(self, own: BaseDatabaseWrapper) -> None:
        """After a statement that took too long: half the window; where that is one page, more patience. The snapshot stays."""
        if self.size == 1:
            self.patience_ms *= 2
        self.size = max(1, self.size // 2)
        with own.cursor() as db:
            db.execute(f"ROLLBACK TO SAVEPOINT {WHOLE}")
            set_patience(db, self.patience_ms)


@contextmanager
def snapshot(own: BaseDatabaseWrapper, *, timeout_ms: int) -> Iterator[None]:
    """One read-only view of the database. On SQLite rowids don't move, so statements may see what is newest."""
    if own.vendor != "postgresql":
        yield
        return
    with own.cursor() as db:
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        set_patience(db, timeout_ms)
        db.execute(f"SAVEPOINT {WHOLE}")  # a statement that is cancelled costs no more than itself
    yield  # closing the connection ends the transaction


def set_patience(db: CursorWrapper, timeout_ms: int) -> None:
    """How long a statement may take in this transaction."""
    db.execute("SELECT set_config('statement_timeout', %s, true)", [str(timeout_ms)])


def read_window(own: BaseDatabaseWrapper, table: str, *, start: int, stop: int) -> tuple[int, list[Mxc]]:
    """(rows read, the quarantined media among them) from `start` inclusive to `stop` exclusive."""
    name, origin = TABLES[table], "media_origin" if table == REMOTE else "NULL"
    with own.cursor() as db:
        if own.vendor == "postgresql":
            db.execute(
                f"SELECT count(*), array_agg({origin}::text) FILTER (WHERE quarantined_by IS NOT NULL),"  # noqa: S608 - names from TABLES
                f" array_agg(media_id) FILTER (WHERE quarantined_by IS NOT NULL)"
                f" FROM {name} WHERE ctid >= %s::tid AND ctid < %s::tid",
                [f"({start},0)", f"({stop},0)"],
            )
            scanned, origins, ids = db.fetchone()
            found = list(zip(origins or [], ids or [], strict=True))
        else:
            db.execute(f"SELECT count(*) FROM {name} WHERE rowid >= %s AND rowid < %s", [start, stop])  # noqa: S608 - names from TABLES
            [scanned] = db.fetchone()
            db.execute(
                f"SELECT {origin}, media_id FROM {name}"  # noqa: S608 - names from TABLES
                " WHERE rowid >= %s AND rowid < %s AND quarantined_by IS NOT NULL",
                [start, stop],
            )
            found = db.fetchall()
    return scanned, [Mxc(media_origin or settings.HOMESERVER_NAME, media_id) for media_origin, media_id in found]


def somebody_waits(table: str) -> bool:
    """Whether another session waits for a lock on the table, a schema upgrade say: then the snapshot is let go."""
    return connections[ALIAS].vendor == "postgresql" and fetch_row(ALIAS, WAITS, [TABLES[table]]) == (True,)
