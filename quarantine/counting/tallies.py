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
from itertools import batched

from django.db.models import OuterRef, Subquery

from quarantine.counting.grouping import KEYED, Range, by_hour, by_key, having, of_source, within
from quarantine.models import Change, ChangeQuerySet, Source

TIMED = ("hour", "day", "week")
KINDS = (*TIMED, *KEYED, "held")
WATCHED = timedelta(hours=1)  # a moment known no better than this counts for no duration
STEPS = 8  # of a duration's scale, for each doubling
LOOKED_UP = 500  # rows a statement


@dataclass(slots=True)
class Counts:
    """What was counted of one kind."""

    counts: Counter[str] = field(default_factory=Counter)
    floor: int = 0  # no key that was left out has more; 0: none was left out


def count(
    ranges: Sequence[Range], kinds: Iterable[str], *, sources: Sequence[bool], most: int
) -> dict[tuple[bool, str], Counts]:
    """Each kind, from the rows themselves, for backfill and all other sources apart. Of each kind of KEYED the `most` busiest keys."""
    wanted = set(kinds)
    counted = {(backfill, kind): Counts() for backfill in sources for kind in wanted}
    if not ranges:
        return counted
    rows = within(ranges) if True in sources else of_source(within(ranges), backfill=False)
    there = list(sources)
    if wanted.intersection(TIMED):
        timed = by_hour(rows)
        there = [backfill for backfill in sources if timed[backfill]]
        counted |= {
            (backfill, kind): Counts(as_kind(kind, timed[backfill]))
            for backfill in there
            for kind in wanted.intersection(TIMED)
        }
    for backfill in there:
        for kind in wanted.intersection(KEYED):
            counted[backfill, kind] = busiest_of(of_source(rows, backfill=backfill), kind, most=most)
    if "held" in wanted:
        for backfill, sums in held(rows).items():
            counted[backfill, "held"] = Counts(sums)
    return counted


def busiest_of(rows: ChangeQuerySet, kind: str, *, most: int) -> Counts:
    found = by_key(rows, kind, most=most + 2)  # one more than there is room for, and perhaps the empty one
    if len(found) > most and "" not in found:
        found[""] = having(rows, kind, "")
    return busiest(found, most)


def busiest(exact: Counter[str], most: int) -> Counts:
    """No more keys than that, and always the empty one: how much is not known must not be looked for again."""
    named = Counter({key: number for key, number in exact.items() if key})
    if len(named) <= most:
        return Counts(exact)
    *kept, (_, floor) = named.most_common(most + 1)
    return Counts(Counter({"": exact[""]} | dict(kept)), floor)


def as_kind(kind: str, by_the_hour: Counter[str]) -> Counter[str]:
    """The same by day (`2026-11-22|…`) or by hour of the week (`1 14`: Monday from 14:00)."""
    if kind == "hour":
        return by_the_hour
    counts: Counter[str] = Counter()
    for key, number in by_the_hour.items():
        day = f"{key[:10]}|{key[14:]}"
        counts[day if kind == "day" else f"{date.fromisoformat(key[:10]).isoweekday()} {key[11:13]}"] += number
    return counts


# --- Time to release ----------------------------------------------------------------------


def held(rows: ChangeQuerySet) -> dict[bool, Counter[str]]:
    """By how long media was quarantined that was then released; only where both moments are known within the hour."""
    before = Change.objects.filter(
        media_id=OuterRef("media_id"), origin=OuterRef("origin"), stream_id__lt=OuterRef("stream_id")
    ).order_by("-stream_id")
    releases = rows.filter(quarantined=False, deleted=False, not_before__isnull=False)
    found = releases.values_list("source", "seen_at", "not_before", Subquery(before.values("stream_id")[:1]))
    ends = {
        start: (source == Source.BACKFILL, seen)
        for source, seen, since, start in found
        if seen - since <= WATCHED and start is not None
    }
    counts: dict[bool, Counter[str]] = {}
    for positions in batched(ends, LOOKED_UP):
        starts = Change.objects.filter(pk__in=positions, not_before__isnull=False).exclude(source=Source.BACKFILL)
        for position, seen, since in starts.values_list("pk", "seen_at", "not_before"):
            backfill, end = ends[position]
            if since is not None and seen - since <= WATCHED:
                counts.setdefault(backfill, Counter())[step(end - seen)] += 1
    return counts


def step(duration: timedelta) -> str:
    """Where on the logarithmic scale; each step is a tenth longer than the last."""
    return str(round(STEPS * math.log2(max(duration.total_seconds(), 1.0))))


def seconds(key: str) -> float:
    """The duration in the middle of that step."""
    return float(2 ** (int(key) / STEPS))
