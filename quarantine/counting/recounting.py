"""Counting a few keys where the sums left them out: by their indexes, a few changes each."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from quarantine.counting.grouping import having, of_source, within
from quarantine.models import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A key, and positions where it was left out."""

    key: str
    low: int
    high: int  # exclusive
    backfill: bool


# Column and its value. The first subquery of a key is found in the index of that column and the position.
PLACES = {
    "origin": ("origin = asked.key", "quarantined"),
    "uploader": ("uploader = asked.key", "quarantined"),
    "sha256": ("sha256 = decode(asked.key, 'hex')", "quarantined"),
    "actor": ("changed_by = asked.key", "true"),
}
STATEMENT = """
    SELECT asked.key, sum((
        SELECT count(*) FROM quarantine_change
        WHERE {same} AND {condition} AND stream_id >= asked.low AND stream_id < asked.high
            AND (source = 'backfill') = asked.backfill
    )) FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::boolean[]) AS asked (key, low, high, backfill)
    GROUP BY asked.key
"""


def recount(kind: str, missing: Iterable[Missing]) -> Counter[str]:
    """How many of these each key has."""
    connection = connections[Change.objects.all().db]
    at_once: list[Missing] = []
    counts: Counter[str] = Counter()
    for each in missing:
        if connection.vendor == "postgresql" and kind in PLACES and (each.key or kind != "sha256"):
            at_once.append(each)
        else:
            rows = of_source(within([(each.low, each.high)]), backfill=each.backfill)
            counts[each.key] += having(rows, kind, each.key)
    return counts + by_index(connection, kind, at_once) if at_once else counts


def by_index(connection: BaseDatabaseWrapper, kind: str, missing: list[Missing]) -> Counter[str]:
    same, condition = PLACES[kind]
    columns = [[getattr(each, name) for each in missing] for name in ("key", "low", "high", "backfill")]
    with connection.cursor() as db:
        db.execute(STATEMENT.format(same=same, condition=condition), columns)
        return Counter({key: int(number) for key, number in db})
