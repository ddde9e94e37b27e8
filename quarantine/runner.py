"""Runs beside the follower: the nightly audit, and what an admin starts from the backfill page.

In a thread of their own, so that the feed goes on; by the process that follows, so that no web
process has to live as long as a run does.
"""

import logging
import threading
import time as clock
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from django.db import DatabaseError, InterfaceError, connections

from quarantine.backfill import Job
from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.locks import only_one
from quarantine.models import Leg, Run
from quarantine.walk import Pace

logger = logging.getLogger(__name__)

GENTLE = Pace(rest=0.5)
LOOK_EVERY = 2.0  # seconds


@dataclass
class Runner:
    """At most one run at a time. `audit_at` (UTC) is each day's; one missed because nobody followed is not made up for."""

    stop: threading.Event
    audit_at: time | None = None
    last_audit: date = field(init=False)
    thread: threading.Thread | None = field(default=None, init=False)
    looked: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        # Started after today's time: the next audit is tomorrow's.
        self.last_audit = now.date() if self.audit_at and now.time() >= self.audit_at else date.min

    def tick(self) -> None:
        """Start what is due. Called each turn of the follower; raises what the ledger's absence raises."""
        if clock.monotonic() - self.looked < LOOK_EVERY or (self.thread and self.thread.is_alive()):
            return
        self.looked = clock.monotonic()
        job = self.asked_for() or self.nightly()
        if job is not None:
            self.thread = threading.Thread(target=run, args=[job], name=job.kind)
            self.thread.start()

    def asked_for(self) -> Job | None:
        run = Run.objects.filter(status=Run.Status.REQUESTED).order_by("pk").first()
        if run is None:
            return None
        return Job(
            kind=Run.Kind(run.kind), over=list(run.legs.order_by("pk").values_list("over", flat=True)), stop=self.stop
        )

    def nightly(self) -> Job | None:
        now = datetime.now(UTC)
        if self.audit_at is None or now.date() <= self.last_audit or now.time() < self.audit_at:
            return None
        self.last_audit = now.date()
        return Job(kind=Run.Kind.AUDIT, over=Leg.Over.values, stop=self.stop, pace=GENTLE)


def run(job: Job) -> None:
    """The whole thread: a failure is logged and kept in the run's own row, never the end of the follower."""
    try:
        with only_one("walk") as ours:
            if not ours:
                logger.info("No %s now: a backfill or audit runs elsewhere.", job.kind)
                return
            report = job.go()
            logger.info("The %s recorded %s changes; %s rows read.", job.kind, report.recorded, report.scanned)
    except (LedgerError, HomeserverAwayError, DatabaseError, InterfaceError) as error:
        logger.warning("The %s stopped (%s). Nothing is lost; it can be resumed.", job.kind, error)
    finally:
        connections.close_all()
