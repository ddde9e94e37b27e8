"""Runs beside the follower: the nightly audit, and what an admin starts from the backfill page.

In a thread of their own, so that the feed goes on; by the process that follows, so that no web
process has to live as long as a run does.
"""

import logging
import threading
import time as clock
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from django.db import DatabaseError, InterfaceError, connections, transaction

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import require
from quarantine.backfill import LOCK, TABLES, Job
from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.locks import only_one
from quarantine.models import Access, Capability, Leg, Run, Staff
from quarantine.walk import Pace

logger = logging.getLogger(__name__)

GENTLE = Pace(rest=0.5)
LOOK_EVERY = 2.0  # seconds


def ask(kind: Run.Kind, *, staff: Staff) -> Run:
    """Have the process that follows begin a run, or go on with the unfinished one. NotAllowedError for whoever may not."""
    require(staff, Capability.BACKFILL)
    over = Leg.Over.values if kind is Run.Kind.AUDIT else TABLES
    now = datetime.now(UTC)
    with transaction.atomic():
        run = Run.objects.resumable(kind=kind, over=over)
        if run is None:
            run = Run.objects.create(
                kind=kind, status=Run.Status.REQUESTED, started_at=now, updated_at=now, staff=staff
            )
            Leg.objects.bulk_create([Leg(run=run, over=each) for each in over])
        elif run.status == Run.Status.REQUESTED or (run.status == Run.Status.RUNNING and not run.is_silent(now)):
            return run
        else:
            run.status, run.pause_asked, run.updated_at = Run.Status.REQUESTED, False, now
            run.save(update_fields=["status", "pause_asked", "updated_at"])
        record(Access.RUN_CONTROLLED, by=staff, target=f"{run.kind} {run.pk}", asked="start")
    return run


def pause(run: Run, *, staff: Staff) -> None:
    """Have a run stop where it is; it can go on later. NotAllowedError for whoever may not."""
    require(staff, Capability.BACKFILL)
    this = Run.objects.filter(pk=run.pk)
    with transaction.atomic():
        stopped = this.filter(status=Run.Status.REQUESTED).update(status=Run.Status.STOPPED)
        if stopped or this.filter(status=Run.Status.RUNNING, pause_asked=False).update(pause_asked=True):
            record(Access.RUN_CONTROLLED, by=staff, target=f"{run.kind} {run.pk}", asked="pause")


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
        with only_one(LOCK) as ours:
            if not ours:
                logger.info("No %s now: a backfill or audit runs elsewhere.", job.kind)
                return
            report = job.go()
            logger.info("The %s recorded %s changes; %s rows read.", job.kind, report.recorded, report.scanned)
    except (LedgerError, HomeserverAwayError, DatabaseError, InterfaceError) as error:
        logger.warning("The %s stopped (%s). Nothing is lost; it can be resumed.", job.kind, error)
    finally:
        connections.close_all()
