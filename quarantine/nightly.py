"""The nightly audit: beside the follower, in a thread of its own, so that the feed goes on."""

import logging
import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time

from django.db import DatabaseError, connections

from quarantine.backfill import Job
from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.locks import only_one
from quarantine.models import Leg, Run
from quarantine.walk import Pace

logger = logging.getLogger(__name__)

GENTLE = Pace(rest=0.5)


@dataclass
class Nightly:
    """An audit each day at `at` (UTC). One that was missed because nobody followed then is not made up for."""

    at: time
    stop: threading.Event
    last: date | None = None
    thread: threading.Thread | None = field(default=None, init=False)

    def tick(self) -> None:
        """Start the audit when its time has come; call it every few seconds at most."""
        now = datetime.now(UTC)
        if self.last is None:
            # Started after today's time: the next one is tomorrow's.
            self.last = now.date() if now.time() >= self.at else date.min
        if now.date() > self.last and now.time() >= self.at and not self.running():
            self.last = now.date()
            self.thread = threading.Thread(target=self.audit, name="audit")
            self.thread.start()

    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def audit(self) -> None:
        try:
            with only_one("walk") as ours:
                if not ours:
                    logger.info("No audit tonight: a backfill or audit is running already.")
                    return
                report = Job(kind=Run.Kind.AUDIT, over=Leg.Over.values, stop=self.stop, pace=GENTLE).go()
                logger.info("Audit: %s recorded, %s rows read.", report.recorded, report.scanned)
        except (LedgerError, HomeserverAwayError, DatabaseError) as error:
            logger.warning("The audit stopped (%s). It goes on tomorrow night, or with: manage.py audit", error)
        finally:
            connections.close_all()
