"""Doing what an action asks for, through the homeserver, and stating what is then true.

Each media item is judged by the homeserver's row just before its call, committed as called with the
feed's end, called, and judged again after the feed was read. So whoever takes up the work of a
process that was killed repeats nothing and misses nothing. The `200 {}` of a call says nothing.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import Count

from quarantine import ledger
from quarantine.actions import Outcome, close, known_hash
from quarantine.follow import Follower
from quarantine.homeserver import feed as stream
from quarantine.homeserver import media
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import Homeserver, HomeserverError, UnknownMediaError
from quarantine.homeserver.media import HomeserverAwayError, Media
from quarantine.locks import only_one
from quarantine.models import Action, Change, Fate, Intent, State, Verb, Work
from quarantine.mxc import Mxc
from quarantine.plans import judge

logger = logging.getLogger(__name__)

BATCH = 20  # media items between two looks at what staff wish; what a crash leaves half-done
REST = 1.0  # of a batch's own time, for a homeserver that has other things to do
AT_ONCE = 20  # items that are not worth a wait for the process that follows
LOCKS = 64  # on SQLite each is a file
LONGEST_PAUSE = 30.0
LOOK_EVERY = 0.5  # seconds
TO_DO = (Fate.CALLED, Fate.PENDING)
WANTED = {Verb.QUARANTINE: State.QUARANTINED, Verb.RELEASE: State.RELEASED}


@dataclass
class Performer:
    """The work of one action, in this process. Whoever makes one holds the action's lock."""

    action: Action
    homeserver: Homeserver
    stop: threading.Event
    rest: float = 0.0
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self.follower = Follower(self.stop)
        self.verb = Verb(self.action.verb)

    def go(self) -> None:
        """Until it is over, or staff or the process want a stop. Whatever is raised, nothing is lost: go again."""
        self.note(status=Work.Status.RUNNING, message="")
        Work.objects.filter(action=self.action, started_at=None).update(started_at=datetime.now(UTC))
        while intents := self.next():
            if self.halted():
                return
            began = time.monotonic()
            self.perform(intents)
            self.note(message="", **self.progress())
            self.stop.wait((time.monotonic() - began) * self.rest)
        self.end(Work.Status.FINISHED)

    def next(self) -> list[Intent]:
        intents = Intent.objects.filter(action=self.action, fate__in=TO_DO)
        return list(intents.order_by("pk")[:BATCH])

    def halted(self) -> bool:
        """Whether staff or the end of this process stop it here; then it is said so."""
        wish = Work.objects.values_list("wish", flat=True).get(action=self.action)
        if wish == Work.Wish.CANCEL:
            close(self.action)
            self.end(Work.Status.CANCELLED)
        elif wish == Work.Wish.PAUSE:
            self.note(status=Work.Status.PAUSED, wish=Work.Wish.NONE)
        elif self.stop.is_set():
            self.note(status=Work.Status.WAITING)
        else:
            return False
        return True

    def perform(self, intents: list[Intent]) -> None:
        rows = media.read([intent.mxc for intent in intents])
        due = [intent for intent in intents if judge(rows.get(intent.mxc), self.verb) is Fate.CHANGED]
        if due:
            self.announce(due, rows)
            self.call(due)
            rows = media.read([intent.mxc for intent in intents])
        self.follower.reach(stream.newest_id())
        self.settle(intents, rows)

    def announce(self, due: list[Intent], rows: dict[Mxc, Media]) -> None:
        """Commit what is about to be called, and from where on the feed's rows are this action's."""
        head, generation = stream.newest_id(), ledger.current().feed_generation
        for intent in due:
            if intent.feed_head is None:  # else a killed process had announced it, and may have called
                intent.feed_head, intent.feed_generation = head, generation
            intent.fate, intent.matrix_user = Fate.CALLED, self.homeserver.user_id
            intent.sha256 = known_hash(rows[intent.mxc])
        Intent.objects.bulk_update(due, ["fate", "feed_head", "feed_generation", "matrix_user", "sha256"])

    def call(self, due: list[Intent]) -> None:
        """One call for each file: the homeserver follows its sha256 to all copies."""
        do = self.calls()
        followed: set[str] = set()
        for intent in due:
            if intent.sha256 in followed:
                continue
            try:
                do(intent.mxc)
            except UnknownMediaError:
                continue  # gone meanwhile; the look afterwards says so
            except HomeserverError as error:
                if error.retry or error.fatal:
                    raise
                intent.error = str(error)
            if intent.sha256 and self.verb in WANTED:
                followed.add(intent.sha256)

    def calls(self) -> Callable[[Mxc], None]:
        return {
            Verb.QUARANTINE: self.homeserver.quarantine,
            Verb.RELEASE: self.homeserver.release,
            Verb.PROTECT: self.homeserver.protect,
            Verb.UNPROTECT: self.homeserver.unprotect,
        }[self.verb]

    def settle(self, intents: list[Intent], rows: dict[Mxc, Media]) -> None:
        """State what became of each, from what is now true."""
        until = stream.newest_id()
        ours, others = self.recorded(intents)
        for intent in intents:
            mxc = intent.mxc
            called = intent.feed_head is not None
            fate = judge(rows.get(mxc), self.verb)
            if fate is Fate.CHANGED:  # it still would be
                fate = Fate.FAILED if intent.error else Fate.LEFT
            elif fate is Fate.ALREADY and (mxc in ours or (called and mxc not in others)):
                fate = Fate.CHANGED
            intent.fate = fate
            intent.feed_until = until if called else None
        Intent.objects.bulk_update(intents, ["fate", "error", "feed_until"])

    def recorded(self, intents: list[Intent]) -> tuple[set[Mxc], set[Mxc]]:
        """What the ledger says this action changed, and what it says somebody else brought into that state."""
        if self.verb not in WANTED:
            return set(), set()
        items = ledger.fetch_items([intent.mxc for intent in intents])
        changes = Change.objects.filter(action=self.action, media_id__in=[intent.media_id for intent in intents])
        ours = {change.mxc for change in changes}
        others = {mxc for mxc, item in items.items() if item.state == WANTED[self.verb] and mxc not in ours}
        return ours, others

    # --- What is told of it ---------------------------------------------------------------

    def progress(self) -> dict[str, object]:
        told = outcome_of(self.action)
        pending = Intent.objects.filter(action=self.action, fate__in=TO_DO).count()
        return {"outcome": asdict(told), "done": told.asked - pending}

    def end(self, status: Work.Status) -> None:
        self.note(status=status, wish=Work.Wish.NONE, ended_at=datetime.now(UTC), **self.progress())

    def note(self, **fields: object) -> None:
        Work.objects.filter(action=self.action).update(**fields, updated_at=datetime.now(UTC))


