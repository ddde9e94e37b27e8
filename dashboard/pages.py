"""Keyset pages over ledger positions. No OFFSET, no COUNT(*): the millionth page costs what the first does.

A page is named by its `cursor` alone: the rows below it, newest first. Going back to newer rows
means finding the cursor under which just they lie.

Where one index finds the rows, one statement does. No set of indexes bounds *combinations* of
filters that match little (0.5-3.6 s on 10 million rows), so those are searched in windows of
positions, within a budget of time, and the page says how far it got.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dashboard.filters import PAGE_LIMIT, ChangeFilter
from quarantine.models import Change, ChangeQuerySet

BUDGET = 0.5  # seconds of searching for one page
FIRST_WINDOW = 10_000  # positions
SMALLEST_WINDOW = 1_000
WINDOW_AIM = 0.1  # seconds: how long the next window should take
COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Found[T]:
    """What a search found, in its order; `stopped_at` when its time was up before it had enough."""

    rows: list[T]
    stopped_at: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many match: exact, or at least so many."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Matching changes from `low` (inclusive) to `high` (exclusive), in one direction."""

    changes: ChangeQuerySet
    low: int
    high: int
    newest_first: bool = True
    indexed: bool
    budget: float

    def rows(self, wanted: int) -> Found[Change]:
        return self.run(self.changes.select_related("action"), wanted)

    def positions(self, wanted: int) -> Found[int]:
        return self.run(self.changes.values_list("stream_id", flat=True), wanted)

    def run(self, matching: Any, wanted: int) -> Found[Any]:
        ordered = matching.order_by("-stream_id" if self.newest_first else "stream_id")
        if self.indexed:
            return Found(list(ordered.filter(stream_id__gte=self.low, stream_id__lt=self.high)[:wanted]))
        return self.in_windows(ordered, wanted)

    def in_windows(self, ordered: Any, wanted: int) -> Found[Any]:
        found: list[Any] = []
        low, high, size = self.low, self.high, FIRST_WINDOW
        now = time.monotonic()
        deadline = now + self.budget
        while low < high:
            start, end = (max(low, high - size), high) if self.newest_first else (low, min(high, low + size))
            found += ordered.filter(stream_id__gte=start, stream_id__lt=end)[: wanted - len(found)]
            low, high = (low, start) if self.newest_first else (end, high)
            if len(found) == wanted or low >= high:
                break
            before, now = now, time.monotonic()
            if now >= deadline:
                return Found(found, stopped_at=high if self.newest_first else low)
            size = next_window(size, took=now - before)
        return Found(found)


def next_window(size: int, *, took: float) -> int:
    """Grow or shrink towards the aim, by four at most: what lies ahead may be denser."""
    factor = min(4.0, max(0.25, WINDOW_AIM / max(took, 0.001)))
    return max(SMALLEST_WINDOW, int(size * factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """One page of changes, newest first, and the query strings that lead on from it."""

    changes: list[Change]
    count: Count | None = None
    head: int = 0  # it misses nothing up to this position
    newest: bool = False  # it begins at the head: changes still to come belong on top of it
    query: str = ""  # of this page itself
    older: str | None = None
    newer: str | None = None
    searched_back_to: datetime | None = None  # the search was cut short here; `older` goes on


def change_page(filters: ChangeFilter, *, head: int, budget: float = BUDGET) -> ChangePage:
    """The page that the query string asks for; an empty one when something is wrong with it."""
    if not filters.is_valid():
        return ChangePage(changes=[])
    cursor, limit = filters.value("cursor"), filters.value("limit") or PAGE_LIMIT
    whole = search_of(filters, head=head, budget=budget)
    found = whole.rows(limit + 1) if cursor is None else replace(whole, high=min(cursor, whole.high)).rows(limit + 1)
    rows, more = found.rows[:limit], len(found.rows) > limit
    going_on = rows[-1].stream_id if more else found.stopped_at
    return ChangePage(
        changes=rows,
        count=count(filters, whole=whole, page=found if cursor is None else None, limit=limit),
        head=head,
        newest=cursor is None,
        query=page_query(filters, cursor=cursor),
        older=page_query(filters, cursor=going_on) if going_on else None,
        newer=page_query(filters, cursor=newer_cursor(whole, cursor=cursor, limit=limit)) if cursor else None,
        searched_back_to=None if more else moment_of(found.stopped_at),
    )


def search_of(filters: ChangeFilter, *, head: int, budget: float) -> Search:
    """Everything that matches, up to the head."""
    return Search(
        changes=filters.qs,
        low=max(filters.floor or 1, (filters.value("since") or 0) + 1),
        high=min(head + 1, filters.ceiling or head + 1),
        indexed=filters.one_index_answers,
        budget=budget,
    )


def page_query(filters: ChangeFilter, *, cursor: int | None) -> str:
    limit, since = filters.value("limit"), filters.value("since")
    fold = "off" if filters.value("fold") is False else None
    return filters.canonical_query(
        limit=None if limit == PAGE_LIMIT else limit, cursor=cursor, since=since or None, fold=fold
    )


def newer_cursor(whole: Search, *, cursor: int, limit: int) -> int | None:
    """The cursor of the page that ends just before this one begins; None when that is the newest page."""
    upwards = replace(whole, low=max(cursor, whole.low), newest_first=False, budget=whole.budget / 2)
    found = upwards.positions(limit + 1)
    return found.rows[limit] if len(found.rows) > limit else found.stopped_at


def count(filters: ChangeFilter, *, whole: Search, page: Found[Change] | None, limit: int) -> Count:
    """How many match in all: exact where that is cheap, never more than COUNTED rows read."""
    if not filters.narrows:
        return Count(whole.high - whole.low)
    if page and page.stopped_at is None and len(page.rows) <= limit:
        return Count(len(page.rows))
    if page and page.stopped_at:
        return Count(len(page.rows), more=True)
    found = replace(whole, budget=whole.budget / 2).positions(COUNTED + 1)
    return Count(min(len(found.rows), COUNTED), more=len(found.rows) > COUNTED or found.stopped_at is not None)


def moment_of(position: int | None) -> datetime | None:
    """When the first change at or above this position was seen."""
    if position is None:
        return None
    seen = Change.objects.filter(stream_id__gte=position).order_by("stream_id").values_list("seen_at", flat=True)
    return seen.first()
