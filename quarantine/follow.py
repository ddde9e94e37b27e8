"""The loop that keeps the ledger up to date: feed, sweep, and patience when a database is away."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import InterfaceError, InternalError, OperationalError, connection, connections

from quarantine import feed, ledger
from quarantine.acting.actions import close_abandoned
from quarantine.homeserver import feed as stream
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.router import ALIAS
from quarantine.ledger import BlankedMeanwhileError, CursorMovedError
from quarantine.locks import only_one
from quarantine.models import OpenHole
from quarantine.sweep import Sweep

logger = logging.getLogger(__name__)

SWEEP_EVERY = 10.0  # seconds
HOLE_INTERVAL = 0.2  # seconds between reads while rows wait behind a hole
LONGEST_PAUSE = 30.0  # seconds between tries while a database is away
STANDBY_INTERVAL = 2.0  # seconds between tries for the lock
ONCE_PATIENCE = 10.0  # seconds
LEDGER_AWAY = (OperationalError, InterfaceError, InternalError)  # the last: failed over, and still read-only


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
    complete: bool = False  # read to the end that was there at the start (`once`) or at the last look
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
    role: str = ""  # what was last said of it: following or standing by
    checked: bool = False  # that this is the homeserver it is said to be, and that nobody dead has a claim on its feed
    also: Callable[[], None] = lambda: None  # called each turn

    def step(self) -> feed.Caught:
        """One step of the feed. Another process reading on or blanking something meanwhile is no failure: read again."""
        # As between two requests: a file that was replaced, or a server failed over, is met by a new connection.
        connections[ALIAS].close_if_unusable_or_obsolete()
        if not self.checked:
            feed.check_homeserver_name()
            close_abandoned()
            self.checked = True
        try:
            caught = feed.catch_up(self.reader)
        except (CursorMovedError, BlankedMeanwhileError):
            return feed.Caught(more=True)
        if caught.restored:
            logger.warning("The homeserver's feed was restored from a backup: comparing all we hold with it.")
        self.totals.recorded += caught.recorded
        self.totals.repeated += caught.repeated
        self.totals.late += caught.late
        self.totals.position = caught.position
        self.totals.complete = not caught.more and not caught.held_back
        return caught

    def settle(self) -> None:
        """Follow the feed to its safe end, so that the sweep never claims what the feed tells."""
        while self.step().more and not self.stop.is_set():
            pass

    def sweep_if_due(self) -> None:
        if time.monotonic() - self.swept_at >= SWEEP_EVERY:
            self.totals.swept += self.sweep.tick(self.settle).recorded
            self.swept_at = time.monotonic()

    def reach(self, target: int) -> None:
        """Read to that id of the feed, waiting for rows behind a hole for ten seconds at most."""
        deadline = None
        while not self.stop.is_set():
            caught = self.step()
            complete = caught.position >= target and not caught.more
            if complete or (deadline is not None and time.monotonic() > deadline):
                break
            if not caught.more:
                deadline = deadline or time.monotonic() + ONCE_PATIENCE
                self.stop.wait(HOLE_INTERVAL)

    def once(self) -> Totals:
        """Read to the newest id there is at the start, and sweep once."""
        target = stream.newest_id()
        self.reach(target)
        self.sweep_if_due()
        self.totals.complete = self.totals.position >= target
        self.tally()
        return self.totals

    def run(self, *, interval: float) -> None:
        """Until told to stop. A homeserver that is away is waited for; the ledger's errors are raised."""
        while not self.stop.is_set():
            try:
                wait = self.turn(interval=interval)
            except HomeserverAwayError as error:
                wait = self.pause("homeserver database", error)
            else:
                self.recover()
            self.stop.wait(wait)

    def turn(self, *, interval: float) -> float:
        """One turn of the loop; how long to wait before the next."""
        caught = self.step()
        if caught.more:
            return 0.0
        self.sweep_if_due()
        self.also()
        return min(HOLE_INTERVAL, interval) if caught.held_back else interval

    def pause(self, away: str, error: Exception) -> float:
        """How long to wait before the next try; one line when a database goes away, one when it is back."""
        if away != self.away:
            reason = str(error).strip().partition("\n")[0]
            logger.warning("The %s is away (%s). Nothing is lost; trying again, with growing pauses.", away, reason)
            self.away, self.failures = away, 0
        self.failures += 1
        return min(LONGEST_PAUSE, 0.5 * float(1 << min(self.failures, 10)))

    def recover(self) -> None:
        if self.away:
            logger.info("The %s is back.", self.away)
            self.away = ""

    def say(self, role: str) -> None:
        if role != self.role:
            logger.info(role)
            self.role = role

    def tally(self) -> None:
        self.totals.seconds = round(time.monotonic() - self.started, 3)
        held = ledger.current()
        self.totals.head = held.head
        self.totals.open_holes = OpenHole.objects.filter(generation=held.feed_generation).count()


def follow(*, stop: threading.Event, interval: float, also: Callable[[], None] = lambda: None) -> Totals:
    """Follow until told to stop; while another process follows, stand by and take over when it ends.

    When the ledger's database was away our lock may be another's: then we compete for it again.
    """
    follower = Follower(stop, also=also)
    while not stop.is_set():
        try:
            compete(follower, interval=interval)
        except LEDGER_AWAY as error:
            connection.close()
            stop.wait(follower.pause("ledger database", error))
    with suppress(*LEDGER_AWAY):
        follower.tally()
    return follower.totals


def compete(follower: Follower, *, interval: float) -> None:
    """Follow until told to stop, if nobody else does; otherwise wait a little."""
    with only_one("follow") as ours:
        if ours:
            follower.say("Following the homeserver's feed.")
            follower.run(interval=interval)
            return
    follower.recover()
    follower.say("Another process follows already; standing by.")
    follower.stop.wait(STANDBY_INTERVAL)


def follow_once(*, stop: threading.Event) -> Totals:
    return Follower(stop).once()
