"""The loop that keeps the ledger up to date: feed, sweep, and patience when a database is away."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, connection

from quarantine import feed, ledger
from quarantine.homeserver import feed as stream
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.ledger import CursorMovedError
from quarantine.locks import only_one
from quarantine.models import OpenHole
from quarantine.sweep import Sweep

logger = logging.getLogger(__name__)

SWEEP_EVERY = 10.0  # seconds
HOLE_INTERVAL = 0.2  # seconds between reads while rows wait behind a hole
LONGEST_PAUSE = 30.0  # seconds between tries while a database is away
STANDBY_INTERVAL = 2.0  # seconds between tries for the lock
ONCE_PATIENCE = 10.0  # seconds


@dataclass(kw_only=True)
class Totals:
    """What a follower has done since it started."""

    recorded: int = 0
    repeated: int = 0
    late: int = 0
    swept: int = 0  # found by the sweep
    position: int = 0
    head: int = 0
    open_holes: int = 0
    complete: bool = False  # read to the end that was there at the start (`once`)
    seconds: float = 0.0


@dataclass
class Follower:
    """One follower: its reader, its sweep, and how it has fared."""

    stop: threading.Event
    reader: Reader = field(default_factory=Reader)
    sweep: Sweep = field(default_factory=Sweep)
    totals: Totals = field(default_factory=Totals)
    started: float = field(default_factory=time.monotonic)
    swept_at: float = float("-inf")
    failures: int = 0
    away: str = ""  # the database being waited for
    checked: bool = False  # that this is the homeserver it is said to be
    also: Callable[[], None] = lambda: None  # called each turn

    def step(self) -> feed.Caught:
        """One step of the feed. Another process reading on meanwhile is no failure: read again."""
        if not self.checked:
            feed.check_homeserver_name()
            self.checked = True
        try:
            caught = feed.catch_up(self.reader)
        except CursorMovedError:
            return feed.Caught(more=True)
        if caught.restored:
            logger.warning("The homeserver's feed was restored from a backup: comparing all we hold with it.")
        self.totals.recorded += caught.recorded
        self.totals.repeated += caught.repeated
        self.totals.late += caught.late
        self.totals.position = caught.position
        self.totals.head = caught.head
        return caught

    def settle(self) -> None:
        """Follow the feed to its safe end, so that the sweep never claims what the feed tells."""
        while self.step().more and not self.stop.is_set():
            pass

    def sweep_if_due(self) -> None:
        if time.monotonic() - self.swept_at >= SWEEP_EVERY:
            self.totals.swept += self.sweep.tick(self.settle).recorded
            self.swept_at = time.monotonic()

    def once(self) -> Totals:
        """Read to the newest id there is at the start, for at most ten seconds, and sweep once."""
        target = stream.newest_id()
        while not self.stop.is_set():
            caught = self.step()
            self.totals.complete = caught.position >= target and not caught.more
            if self.totals.complete or self.elapsed() > ONCE_PATIENCE:
                break
            if not caught.more:
                self.stop.wait(HOLE_INTERVAL)
        self.sweep_if_due()
        held = ledger.current()
        self.totals.head = held.head
        self.totals.open_holes = OpenHole.objects.filter(generation=held.feed_generation).count()
        return self.ended()

    def run(self, *, interval: float) -> Totals:
        """Until told to stop. A database that is away is waited for with growing pauses."""
        while not self.stop.is_set():
            self.stop.wait(self.guarded(interval))
        return self.ended()

    def turn(self, *, interval: float) -> float:
        """One turn of the loop; how long to wait before the next."""
        caught = self.step()
        if caught.more:
            return 0.0
        self.sweep_if_due()
        self.also()
        return min(HOLE_INTERVAL, interval) if caught.held_back else interval

    def guarded(self, interval: float) -> float:
        """A turn, or a pause: one line when a database goes away, one when it is back."""
        try:
            wait = self.turn(interval=interval)
        except (HomeserverAwayError, OperationalError, InterfaceError) as error:
            return self.pause(error)
        if self.failures:
            logger.info("The %s is back; following again.", self.away)
            self.failures = 0
        return wait

    def pause(self, error: Exception) -> float:
        ours = not isinstance(error, HomeserverAwayError)
        if not self.failures:
            self.away = "ledger database" if ours else "homeserver database"
            reason = str(error).strip().partition("\n")[0]
            logger.warning(
                "The %s is away (%s). Nothing is lost; trying again, with growing pauses.", self.away, reason
            )
        if ours:
            connection.close()
        self.failures += 1
        return min(LONGEST_PAUSE, 0.5 * float(1 << min(self.failures, 10)))

    def ended(self) -> Totals:
        self.totals.seconds = round(self.elapsed(), 3)
        return self.totals

    def elapsed(self) -> float:
        return time.monotonic() - self.started


def follow(*, stop: threading.Event, interval: float, also: Callable[[], None] = lambda: None) -> Totals:
    """Follow until told to stop; while another process follows, stand by and take over when it ends."""
    announced = False
    while not stop.is_set():
        with only_one("follow") as ours:
            if ours:
                logger.info("Following the homeserver's feed.")
                return Follower(stop, also=also).run(interval=interval)
        if not announced:
            logger.info("Another process follows already; standing by.")
            announced = True
        stop.wait(STANDBY_INTERVAL)
    return Totals()


def follow_once(*, stop: threading.Event) -> Totals:
    return Follower(stop).once()
