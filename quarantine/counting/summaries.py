"""What the ledger adds up to, from counters and positions: nothing here counts rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections
from django.db.models.expressions import RawSQL

from quarantine.ledger import JUMP, left_out
from quarantine.models import Category, Change, Ledger

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
FRESH = timedelta(minutes=1)  # the follower reads every few seconds
# Written out: the ORM would put it together anew for each page, which takes half a millisecond.
LABELS = f"SELECT {{together}}(slug || ':' || label, '|') FROM {Category._meta.db_table}"  # noqa: S608 - a name of a table
TOGETHER = {"postgresql": "string_agg", "sqlite": "group_concat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand, as far as the ledger knows at `now`."""

    now: datetime
    head: int = 0
    changes: int = 0
    edition: str = ""  # of the ledger; empty: there is none yet
    categories: str = ""  # what the kinds of reasons are called by now: rows tell, and no edition does
    local: int = 0
    remote: int = 0
    last_day: int = 0
    read_at: datetime | None = None  # when the homeserver's feed was last read to its end
    review_due: bool = False

    @property
    def quarantined(self) -> int:
        return self.local + self.remote

    @property
    def day_ago(self) -> datetime:
        return self.now - DAY

    @property
    def stale(self) -> bool:
        """Whether more may have happened than the ledger can know of yet."""
        return self.read_at is None or self.now - self.read_at > FRESH


def standing(now: datetime) -> Standing:
    ledgers = Ledger.objects.all()
    labels = LABELS.format(together=TOGETHER[connections[ledgers.db].vendor])
    ledger = ledgers.annotate(categories=RawSQL(labels, [])).first()  # noqa: S611 - a constant
    if ledger is None:
        return Standing(now=now)
    first = Change.objects.first_position_at(now - DAY)
    return Standing(
        now=now,
        head=ledger.head,
        changes=ledger.changes,
        edition=ledger.edition,
        categories=ledger.categories or "",
        local=ledger.quarantined_local,
        remote=ledger.quarantined_remote,
        last_day=changes_from(first, ledger),
        read_at=ledger.feed_read_at,
        review_due=ledger.review_due,
    )


def changes_from(first: int | None, ledger: Ledger) -> int:
    if first is None:
        return 0
    number = max(ledger.head - first + 1, 0)
    return number - left_out(first, ledger.head) if ledger.left_out else number


# --- The changes of each hour -------------------------------------------------------------

FIRST = """
    SELECT (SELECT stream_id FROM quarantine_change WHERE seen_at >= moments.column2 ORDER BY seen_at, stream_id LIMIT 1)
    FROM (VALUES {moments}) AS moments ORDER BY moments.column1
"""


def last_hours(now: datetime) -> list[datetime]:
    """When each of the last 24 hours began, up to and with the one that is under way."""
    start = now.replace(minute=0, second=0, microsecond=0) - DAY + HOUR
    return [start + HOUR * number for number in range(DAY // HOUR)]


def hourly(now: datetime, *, head: int) -> list[int]:
    """How many changes each of the last 24 hours had."""
    return numbers_between(first_positions(last_hours(now)), head=head)


def first_positions(moments: Sequence[datetime]) -> list[int | None]:
    """The lowest position seen at or after each; None where there is none yet. One statement, a probe each."""
    connection = connections[Change.objects.all().db]
    numbered = [
        each
        for place, moment in enumerate(moments)
        for each in (place, connection.ops.adapt_datetimefield_value(moment))
    ]
    with connection.cursor() as db:
        db.execute(FIRST.format(moments=", ".join(["(%s, %s)"] * len(moments))), numbered)
        return [first for (first,) in db.fetchall()]


def numbers_between(firsts: Sequence[int | None], *, head: int) -> list[int]:
    """How many changes from each of these positions up to the next, the last one up to the head (inclusive)."""
    starts = [head + 1 if first is None else min(first, head + 1) for first in firsts]
    return [
        high - low if high - low < JUMP else high - low - left_out(low, high - 1)
        for low, high in zip(starts, [*starts[1:], head + 1], strict=True)
    ]
