"""Many changes that are one event, as one line: an action's, a sweep's, a backfill's, the feed's first read.

Only what stands side by side on one day is folded, so a line never reaches over other changes and
positions still say where a page ends. Filters, counts, exports and the stream of live changes know nothing of
it; the script asks for the lines of what waited before it enters (static/js/folding.js).

A page reads a few hundred rows at most. The far end of a run that may hold millions (a backfill, a
first read) is found by index probes: where the next change of another source lies. The far end of
the others is looked for in at most MOST_SCANNED rows; then the line ends, and another one goes on.
"""

import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby

from django.db import connections

from dashboard.rows import with_reasons
from dashboard.search.filters import PAGE_LIMIT, ChangeFilter
from dashboard.search.pages import (
    BUDGET,
    COUNTED,
    ChangePage,
    Count,
    Found,
    Search,
    change_page,
    count,
    moment_of,
    page_query,
    search_of,
)
from quarantine import ledger
from quarantine.models import Cause, Change, Source

FOLD_FROM = 5  # changes; fewer are shown one by one
READ_ON = 200  # rows, where the first read did not fill the page
LOOKED_ON = 20  # where a run that may hold millions has just ended: another one may begin
MOST_READS = 6
SCANNED = 1_000  # rows at once
MOST_SCANNED = 10_000
ENDLESS = {"backfill", "history"}
KEY_COLUMNS = (
    "stream_id", "seen_at", "action_id", "source", "cause", "not_before", "feed_generation", "changed_by", "uploader",
    "quarantined", "deleted", "sha256",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """What makes changes one event, on one day. `of`: an action, a generation of the feed, a user and an uploader."""

    kind: str  # action, backfill, history (the feed's first read), copies, sweep
    of: tuple[str | int, ...]
    day: datetime

    @property
    def endless(self) -> bool:
        """Whether it may hold millions, and its ends can be probed for."""
        return self.kind in ENDLESS


def key_of(change: Change) -> Key | None:
    """None for what is never folded."""
    day = change.seen_at.replace(hour=0, minute=0, second=0, microsecond=0)
    kind: str
    of: tuple[str | int, ...]
    if change.action_id is not None:
        kind, of = "action", (change.action_id,)
    elif change.source == Source.BACKFILL:
        kind, of = "backfill", ()
    elif change.source == Source.FEED and change.not_before is None and change.feed_generation is not None:
        kind, of = "history", (change.feed_generation,)
    elif change.cause == Cause.HASH and change.sha256:
        kind, of = "copies", (change.sha256, change.state)
    elif change.changed_by and change.uploader:
        kind, of = "sweep", (change.changed_by, change.uploader, change.state)
    else:
        return None
    return Key(kind, of, day)


@dataclass(frozen=True, slots=True)
class Line:
    """One change; or several side by side, from `low` to `high` (both inclusive), of which `change` is the newest."""

    change: Change
    low: int
    high: int
    kind: str = ""  # of a fold
    count: Count = field(default_factory=lambda: Count(1))


@dataclass(frozen=True, slots=True)
class FoldedPage:
    page: ChangePage
    lines: list[Line]

    @property
    def folds(self) -> bool:
        return any(line.kind for line in self.lines)


def is_folded(filters: ChangeFilter) -> bool:
    """Whoever looks at one action wants to see its changes."""
    return filters.is_valid() and filters.value("fold") is not False and "action" not in filters.active


def folded_page(
    filters: ChangeFilter, *, head: int, left_out: int = 0, edition: str = "", budget: float = BUDGET
) -> FoldedPage:
    """The page that the query string asks for, in lines; `limit` is how many. The rest as for `change_page`."""
    if not is_folded(filters):
        page = change_page(filters, head=head, left_out=left_out, edition=edition, budget=budget)
        return FoldedPage(page, [Line(change, change.pk, change.pk) for change in page.changes])
    cursor, limit = filters.value("cursor"), filters.value("limit") or PAGE_LIMIT
    whole = search_of(filters, head=head, budget=budget)
    here = Walk(whole if cursor is None else replace(whole, high=min(cursor, whole.high)), narrowed=filters.narrows)
    found = here.lines(limit + 1)
    lines, more = found.rows[:limit], len(found.rows) > limit
    going_on = lines[-1].low if more else found.stopped_at
    first = here.all_read if cursor is None else None
    page = ChangePage(
        changes=[line.change for line in lines],
        count=count(filters, whole=whole, page=first, limit=limit, left_out=left_out, edition=edition),
        head=head,
        newest=cursor is None,
        query=page_query(filters, cursor=cursor),
        older=page_query(filters, cursor=going_on) if going_on else None,
        newer=page_query(filters, cursor=newer_cursor(filters, whole, cursor, limit)) if cursor else None,
        searched_back_to=None if more or here.out_of_reads else moment_of(found.stopped_at),
    )
    return FoldedPage(page, lines)


def newer_cursor(filters: ChangeFilter, whole: Search, cursor: int, limit: int) -> int | None:
    """The cursor of the page that ends just before this one begins; None when that is the newest page."""
    upwards = replace(whole, low=max(cursor, whole.low), newest_first=False, budget=whole.budget / 2)
    found = Walk(upwards, narrowed=filters.narrows, shown=False).lines(limit + 1)
    return found.rows[limit].low if len(found.rows) > limit else found.stopped_at


class Walk:
    """Reads a search's changes in its direction and folds them; where nobody is shown them, no more than that takes."""

    def __init__(self, search: Search, *, narrowed: bool, shown: bool = True) -> None:
        self.search = search
        self.narrowed = narrowed
        self.keys = search.changes.only(*KEY_COLUMNS)
        self.read = with_reasons(search.changes) if shown else self.keys
        self.deadline = time.monotonic() + search.budget
        self.all_read: Found[Change] | None = None  # every change there is, where one read got them all unfolded
        self.out_of_reads = False

    def lines(self, wanted: int) -> Found[Line]:
        """At most so many; `stopped_at` where time or reads were up before."""
        lines: list[Line] = []
        rest, number = self.search, max(wanted, 2 * FOLD_FROM)
        reads = 0
        while reads < MOST_READS:
            found = replace(rest, budget=self.left).run(self.read, number)
            full = len(found.rows) == number
            new, rest = self.folded(found.rows, rest, wanted=wanted - len(lines), full=full)
            if not lines and all(not line.kind for line in new):
                self.all_read = found
            lines += new
            if len(lines) >= wanted or found.stopped_at or not full:
                return Found(lines[:wanted], stopped_at=None if len(lines) >= wanted else found.stopped_at)
            at_an_end = bool(new) and new[-1].kind in ENDLESS
            reads += number != LOOKED_ON or at_an_end  # a look that found none costs little
            number = LOOKED_ON if at_an_end else READ_ON
        self.out_of_reads = True
        return Found(lines, stopped_at=rest.high if rest.newest_first else rest.low)

    def folded(self, changes: list[Change], rest: Search, *, wanted: int, full: bool) -> tuple[list[Line], Search]:
        """The lines of these changes, and the search for what comes after them. `full`: there may be more."""
        lines: list[Line] = []
        groups = [(key, list(group)) for key, group in groupby(changes, key=key_of)]
        for number, (key, group) in enumerate(groups, 1):
            # The last line wanted only says that there are more: however far it goes.
            cut_off = full and number == len(groups) and len(lines) < wanted - 1
            if key and cut_off and len(group) < FOLD_FROM and number > 1:
                break  # read again, with what follows
            if key is None or len(group) < FOLD_FROM:
                lines += [Line(change, change.pk, change.pk) for change in group]
            else:
                lines.append(self.fold(key, group, rest) if cut_off else folded_line(key, group))
            rest = beyond(rest, lines[-1])
        return lines, rest

    def fold(self, key: Key, group: list[Change], rest: Search) -> Line:
        """One line for this group and all that follows of the same."""
        if key.endless:
            return self.probed(key, group, rest)
        line = folded_line(key, group)
        while line.count.number < MOST_SCANNED:
            ahead = replace(beyond(rest, line), budget=self.left)
            rows = ahead.run(self.keys, SCANNED).rows
            same = next((number for number, row in enumerate(rows) if key_of(row) != key), len(rows))
            line = joined(line, rows[:same])
            if same < SCANNED:
                return line
        return replace(line, count=replace(line.count, more=True))

    def probed(self, key: Key, group: list[Change], rest: Search) -> Line:
        far = far_end(key, group[-1].pk, up=not rest.newest_first)
        here = group[0].pk
        low, high = max(rest.low, min(far, here)), min(rest.high - 1, max(far, here))
        newest = group[0] if rest.newest_first else group[-1]
        number = Count(high - low + 1 - (ledger.left_out(low, high) if self.gaps else 0))
        if self.narrowed:
            found = replace(rest, low=low, high=high + 1, budget=self.left / 2).positions(COUNTED + 1)
            number = Count(min(len(found.rows), COUNTED), more=len(found.rows) > COUNTED or bool(found.stopped_at))
        return Line(newest, low, high, key.kind, number)

    @cached_property
    def gaps(self) -> bool:
        """Whether any positions were never given out."""
        return ledger.has_gaps()

    @property
    def left(self) -> float:
        return max(0.01, self.deadline - time.monotonic())


def folded_line(key: Key, group: list[Change]) -> Line:
    oldest, newest = sorted((group[0], group[-1]), key=lambda change: change.pk)
    return Line(newest, oldest.pk, newest.pk, key.kind, Count(len(group)))


def joined(line: Line, rows: list[Change]) -> Line:
    positions = [line.low, line.high, *(row.pk for row in rows)]
    return replace(line, low=min(positions), high=max(positions), count=Count(line.count.number + len(rows)))


def beyond(rest: Search, line: Line) -> Search:
    return replace(rest, high=line.low) if rest.newest_first else replace(rest, low=line.high + 1)


# --- Far ends -----------------------------------------------------------------------------

# Each is one probe. The array and the order by source leave PostgreSQL nothing but the index of both: asked for one
# source in order of position, it would rather go through the record until it meets one that is common elsewhere.
SEEN_FROM = "(SELECT stream_id FROM quarantine_change WHERE seen_at >= %s ORDER BY seen_at, stream_id LIMIT 1)"
NEWEST = "(SELECT stream_id FROM quarantine_change ORDER BY stream_id DESC LIMIT 1)"
BELOW = "(SELECT stream_id FROM quarantine_change WHERE {source} AND stream_id < %s ORDER BY source, stream_id DESC LIMIT 1)"
ABOVE = "(SELECT stream_id FROM quarantine_change WHERE {source} AND stream_id > %s ORDER BY source DESC, stream_id LIMIT 1)"


def far_end(key: Key, at: int, *, up: bool) -> int:
    """The last position of an endless run that goes on from `at`, up or down, in the unfiltered record."""
    own = Source.BACKFILL if key.kind == "backfill" else Source.FEED
    day, newest, *nearest = ends(key.day, at, sorted(set(Source) - {own}), up=up)
    others = [position for position in nearest if position is not None]
    if not up:
        low = max(at if day is None else day, *(position + 1 for position in others), 0)
        return max(low, beginning_of_history(key, at)) if key.kind == "history" else low
    last = (newest or at) if day is None else day - 1
    high = min([last, *(position - 1 for position in others)])
    return end_of_history(key, at, high) if key.kind == "history" else high


def ends(day: datetime, at: int, sources: list[Source], *, up: bool) -> list[int | None]:
    """Where this day begins, or going up the next one; the newest position; the nearest one of each source. One statement."""
    connection = connections[Change.objects.all().db]
    is_array = connection.vendor == "postgresql"
    probe = (ABOVE if up else BELOW).format(source="source = ANY(%s)" if is_array else "source = %s")
    moment = connection.ops.adapt_datetimefield_value(day + timedelta(days=1) if up else day)
    of_sources = [value for source in sources for value in ([source.value] if is_array else source.value, at)]
    with connection.cursor() as db:
        db.execute(f"SELECT {', '.join([SEEN_FROM, NEWEST, *[probe] * len(sources)])}", [moment, *of_sources])
        return list(db.fetchone())


def beginning_of_history(key: Key, at: int) -> int:
    """A generation begins with what was there before anybody looked."""
    rows = Change.objects.filter(feed_generation=key.of[0], feed_id__isnull=False).order_by("feed_id")
    return rows.values_list("stream_id", flat=True).first() or at


def end_of_history(key: Key, low: int, high: int) -> int:
    """Among changes of the feed alone, those that were there before anybody looked come first: halve until they end."""
    while low < high:
        middle = (low + high + 1) // 2
        row = Change.objects.older_than(middle + 1).only(*KEY_COLUMNS).first()
        low, high = (middle, high) if row and key_of(row) == key else (low, middle - 1)
    return low
