"""Doing what an action asks for, through the homeserver, and stating what is then true.

Each media item is judged by the homeserver's row before its call, committed as called with the feed's
end, called, and judged again after the feed was read. So whoever takes up the work of a process that
was killed repeats nothing and misses nothing. The `200 {}` of a call says nothing.

One batch at a time, whichever process does it: of two actions on the same media the second then
finds it done, instead of leaving two rows in the feed that nobody can tell apart. The homeserver
is no slower for it (107 calls/s one at a time, 96/s with eight).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TypedDict

from django.db.models import Count
from django.utils.translation import gettext_noop

from quarantine import ledger
from quarantine.acting.actions import Outcome, change, close, known_hash
from quarantine.acting.plans import judge
from quarantine.follow import Follower
from quarantine.homeserver import feed as stream
from quarantine.homeserver import media
from quarantine.homeserver.gateway import (
    Homeserver,
    HomeserverError,
    TroubleError,
    UnavailableError,
    UnknownMediaError,
)
from quarantine.homeserver.media import Media
from quarantine.locks import only_one
from quarantine.models import Action, Change, Fate, Intent, State, Verb, Work
from quarantine.mxc import Mxc

BATCH = 20  # media items between two looks at what staff wish; what a crash leaves half-done
QUEUE_PATIENCE = 20.0  # seconds to wait for the batch of another action
TAKEN = gettext_noop("Another action is under way.")
TO_DO = (Fate.CALLED, Fate.PENDING)
UNDER_WAY = {Work.Status.WAITING, Work.Status.RUNNING}
WANTED = {Verb.QUARANTINE: State.QUARANTINED, Verb.RELEASE: State.RELEASED}


class Progress(TypedDict):
    """Fields of Work."""

    outcome: dict[str, int]
    done: int


@dataclass
class Performer:
    """The work of one action, in this process. Whoever makes one holds the action's lock."""

    action: Action
    homeserver: Homeserver
    stop: threading.Event
    rest: float = 0.0
    turn: int | None = None  # batches, at most
    follower: Follower = field(init=False)
    calling: float = field(default=0.0, init=False)  # seconds the homeserver worked for the batch under way
    generation: int = field(default=0, init=False)  # of the feed, and its newest id before the next call
    newest: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.follower = Follower(self.stop)
        self.verb = Verb(self.action.verb)

    def go(self) -> None:
        """Until it is over, the turn is, or staff or the process want a stop. Whatever is raised, nothing is
        lost: go again. Does nothing if staff paused or cancelled it meanwhile.
        """
        if not change(self.action, UNDER_WAY, status=Work.Status.RUNNING):
            return
        Work.objects.filter(action=self.action, started_at=None).update(started_at=datetime.now(UTC))
        self.recover()
        for _ in range(self.turn) if self.turn else count():
            if self.halted():
                return
            began, self.calling = time.monotonic(), 0.0
            if not self.batch():
                self.end(Work.Status.FINISHED)
                return
            rested = time.monotonic() - began - self.calling  # while our own work was done
            self.stop.wait(max(0.0, self.calling * self.rest - rested))
        if not self.halted():
            self.note(status=Work.Status.WAITING)

    def batch(self) -> bool:
        """Do the next few; whether there are more."""
        with only_one("acting", patience=QUEUE_PATIENCE) as ours:
            if not ours:
                raise UnavailableError(TAKEN)
            intents = list(Intent.objects.filter(action=self.action, fate__in=TO_DO).order_by("pk")[:BATCH])
            if intents:
                self.perform(intents)
        progress = self.progress()
        self.note(message="", **progress)
        return progress["done"] < self.action.work.total

    def recover(self) -> None:
        """Settle what was called when a process was killed or a call failed; what is not so yet waits again."""
        called = list(Intent.objects.filter(action=self.action, fate=Fate.CALLED).order_by("pk"))
        if not called or self.stop.is_set():
            return
        rows = media.read([intent.mxc for intent in called])
        self.follower.reach(stream.newest_id())
        ours, _ = self.recorded(called)  # was done, whatever somebody did since
        undone = [
            intent
            for intent in called
            if judge(rows.get(intent.mxc), self.verb) is Fate.CHANGED and intent.mxc not in ours
        ]
        self.settle([intent for intent in called if intent not in undone], rows)
        for intent in undone:
            intent.fate = Fate.PENDING
        Intent.objects.bulk_update(undone, ["fate"])
        self.note(**self.progress())

    def halted(self) -> bool:
        """Whether staff or the end of this process stop it here; then it is said so."""
        wish = Work.objects.values_list("wish", flat=True).get(action=self.action)
        if wish == Work.Wish.CANCEL:
            close(self.action)
            self.end(Work.Status.CANCELLED)
        elif wish == Work.Wish.PAUSE:
            return self.paused() or self.halted()
        elif self.stop.is_set():
            self.note(status=Work.Status.WAITING)
        else:
            return False
        return True

    def paused(self) -> bool:
        """False where staff wish something else by now."""
        close(self.action)
        still = Work.objects.filter(action=self.action, wish=Work.Wish.PAUSE)
        paused = {"status": Work.Status.PAUSED, "wish": Work.Wish.NONE, "message": ""}
        return bool(still.update(**paused, updated_at=datetime.now(UTC)))

    def perform(self, intents: list[Intent]) -> None:
        rows = media.read([intent.mxc for intent in intents])
        due = [intent for intent in intents if judge(rows.get(intent.mxc), self.verb) is Fate.CHANGED]
        if due:
            for intent in due:
                intent.sha256 = known_hash(rows[intent.mxc])
            try:
                self.call(due)
            except HomeserverError:
                self.recover()
                raise
            rows = media.read([intent.mxc for intent in intents])
        self.follower.reach(stream.newest_id())
        if not self.stop.is_set():  # else somebody recovers, who has the time to
            self.settle(intents, rows)

    def call(self, due: list[Intent]) -> None:
        """One call for each file: the homeserver follows its sha256 to all copies."""
        followed: set[str | None] = set()
        trouble: TroubleError | None = None
        answered = False
        self.generation, self.newest = ledger.current().feed_generation, stream.newest_id()
        for intent in due:
            if self.stop.is_set():
                return
            if intent.sha256 in followed:
                continue
            try:
                self.call_one(intent)
            except TroubleError as error:  # one bad item must not hold up the others
                trouble, intent.error = error, str(error)
            else:
                answered = answered or not intent.error
                followed |= {intent.sha256} - {None} if self.verb in WANTED and not intent.error else set()
        if trouble is not None and not answered:
            raise trouble

    def call_one(self, intent: Intent) -> None:
        """Announced before, and its window closed at once when it is answered: what others do while the next
        items have their turn is theirs, and a killed process leaves one window open at most.
        """
        self.announce(intent)
        began = time.monotonic()
        try:
            self.calls[self.verb](intent.mxc)
        except UnknownMediaError:
            pass  # gone meanwhile; the look afterwards says so
        except HomeserverError as error:
            if error.retry or error.fatal:
                raise
            intent.error = str(error)
        finally:
            self.calling += time.monotonic() - began
        intent.feed_until = self.newest = stream.newest_id()
        intent.save(update_fields=["feed_until", "error"])

    def announce(self, intent: Intent) -> None:
        """Commit what is about to be called, and from where on the feed's rows are this action's."""
        # One that is open still was announced by a killed process, or its call failed: it may have been done.
        still_open = intent.feed_head is not None and intent.feed_until is None
        if not still_open or intent.feed_generation != self.generation:
            intent.feed_head, intent.feed_until, intent.feed_generation = self.newest, None, self.generation
        intent.fate, intent.matrix_user = Fate.CALLED, self.homeserver.user_id
        intent.save(update_fields=["fate", "feed_head", "feed_until", "feed_generation", "matrix_user", "sha256"])

    @property
    def calls(self) -> dict[Verb, Callable[[Mxc], None]]:
        return {
            Verb.QUARANTINE: self.homeserver.quarantine,
            Verb.RELEASE: self.homeserver.release,
            Verb.PROTECT: self.homeserver.protect,
            Verb.UNPROTECT: self.homeserver.unprotect,
        }

    def settle(self, intents: list[Intent], rows: dict[Mxc, Media]) -> None:
        """State what became of each, from what is now true."""
        until = stream.newest_id()
        ours, others = self.recorded(intents)
        for intent in intents:
            mxc = intent.mxc
            called = intent.feed_head is not None
            fate = judge(rows.get(mxc), self.verb)
            if fate is Fate.CHANGED and not called:  # the copy that stood for it was gone: it is asked for next
                fate = Fate.PENDING
            elif fate is Fate.CHANGED:  # it still would be
                fate = Fate.FAILED if intent.error else Fate.LEFT
            elif fate is Fate.ALREADY and (mxc in ours or (called and mxc not in others)):
                fate = Fate.CHANGED
            intent.fate = fate
            if called and intent.feed_until is None:
                intent.feed_until = until
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

    def progress(self) -> Progress:
        told = outcome_of(self.action)
        pending = Intent.objects.filter(action=self.action, fate__in=TO_DO).count()
        return {"outcome": asdict(told), "done": told.asked - pending}

    def end(self, status: Work.Status) -> None:
        self.note(status=status, wish=Work.Wish.NONE, message="", ended_at=datetime.now(UTC), **self.progress())

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
