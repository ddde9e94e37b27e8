"""Who does the work of actions, and when: at once where it is small, else a thread beside the follower."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError, connections
from django.utils.translation import gettext_noop

from quarantine.acting.actions import close, lock_of
from quarantine.acting.approvals import expire_late
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError, UnavailableError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.locks import only_one
from quarantine.models import Action, Work
from quarantine.performance import UNDER_WAY, Performer

logger = logging.getLogger(__name__)

TURN = 10  # batches, then another action has its turn
REST = 1.0  # of the time the homeserver works for a batch: it has other things to do
AT_ONCE = 20  # items that are not worth a wait for the process that follows
AT_ONCE_SECONDS = 5.0  # nor is a homeserver that takes longer worth a wait for its page
LONGEST_PAUSE = 30.0  # seconds
LOOK_EVERY = 0.5
# What is noted down is English; pages translate it (dashboard/recorded.py).
AWAY = gettext_noop("The homeserver's database can't be read ({error}).")
AGAIN = gettext_noop("Nothing is lost; it is tried again by itself.")
BROKEN = gettext_noop(
    "The dashboard itself failed here; its log says how. What is done is recorded, the rest can be resumed."
)


def attempt(action: Action, *, stop: threading.Event, rest: float = 0.0, turn: int | None = None) -> float | None:
    """Do the work as far as it goes. None, or the homeserver is away: in how many seconds to try again at the earliest.

    Does nothing if another process is at it.
    """
    with only_one(lock_of(action)) as ours:
        work = Work.objects.get(action=action)
        if not ours or work.status not in UNDER_WAY:
            return None
        try:
            Performer(action, gateway(), stop, rest, turn).go()
        except HomeserverAwayError as error:
            say(action, Work.Status.WAITING, f"{AWAY.format(error=error)} {AGAIN}")
            return 0.0
        except UnavailableError as error:
            say(action, Work.Status.WAITING, f"{error} {AGAIN}")
            return error.after
        except HomeserverError as error:
            close(action)
            say(action, Work.Status.STOPPED, str(error))
    return None


def say(action: Action, status: Work.Status, message: str) -> None:
    Work.objects.filter(action=action).update(status=status, message=message, updated_at=datetime.now(UTC))


def perform_if_small(action: Action) -> None:
    """Do a small action at once, if that takes no longer than people wait; else it is left to the process that follows."""
    if action.work.total > AT_ONCE:
        return
    stop = threading.Event()
    patience = threading.Timer(AT_ONCE_SECONDS, stop.set)
    patience.daemon = True
    patience.start()
    try:
        attempt(action, stop=stop)
    finally:
        patience.cancel()


@dataclass
class Worker:
    """Does what is waiting, each in turn, in a thread beside the follower: one such process lives anyway."""

    stop: threading.Event
    thread: threading.Thread | None = None
    not_before: float = float("-inf")  # on the monotonic clock
    failures: int = 0

    def tick(self) -> None:
        """Called each turn of the follower; raises what the ledger's absence raises."""
        if time.monotonic() < self.not_before or (self.thread and self.thread.is_alive()):
            return
        self.not_before = time.monotonic() + LOOK_EVERY
        expire_late()
        actions = due()
        if actions:
            self.thread = threading.Thread(target=self.run, args=[actions], name="actions")
            self.thread.start()

    def run(self, actions: Sequence[Action]) -> None:
        """The whole thread. What is wrong is in the work's own row, never the end of the follower."""
        try:
            waits = [self.one(action) for action in actions if not self.stop.is_set()]
        finally:
            connections.close_all()
        away = [wait for wait in waits if wait is not None]
        self.failures = min(self.failures + 1, 10) if away else 0
        pause = min(LONGEST_PAUSE, LOOK_EVERY * 2**self.failures)
        self.not_before = time.monotonic() + max([pause, *away])

    def one(self, action: Action) -> float | None:
        """As `attempt`. What nobody foresaw stops the action, ends the thread and is logged; the others go on next time."""
        foreseen = False
        try:
            again = attempt(action, stop=self.stop, rest=REST, turn=TURN)
            foreseen = True
        except (DatabaseError, InterfaceError) as error:
            logger.warning("An action stopped (%s). Nothing is lost; it is taken up again.", error)
            again, foreseen = 0.0, True
        finally:
            if not foreseen:
                say(action, Work.Status.STOPPED, BROKEN)
        return again


def due() -> list[Action]:
    waiting = Work.objects.filter(status__in=UNDER_WAY)
    return [work.action for work in waiting.select_related("action__staff").order_by("action")]
