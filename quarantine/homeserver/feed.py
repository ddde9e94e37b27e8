"""Reading the homeserver's own stream safely.

Ids are taken inside a transaction that commits later, so `stream_id > last` loses rows (28 of
400 with eight moderators, measured on a real Synapse). What is safe: ids at or below every
writer's stream position; beyond it, a run of ids without a hole. A hole holds the reader back
until it fills, or until every transaction that could fill it has ended, for at most a minute.
"""

import time
from collections import deque
from dataclasses import dataclass, field

from django.conf import settings
from django.db import ProgrammingError, connections, models

from quarantine.homeserver.media import reading
from quarantine.homeserver.models import FeedChange, StreamPosition
from quarantine.homeserver.router import ALIAS
from quarantine.mxc import Mxc

STREAM = "quarantined_media"
FIRST = 2  # Synapse's sequence starts at 1 and never hands that out
HOLE_PATIENCE = 60.0  # seconds
HOLES_NAMED = 500  # of many passed at once only the newest are worth asking for again
LOOKED_AHEAD = 5_000  # rows in one statement


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the feed."""

    feed_id: int
    mxc: Mxc
    quarantined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What may be taken in now."""

    rows: list[Row]  # oldest first
    holes: list[int]  # ids passed unfilled; they may still turn up
    held_back: bool = False  # there are rows beyond that must wait
    full: bool = False  # there may be more right behind
    restored: bool = False  # the row at the cursor is gone: the homeserver came back from a backup


@dataclass(slots=True)
class Wait:
    """Holes in sight: whoever took an id up to `upto` did so before any transaction had reached `xmax`."""

    upto: int
    xmax: int
    since: float = field(default_factory=time.monotonic)


