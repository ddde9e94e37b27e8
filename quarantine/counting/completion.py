"""What the blocks of earlier versions lack: how many hashes are not known where that is few, and hours of larger blocks.

Done once, by a migration, block by block. It adds nothing that can't be counted otherwise: where it is missing, the
insights read the rows, or the smaller blocks within. So it may be interrupted, and others may write meanwhile.
"""

from collections import Counter
from typing import Any

from django.apps.registry import Apps

from quarantine.counting.grouping import HOUR
from quarantine.counting.rollup import SIZES, SOURCES, few_hours


def complete(apps: Apps) -> None:
    """With the models as they were at that migration."""
    tallies: Any = apps.get_model("quarantine", "Tally").objects
    changes: Any = apps.get_model("quarantine", "Change").objects
    for size in SIZES:
        starts = tallies.filter(size=size, kind="week").values_list("start", flat=True)
        for start in sorted(set(starts)):
            for backfill in SOURCES:
                add_unknown(tallies, changes, size=size, start=start, backfill=backfill)
                if size != SIZES[0]:
                    add_hours(tallies, size=size, start=start, backfill=backfill)


def within(tallies: Any, *, size: int, start: int, backfill: bool) -> Any:
    smaller = SIZES[SIZES.index(size) - 1]
    return tallies.filter(size=smaller, start__in=range(start, start + size, smaller), backfill=backfill)


def add_unknown(tallies: Any, changes: Any, *, size: int, start: int, backfill: bool) -> None:
    """Where hashes were left out, nobody can tell whether the missing ones were."""
    block: dict[str, Any] = {"size": size, "start": start, "backfill": backfill}
    tally = tallies.filter(**block, kind="sha256", floor__gt=0).first()
    if tally is None or "" in tally.counts:
        return
    if size == SIZES[0]:
        rows = changes.filter(stream_id__gte=start, stream_id__lt=start + size, quarantined=True, sha256=None)
        unknown = (rows.filter(source="backfill") if backfill else rows.exclude(source="backfill")).count()
    else:
        parts = list(within(tallies, **block).filter(kind="sha256"))
        if any(part.floor and "" not in part.counts for part in parts):
            return  # an earlier version has just written it
        unknown = sum(part.counts.get("", 0) for part in parts)
    tallies.filter(pk=tally.pk).update(counts={"": unknown} | tally.counts)


def add_hours(tallies: Any, *, size: int, start: int, backfill: bool) -> None:
    """Where they are few. Those of smaller blocks come first."""
    block: dict[str, Any] = {"size": size, "start": start, "backfill": backfill}
    sums = {HOUR: Counter[str](), "week": Counter[str]()}
    for part in within(tallies, **block).filter(kind__in=sums):
        sums[part.kind].update(part.counts)
    if sums[HOUR] and few_hours(sums[HOUR], changes=sums["week"].total()):
        tallies.get_or_create(**block, kind=HOUR, defaults={"counts": dict(sums[HOUR])})
