"""Keyset pages over ledger positions. No OFFSET, no COUNT(*): the millionth page costs what the first does.

A page is named by its `cursor` alone: the rows below it, newest first. Going back to newer rows
means finding the cursor under which just they lie.

Where one index finds the rows, one statement does. No set of indexes bounds *combinations* of
filters that match little (0.5-3.6 s on 10 million rows), so their indexes are followed side by side
(`dashboard/search/lanes.py`); where there are none, windows of positions are read. Either way within a
budget of time, and the page says how far it got.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import batched
from typing import Any

from django.contrib.humanize.templatetags.humanize import intcomma

from dashboard.rows import with_reasons
from dashboard.search.filters import MOMENTS, PAGE_LIMIT, ChangeFilter
from dashboard.search.lanes import Span, Ways, crossing, next_window
from dashboard.search.scattered import MOST as MOST_SCATTERED
from dashboard.search.searches import ways_to_anything
from dashboard.serving.memory import Memory
from quarantine.models import Change, ChangeQuerySet

BUDGET = 0.5  # seconds of searching for one page
FIRST_WINDOW = 10_000  # positions
WINDOW_AIM = 0.3  # of the budget: how long the next window should take
DENSE = 8  # a window that holds as little as an eighth of what is wanted is not worth another one
LOOKED_UP = 500  # positions in one statement
COUNTED = 1_000
COUNT_BUDGET = 0.02  # seconds: a number is nice to have, and nobody should wait for it


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
        return f"{intcomma(self.number)}{'+' if self.more else ''}"


COUNTS = Memory[Count](size=1_000)  # of one edition of the ledger, by view: the same on all its pages


@dataclass(slots=True)
class Place:
    """How far a search has come."""

    ordered: Any
    span: Span
    wanted: int
    found: list[Any]
    after: int  # key
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Matching changes from `low` (inclusive) to `high` (exclusive), in one direction."""

    changes: ChangeQuerySet
    led_by: str = ""  # the column that they are ordered by first, all having one value there
    base: ChangeQuerySet  # the same without the filters
    low: int
    high: int
    newest_first: bool = True
    indexed: bool
    lanes: Sequence[Ways] = ()
    scattered: Callable[[], Sequence[int] | None] | None = None  # all that one filter lets through, if they are few
    budget: float

    def rows(self, wanted: int) -> Found[Change]:
        return self.run(with_reasons(self.changes), wanted)

    def positions(self, wanted: int) -> Found[int]:
        return self.run(self.changes.values_list("stream_id", flat=True), wanted)

    def run(self, matching: Any, wanted: int) -> Found[Any]:
        span = Span(self.base, self.low, self.high, self.newest_first)
        ordered = matching.order_by(*self.order)
        if self.indexed:
            return Found(list(ordered.filter(span.within(after=span.start, until=span.end))[:wanted]))
        return self.in_windows(ordered, span, wanted)

    @property
    def order(self) -> list[str]:
        """Ascending and descending alternate as in the index, or it can't be followed."""
        if self.newest_first:
            return [self.led_by, "-stream_id"] if self.led_by else ["-stream_id"]
        return [f"-{self.led_by}", "stream_id"] if self.led_by else ["stream_id"]

    def in_windows(self, ordered: Any, span: Span, wanted: int) -> Found[Any]:
        """Window by window while they hold something; where they don't, by what the indexes say, if anything."""
        at = Place(ordered, span, wanted, [], span.start, time.monotonic() + self.budget)
        window, now, asked = FIRST_WINDOW, time.monotonic(), False
        while at.after > span.end:
            until = max(at.after - window, span.end)
            before = len(at.found)
            at.found += ordered.filter(span.within(after=at.after, until=until))[: wanted - before]
            at.after = until
            if len(at.found) == wanted or at.after == span.end:
                break
            began, now = now, time.monotonic()
            if now >= at.deadline:
                return Found(at.found, stopped_at=span.going_on(at.after))
            number = len(at.found) - before
            if number < wanted / DENSE and not asked and not self.would_be_many(number, window):
                asked, known = True, self.scattered() if self.scattered else None
                if self.lanes or known is not None:
                    return self.in_lanes(at, known=known)
            window = next_window(window, took=now - began, aim=self.budget * WINDOW_AIM)
        return Found(at.found)

    def would_be_many(self, number: int, window: int) -> bool:
        """Whether an index of words would be asked for too much, if all windows hold as much as this one."""
        return self.scattered is not None and number * (self.high - self.low) > MOST_SCATTERED * window

    def in_lanes(self, at: Place, *, known: Sequence[int] | None) -> Found[Any]:
        """What the lanes share is looked up with all the filters: some have no lane."""
        found, aim = at.found, self.budget * WINDOW_AIM
        for keys, edge in crossing(self.lanes, at.span, after=at.after, aim=aim, known=known):
            for some in batched(keys, LOOKED_UP):
                found += at.ordered.filter(stream_id__in=at.span.positions(some))[: at.wanted - len(found)]
                if len(found) == at.wanted:
                    return Found(found)
                if some[-1] > edge and time.monotonic() >= at.deadline:
                    return Found(found, stopped_at=at.span.going_on(some[-1]))
            if edge > at.span.end and time.monotonic() >= at.deadline:
                return Found(found, stopped_at=at.span.going_on(edge))
        return Found(found)


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