class Reader:
    """Reads safe prefixes. Remembers, between reads, since when holes are in sight, and which have had their chance."""

    def __init__(self, *, patience: float = HOLE_PATIENCE) -> None:
        self.patience = patience
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: of a restored homeserver the same ids are other rows."""
        self.waits: deque[Wait] = deque()
        self.passable = 0  # holes up to this id have had their chance
        self.ahead = Ahead()

    def read(self, *, after: int, limit: int) -> Prefix:
        """The safe rows above `after` (exclusive), at most `limit`. Raises HomeserverAwayError.

        The order of the statements matters: what was safe, and which transactions had ended,
        *before* the rows were read is true of those rows.
        """
        with reading():
            safe = safe_position()
            ended = transaction_id("pg_snapshot_xmin")
            rows = fetch_rows(at_or_above=after, limit=limit + 1)
            if after and (not rows or rows[0].feed_id != after):
                self.begin()
                return Prefix(rows=[], holes=[], restored=True)
            above = [row for row in rows if row.feed_id > after][:limit]
            return self.cut(above, after=after, safe=safe, ended=ended, limit=limit)

    def cut(self, rows: list[Row], *, after: int, safe: int | None, ended: int | None, limit: int) -> Prefix:
        """Take rows up to the first hole that may still fill."""
        self.let_pass(ended)
        taken: list[Row] = []
        holes: list[int] = []
        expected = max(after + 1, FIRST)
        for row in rows:
            waiting = open_ids(expected, row.feed_id, safe=safe, ended=ended)
            if waiting and waiting[-1] > self.passable:
                break
            holes += waiting
            taken.append(row)
            expected = row.feed_id + 1
        behind = rows[len(taken) :]
        self.watch(reached=expected - 1, behind=bool(behind))
        return Prefix(rows=taken, holes=holes[-HOLES_NAMED:], held_back=bool(behind), full=len(rows) >= limit)

    def let_pass(self, ended: int | None) -> None:
        """A hole has had its chance when whoever could fill it has ended, or patience has."""
        now = time.monotonic()
        while self.waits and (self.waits[0].xmax <= (ended or 0) or now - self.waits[0].since > self.patience):
            self.passable = self.waits.popleft().upto

    def watch(self, *, reached: int, behind: bool) -> None:
        """Note since when rows wait behind a hole. One snapshot serves all holes below the newest id visible before it."""
        while self.waits and self.waits[0].upto <= reached:
            self.waits.popleft()
        newest = newest_id() if behind else 0
        if behind and (not self.waits or self.waits[-1].upto < newest):
            self.waits.append(Wait(upto=newest, xmax=transaction_id("pg_snapshot_xmax") or 0))


@dataclass(slots=True)
class Ahead:
    """Which row is each media item's newest, as far as the feed reaches now.

    Far behind (a first attach) the rest of the feed is looked through once, not at each step. Names are
    kept as hashes, for a million of them; of two that collide the older merely isn't the newest.
    """

    upto: int = 0
    newest: dict[int, int] = field(default_factory=dict)

    def look(self, rows: list[Row]) -> None:
        """Look at these rows and at all there is above them. Raises HomeserverAwayError."""
        if self.upto <= rows[-1].feed_id:
            self.newest.clear()
        self.note(rows)
        self.upto = max(self.upto, rows[-1].feed_id)
        full = True
        while full:
            with reading():
                beyond = fetch_rows(at_or_above=self.upto + 1, limit=LOOKED_AHEAD)
            self.note(beyond)
            full = len(beyond) == LOOKED_AHEAD
            self.upto = beyond[-1].feed_id if beyond else self.upto

    def note(self, rows: list[Row]) -> None:
        for row in rows:
            key = hash(row.mxc)
            self.newest[key] = max(self.newest.get(key, 0), row.feed_id)

    def is_newest(self, row: Row) -> bool:
        """Of a row looked at."""
        return self.newest[hash(row.mxc)] == row.feed_id


def open_ids(start: int, stop: int, *, safe: int | None, ended: int | None) -> list[int]:
    """The missing ids from `start` to below `stop` that may still turn up, at most HOLES_NAMED, the newest.

    None on SQLite: its one writer leaves no holes.
    """
    if ended is None:
        return []
    return list(range(max(start, (safe or 0) + 1, stop - HOLES_NAMED), stop))


def fetch_rows(*, at_or_above: int, limit: int) -> list[Row]:
    """Rows of the feed from `at_or_above` (inclusive) on, oldest first."""
    return to_rows(FeedChange.objects.filter(stream_id__gte=at_or_above).order_by("stream_id")[:limit])


def fetch_ids(ids: list[int]) -> list[Row]:
    """The rows with these ids, as far as they are there, oldest first."""
    with reading():
        return to_rows(FeedChange.objects.filter(stream_id__in=ids).order_by("stream_id"))


def newest_id() -> int:
    """The highest id visible now; 0 in an empty feed."""
    with reading():
        return FeedChange.objects.order_by("-stream_id").values_list("stream_id", flat=True).first() or 0


def to_rows(changes: models.QuerySet[FeedChange]) -> list[Row]:
    columns = changes.values_list("stream_id", "origin", "media_id", "quarantined")
    return [
        Row(stream_id, Mxc(origin or settings.HOMESERVER_NAME, media_id), bool(quarantined))
        for stream_id, origin, media_id, quarantined in columns
    ]


def safe_position() -> int | None:
    """The lowest of the writers' positions, inclusive; None without one, or without the grant to read them."""
    try:
        positions = StreamPosition.objects.filter(stream_name=STREAM).values_list("stream_id", flat=True)
        return min(positions, default=None)
    except ProgrammingError:
        return None


def transaction_id(function: str) -> int | None:
    """`pg_snapshot_xmin` (all below has ended) or `pg_snapshot_xmax` (none has reached it) of now; None on SQLite."""
    if connections[ALIAS].vendor != "postgresql":
        return None
    with connections[ALIAS].cursor() as db:
        db.execute(f"SELECT {function}(pg_current_snapshot())::text::bigint")
        [xid] = db.fetchone()
    return int(xid)
