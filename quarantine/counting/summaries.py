"""What the ledger adds up to, from counters and positions: nothing here counts rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from quarantine.ledger import left_out
from quarantine.models import Change, Ledger

DAY = timedelta(hours=24)
FRESH = timedelta(minutes=1)  # the follower reads every few seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things stand, as far as the ledger knows at `now`."""

    now: datetime
    head: int = 0
    changes: int = 0
    edition: str = ""  # of the ledger; empty: there is none yet
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
    ledger = Ledger.objects.first()
    if ledger is None:
        return Standing(now=now)
    first = Change.objects.first_position_at(now - DAY)
    return Standing(
        now=now,
        head=ledger.head,
        changes=ledger.changes,
        edition=ledger.edition,
        local=ledger.quarantined_local,
        remote=ledger.quarantined_remote,
        last_day=0 if first is None else max(ledger.head - first + 1, 0) - left_out(first, ledger.head),
        read_at=ledger.feed_read_at,
        review_due=ledger.review_due,
    )
