"""Counting changes by what they have in common, over ranges of positions.

A *kind* says what is counted: `hour` and `day` (when, and which state, source, cause and scope),
`week` (weekday and hour), `origin`, `uploader` and `sha256` of what was quarantined, `actor`, `reason`
(the category of the action) and `held` (how long released media had been quarantined).
A key is a text; the empty one stands for what is not known. All times are UTC.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Count, F, Func, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from quarantine.models import Change, ChangeQuerySet, Source, State

# Column and condition of the kinds that may have very many keys.
KEYED: dict[str, tuple[str, Q]] = {
    "origin": ("origin", Q(quarantined=True)),
    "uploader": ("uploader", Q(quarantined=True)),
    "sha256": ("sha256", Q(quarantined=True)),
    "actor": ("changed_by", Q()),
    "reason": ("action__category", Q()),
}
TIMED = ("hour", "day", "week")
KINDS = (*TIMED, *KEYED, "held")
WATCHED = timedelta(hours=1)  # a moment known no better than this counts for no duration
STEPS = 8  # of a duration's scale, for each doubling
LOOKED_UP = 500  # rows a statement

type Range = tuple[int, int]  # positions, the end exclusive


@dataclass(slots=True)
class Counts:
    """What was counted of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    floor: int = 0  # no key that was left out has more; 0: none was left out


class Hour(Func):
    """The hour of a time, as text: `2026-11-22 14`."""

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 13)", **extra)

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        template = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')"
        return self.as_sql(compiler, connection, template=template, **extra)


def count(
    ranges: Sequence[Range], kinds: Iterable[str], *, backfill: bool, most: int | None = None
) -> dict[str, Counts]:
    """Each kind, from the rows themselves. With `most`, only so many of the busiest keys of each kind of KEYED."""
    wanted = set(kinds)
    counted = {kind: Counts() for kind in wanted}
    if not ranges:
        return counted
    rows = of_source(within(ranges), backfill=backfill)
    if wanted.intersection(TIMED):
        timed = by_hour(rows)
        counted |= {kind: Counts(as_kind(kind, timed)) for kind in wanted.intersection(TIMED)}
    for kind in wanted.intersection(KEYED):
        counted[kind] = by_key(rows, kind, most=most)
    if "held" in wanted:
        counted["held"] = Counts(held(rows))
    return counted


def within(ranges: Iterable[Range]) -> ChangeQuerySet:
    return Change.objects.filter(reduce(or_, (Q(stream_id__gte=low, stream_id__lt=high) for low, high in ranges)))


def of_source(rows: ChangeQuerySet, *, backfill: bool) -> ChangeQuerySet:
    return rows.filter(source=Source.BACKFILL) if backfill else rows.exclude(source=Source.BACKFILL)


def by_hour(rows: ChangeQuerySet) -> Counter[str]:
    """Keys `2026-11-22 14|quarantined|feed|hash|local`."""
    grouped = rows.values_list(Hour("seen_at"), "quarantined", "deleted", "source", "cause", "local")
    counts: Counter[str] = Counter()
    for hour, quarantined, deleted, source, cause, local, number in grouped.annotate(Count("pk")).order_by():
        state = State.DELETED if deleted else State.QUARANTINED if quarantined else State.RELEASED
        counts["|".join((hour, state, source, cause, "local" if local else "remote"))] += number
    return counts


def as_kind(kind: str, by_the_hour: Counter[str]) -> Counter[str]:
    """The same by day (`2026-11-22|…`) or by hour of the week (`1 14`: Monday from 14:00)."""
    if kind == "hour":
        return by_the_hour
    counts: Counter[str] = Counter()
    for key, number in by_the_hour.items():
        day = f"{key[:10]}|{key[14:]}"
        counts[day if kind == "day" else f"{date.fromisoformat(key[:10]).isoweekday()} {key[11:13]}"] += number
    return counts


def by_key(rows: ChangeQuerySet, kind: str, *, most: int | None = None) -> Counts:
    """Nothing and an empty text are one key: not known."""
    column, condition = KEYED[kind]
    key = Coalesce(column, Value("")) if kind == "reason" else F(column)
    grouped = rows.filter(condition).values_list(key).annotate(number=Count("pk")).order_by("-number")
    found = list(grouped if most is None else grouped[: most + 1])
    floor = found[most][1] if most is not None and len(found) > most else 0
    return Counts(Counter({key or "": number for key, number in found[:most]}), floor)


def having(ranges: Sequence[Range], kind: str, key: str, *, backfill: bool) -> int:
    """How many have this key."""
    column, condition = KEYED[kind]
    same = Q() if kind == "sha256" and not key else Q(**{column: key})
    if not key and kind in {"sha256", "reason"}:  # no hash; no action, or one without a category
        same = same | Q(**{f"{column}__isnull": True})
    return of_source(within(ranges), backfill=backfill).filter(condition, same).count()


# --- Time to release ----------------------------------------------------------------------


def held(rows: ChangeQuerySet) -> Counter[str]:
    """By how long media was quarantined that was then released; only where both moments are known within the hour."""
    before = Change.objects.filter(
        media_id=OuterRef("media_id"), origin=OuterRef("origin"), stream_id__lt=OuterRef("stream_id")
    ).order_by("-stream_id")
    releases = rows.filter(quarantined=False, deleted=False, not_before__isnull=False)
    found = releases.values_list("seen_at", "not_before", Subquery(before.values("stream_id")[:1]))
    ends = {start: seen for seen, since, start in found.iterator() if seen - since <= WATCHED and start is not None}
    counts: Counter[str] = Counter()
    positions = list(ends)
    for first in range(0, len(positions), LOOKED_UP):
        starts = Change.objects.filter(pk__in=positions[first : first + LOOKED_UP], not_before__isnull=False)
        for position, seen, since in starts.exclude(source=Source.BACKFILL).values_list("pk", "seen_at", "not_before"):
            if since is not None and seen - since <= WATCHED:
                counts[step(ends[position] - seen)] += 1
    return counts


def step(duration: timedelta) -> str:
    """Where on the logarithmic scale; each step is a tenth longer than the last."""
    return str(round(STEPS * math.log2(max(duration.total_seconds(), 1.0))))


def seconds(key: str) -> float:
    """The duration in the middle of that step."""
    return float(2 ** (int(key) / STEPS))