def change_page(
    filters: ChangeFilter, *, head: int, left_out: int = 0, edition: str = "", budget: float = BUDGET
) -> ChangePage:
    """The page that the query string asks for; an empty one when something is wrong with it.

    `left_out`: how many positions up to the head were never given out. `edition`: of the ledger, where what was
    counted for one page may be said on the others.
    """
    if not filters.is_valid():
        return ChangePage(changes=[])
    cursor, limit = filters.value("cursor"), filters.value("limit") or PAGE_LIMIT
    whole = search_of(filters, head=head, budget=budget)
    found = whole.rows(limit + 1) if cursor is None else replace(whole, high=min(cursor, whole.high)).rows(limit + 1)
    rows, more = found.rows[:limit], len(found.rows) > limit
    going_on = rows[-1].stream_id if more else found.stopped_at
    first = found if cursor is None else None
    return ChangePage(
        changes=rows,
        count=count(filters, whole=whole, page=first, limit=limit, left_out=left_out, edition=edition),
        head=head,
        newest=cursor is None,
        query=page_query(filters, cursor=cursor),
        older=page_query(filters, cursor=going_on) if going_on else None,
        newer=page_query(filters, cursor=newer_cursor(whole, cursor=cursor, limit=limit)) if cursor else None,
        searched_back_to=None if more else moment_of(found.stopped_at),
    )


def search_of(filters: ChangeFilter, *, head: int, budget: float = BUDGET) -> Search:
    """Everything that matches, up to the head."""
    return Search(
        changes=filters.in_index_order,
        led_by=filters.led_by[0] if filters.led_by else "",
        base=filters.queryset.all(),
        low=max(filters.floor or 1, (filters.value("since") or 0) + 1),
        high=min(head + 1, filters.ceiling or head + 1),
        indexed=filters.one_index_answers,
        lanes=filters.lanes,
        scattered=(lambda: filters.scattered) if seeks_words(filters) else None,
        budget=budget,
    )


def seeks_words(filters: ChangeFilter) -> bool:
    """Whether the search box asks for words: no index has them in order."""
    terms = [term.value for term in filters.active.get("q", ()) if not term.excluded]
    return bool(terms) and not any(map(ways_to_anything, terms))


def is_range(filters: ChangeFilter) -> bool:
    """Whether it lets through all changes of a range of positions."""
    return filters.active.keys() <= set(MOMENTS) and (filters.value("after") is None or filters.floor is not None)


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


def count(
    filters: ChangeFilter, *, whole: Search, page: Found[Change] | None, limit: int, left_out: int, edition: str
) -> Count:
    """How many match in all: exact where that is cheap, never more than COUNTED rows read."""
    if is_range(filters) and not (filters.narrows and left_out):
        return Count(max(0, whole.high - whole.low - (left_out if whole.low == 1 else 0)))
    if page and page.stopped_at is None and len(page.rows) <= limit:
        return Count(len(page.rows))
    if page and page.stopped_at:
        return Count(len(page.rows), more=True)
    key = (edition, filters.canonical_query(), whole.low, whole.high)
    return COUNTS.recall(key, partial(counted, whole), worth_keeping=lambda _: bool(edition))


def counted(whole: Search) -> Count:
    """By reading positions."""
    found = replace(whole, budget=min(whole.budget, COUNT_BUDGET)).positions(COUNTED + 1)
    return Count(min(len(found.rows), COUNTED), more=len(found.rows) > COUNTED or found.stopped_at is not None)


def moment_of(position: int | None) -> datetime | None:
    """When the first change at or above this position was seen."""
    if position is None:
        return None
    seen = Change.objects.filter(stream_id__gte=position).order_by("stream_id").values_list("seen_at", flat=True)
    return seen.first()
