"""Reading the homeserver's own stream safely.

Ids are taken inside a transaction that commits later, so `stream_id > last` loses rows (28 of
400 with eight moderators, measured on a real Synapse). What is safe: ids at or below every
writer's stream position; beyond it, a run of ids without a hole. A hole holds the reader back
until it fills, or until every transaction that could fill it has ended, for at most a minute.
"""

import time
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
HOLES_NAMED = 500  # of a wide gap only the newest ids are worth asking for again


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
    """A hole in sight: all up to `upto` was visible when no transaction had reached `xmax` yet."""

    upto: int
    xmax: int
    since: float = field(default_factory=time.monotonic)


class Reader:
    """Reads safe prefixes. Remembers, between reads, since when a hole is in sight."""

    def __init__(self, *, patience: float = HOLE_PATIENCE) -> None:
        self.patience = patience
        self.wait: Wait | None = None

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
                return Prefix(rows=[], holes=[], restored=True)
            return self.cut(
                [row for row in rows if row.feed_id > after], after=after, safe=safe, ended=ended, limit=limit
            )

    def cut(self, rows: list[Row], *, after: int, safe: int | None, ended: int | None, limit: int) -> Prefix:
        """Take rows up to the first hole that may still fill."""
        passable = self.passable(ended)
        taken: list[Row] = []
        holes: list[int] = []
        expected = max(after + 1, FIRST)
        for row in rows:
            waiting = open_ids(expected, row.feed_id, safe=safe, ended=ended)
            if waiting and waiting[-1] > passable:
                break
            holes += waiting
            taken.append(row)
            expected = row.feed_id + 1
        behind = rows[len(taken) :]
        self.watch(behind)
        return Prefix(rows=taken, holes=holes, held_back=bool(behind), full=len(rows) >= limit)

    def passable(self, ended: int | None) -> int:
        """Up to which id a hole has had its chance."""
        if self.wait is None or ended is None:
            return 0
        waited = time.monotonic() - self.wait.since
        return self.wait.upto if self.wait.xmax <= ended or waited > self.patience else 0

    def watch(self, behind: list[Row]) -> None:
        """Note when rows behind a hole are first seen. One snapshot clears all holes below the ids it saw."""
        if not behind:
            self.wait = None
        elif self.wait is None or self.wait.upto < behind[0].feed_id:
            self.wait = Wait(upto=behind[-1].feed_id, xmax=transaction_id("pg_snapshot_xmax") or 0)


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
    return [
        Row(change.stream_id, Mxc(change.origin or settings.HOMESERVER_NAME, change.media_id), bool(change.quarantined))
        for change in changes
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
