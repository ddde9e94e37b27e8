"""How many there would be: beside each choice of a filter, and without the filter that leaves nothing.

Nothing here reads more than COUNTED rows for a number, nor goes on when its time is up: a number
that was cut short says so ("1,000+").
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zlib import crc32

from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from dashboard.rows import SYSTEM
from dashboard.search.filters import SCOPES, ChangeFilter, Chip, query_string
from dashboard.search.pages import COUNTED, Count, search_of
from dashboard.wording.terms import Term
from quarantine.ledger import left_out
from quarantine.models import Cause, Change, Source, State

BUDGET = 0.5  # seconds for all the numbers of one facet, and for those of an empty page
LOOKED_AT = 1_000  # newest matching changes that suggest values
SUGGESTED = 8
KINDS = {
    "image": gettext_lazy("Images"),
    "video": gettext_lazy("Videos"),
    "audio": gettext_lazy("Audio"),
    "text": gettext_lazy("Text"),
    "application": gettext_lazy("Documents and others"),
}
# Filters with few values, and what these are called.
FIXED: dict[str, dict[str, Any]] = {
    "state": dict(State.choices),
    "scope": SCOPES,
    "source": dict(Source.choices),
    "cause": dict(Cause.choices),
    "type": KINDS,
}
# Filters with any value, and the column that suggests some.
OPEN = {"origin": "origin", "by": "changed_by", "uploader": "uploader", "type": "media_type"}
FACETS = {**FIXED, **OPEN}.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One value of a filter, as the query string has it."""

    name: str
    value: str
    label: str
    checked: bool = False
    query: str = ""  # the view with it in place of the filter's present values
    count: Count | None = None  # how many match that; None: not counted

    @property
    def slug(self) -> str:
        return choice_slug(self.name, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    name: str
    label: str
    known: list[Choice]  # always offered
    others: list[Choice]  # those asked for, then the most frequent ones

    @property
    def open_ended(self) -> bool:
        """Whether any value can be asked for."""
        return self.name in OPEN


def choice_slug(name: str, value: str) -> str:
    """For ids: values hold anything."""
    return f"{name}-{crc32(value.encode()):08x}"


def known_values(name: str, username: str) -> dict[str, Any]:
    """What a filter always offers: values as the query string has them, and what they are called."""
    if name == "by":
        return {SYSTEM: gettext("System"), str(Term(username, username)): gettext("You ({name})").format(name=username)}
    return FIXED.get(name, {})


def facet(filters: ChangeFilter, name: str, *, username: str, head: int, budget: float = BUDGET) -> Facet:
    """The choices of one filter, each counted beside all other filters. Any name of FACETS."""
    deadline = time.monotonic() + budget
    given: tuple[Term[Any], ...] = filters.active.get(name) or ()
    known = known_values(name, username)
    frequent = [str(Term(value, value)) for value in suggestions(filters, name, head, budget / 4)]
    asked = {str(term): filters.filters[name].named(term) for term in given}
    others = {value: value.removeprefix("\\") for value in frequent} | asked
    first = sorted(others.keys() - known.keys(), key=lambda value: (value not in asked, list(others).index(value)))

    def counted(value: str, label: str) -> Choice:
        query = urlencode([*parse_qsl(query_string(filters.active | {name: ()}, {})), (name, value)])
        count = None if value.startswith("-") else count_of(query, head, deadline - time.monotonic())
        label = gettext("Not {label}").format(label=label) if value.startswith("-") else str(label)
        return Choice(name=name, value=value, label=label, checked=value in asked, query=query, count=count)

    return Facet(
        name=name,
        label=str(filters.filters[name].label),
        known=[counted(value, label) for value, label in known.items()],
        others=[counted(value, others[value]) for value in first],
    )


def suggestions(filters: ChangeFilter, name: str, head: int, budget: float) -> Iterator[str]:
    """The values most frequent among the newest changes that match the other filters."""
    if name not in OPEN:
        return
    others = read(query_string(filters.active | {name: ()}, {}))
    search = search_of(others, head=head, budget=budget)
    newest = search.run(search.changes.values_list(OPEN[name], flat=True), LOOKED_AT).rows
    for value, _ in Counter(filter(None, newest)).most_common(SUGGESTED):
        yield value


def count_of(query: str, head: int, budget: float) -> Count | None:
    """How many match this query string, COUNTED at most."""
    if budget <= 0:
        return None
    filters = read(query)
    if not filters.narrows:
        return Count(head - left_out(1, head))
    found = search_of(filters, head=head, budget=budget).positions(COUNTED + 1)
    return Count(min(len(found.rows), COUNTED), more=len(found.rows) > COUNTED or found.stopped_at is not None)


def read(query: str) -> ChangeFilter:
    return ChangeFilter(QueryDict(query), queryset=Change.objects.all())


@dataclass(frozen=True, slots=True)
class Wider:
    """The view without its narrowest filter."""

    chip: Chip
    count: Count


def without_narrowest(filters: ChangeFilter, *, head: int, budget: float = BUDGET) -> Wider | None:
    """The one filter without which most would match; None when leaving out any single one helps nothing."""
    deadline = time.monotonic() + budget
    counted = ((chip, count_of(chip.query, head, deadline - time.monotonic())) for chip in filters.chips)
    wider = [Wider(chip, count) for chip, count in counted if count and count.number]
    return max(wider, key=lambda one: one.count.number, default=None)