def outcome_of(action: Action) -> Outcome:
    fates = dict(Intent.objects.filter(action=action).values_list("fate").annotate(Count("pk")))
    changes = Change.objects.filter(action=action)
    changed = fates.get(Fate.CHANGED, 0)
    return Outcome(
        asked=sum(fates.values()),
        changed=changed,
        copies=max(0, changes.count() - changed),
        already=fates.get(Fate.ALREADY, 0),
        protected=fates.get(Fate.PROTECTED, 0),
        absent=fates.get(Fate.ABSENT, 0),
        left=fates.get(Fate.LEFT, 0),
        failed=fates.get(Fate.FAILED, 0),
    )


def attempt(action: Action, *, stop: threading.Event, rest: float = 0.0) -> bool:
    """Do the work as far as it goes; whether it should be tried again later, because the homeserver is away.

    Does nothing if another process is at it.
    """
    with only_one(f"action-{action.pk % LOCKS}") as ours:
        work = Work.objects.get(action=action)
        if not ours or work.status not in {Work.Status.WAITING, Work.Status.RUNNING}:
            return False
        try:
            Performer(action, gateway(), stop, rest).go()
        except HomeserverAwayError as error:
            return put_off(action, f"The homeserver's database can't be read ({error}).")
        except HomeserverError as error:
            if error.retry:
                return put_off(action, str(error))
            Work.objects.filter(action=action).update(
                status=Work.Status.STOPPED, message=str(error), updated_at=datetime.now(UTC)
            )
    return False


def put_off(action: Action, why: str) -> bool:
    message = f"{why} Nothing is lost; it is tried again by itself."
    Work.objects.filter(action=action).update(status=Work.Status.WAITING, message=message, updated_at=datetime.now(UTC))
    return True


def perform_if_small(action: Action) -> None:
    """Do a small action at once; a large one is left to the process that follows."""
    if action.work.total <= AT_ONCE:
        attempt(action, stop=threading.Event())


@dataclass
class Worker:
    """Does what is waiting, oldest first, in a thread beside the follower: one such process lives anyway."""

    stop: threading.Event
    thread: threading.Thread | None = None
    looked: float = float("-inf")
    failures: int = 0

    def tick(self) -> None:
        """Called each turn of the follower; raises what the ledger's absence raises."""
        pause = min(LONGEST_PAUSE, LOOK_EVERY * 2**self.failures)
        if time.monotonic() - self.looked < pause or (self.thread and self.thread.is_alive()):
            return
        self.looked = time.monotonic()
        actions = due()
        if actions:
            self.thread = threading.Thread(target=self.run, args=[actions], name="actions")
            self.thread.start()

    def run(self, actions: Sequence[Action]) -> None:
        """The whole thread. What is wrong is in the work's own row, never the end of the follower."""
        try:
            again = [attempt(action, stop=self.stop, rest=REST) for action in actions if not self.stop.is_set()]
            self.failures = min(self.failures + 1, 10) if any(again) else 0
        except (DatabaseError, InterfaceError) as error:
            logger.warning("An action stopped (%s). Nothing is lost; it is taken up again.", error)
        finally:
            self.looked = time.monotonic()
            connections.close_all()


def due() -> list[Action]:
    waiting = Work.objects.filter(status__in=[Work.Status.WAITING, Work.Status.RUNNING])
    return [work.action for work in waiting.select_related("action__staff").order_by("action")]
