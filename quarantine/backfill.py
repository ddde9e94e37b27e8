"""Backfill and audit: one walk over the media tables, into the ledger.

What a walk sees is only a candidate: a snapshot is old by the time it is used. So every
candidate is read again by key, the feed is followed to its end, and the gate drops what has
moved since (`look`). The audit also looks at everything the ledger holds as quarantined:
what was released or deleted behind the feed's back.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import DatabaseError, connections, transaction

from quarantine import ledger, look
from quarantine.ahead import ahead
from quarantine.candidates import Seen, look_again, parts
from quarantine.entries import Entry
from quarantine.fold import LedgerError
from quarantine.follow import Follower
from quarantine.homeserver import media
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.router import ALIAS
from quarantine.ledger import Appended, BlankedMeanwhileError
from quarantine.look import Held, Looked
from quarantine.models import Ledger, Leg, OpenHole, Run, Source
from quarantine.walk import Pace, Walker, Window

MOST_PASSES = 2
TABLES = (Leg.Over.LOCAL, Leg.Over.REMOTE)
LOCK = "walk"  # one backfill or audit at a time: see locks.only_one


@dataclass(kw_only=True)
class Report:
    """What a run has done, over all its tables and resumptions."""

    run: int | None  # None: nothing was to be written
    table: str
    scanned: int
    found: int
    recorded: int
    already: int
    late: int
    passes: int
    open_holes: int
    longest_statement_ms: float
    seconds: float
    interrupted: bool  # stopped before the end: run it again to go on
    drift: int  # differences seen but not written


@dataclass(frozen=True, slots=True)
class LegCursor:
    """Moves a leg in the transaction that records what was found up to `position`."""

    leg: Leg
    position: int
    scanned: int
    found: int
    already: int

    def move(self, held: Ledger, done: Appended) -> None:
        self.count(recorded=done.recorded, still_so=done.recorded)
        self.leg.save()

    def count(self, *, recorded: int, still_so: int) -> None:
        self.leg.position = self.position
        self.leg.scanned += self.scanned
        self.leg.found += self.found
        self.leg.already += self.already
        self.leg.recorded += recorded
        self.leg.late += self.found - self.already - still_so


@dataclass(kw_only=True)
class Job:
    """One run in this process."""

    kind: Run.Kind
    over: Sequence[str]  # Leg.Over, in this order
    stop: threading.Event
    pace: Pace = field(default_factory=Pace)
    write: bool = True  # off: look and count, record nothing
    progress: Callable[[Leg, int, int], None] = lambda _leg, _position, _scanned: None  # rows read by this process
    run: Run = field(init=False)
    legs: list[Leg] = field(init=False)
    follower: Follower = field(init=False)
    began: float = field(default_factory=time.monotonic)
    drift: int = 0
    rows: int = 0  # read by this process

    def go(self, *, restart: bool = False) -> Report:
        """Follow the feed to its safe end, then walk. Whatever is raised, nothing is lost: run it again."""
        self.follower = Follower(self.stop)
        self.follower.once()
        self.open(restart=restart)
        status, message = Run.Status.FAILED, ""
        try:
            for leg in self.legs:
                self.walk(leg)
            status = Run.Status.FINISHED if all(leg.done for leg in self.legs) else Run.Status.STOPPED
        except (LedgerError, HomeserverAwayError, DatabaseError) as error:
            message = str(error)
            raise
        finally:
            self.close(status, message=message)
        return self.report()

    # --- The run's own row ----------------------------------------------------------------

    def open(self, *, restart: bool) -> None:
        """Take up the unfinished run of this kind over the same tables, or begin a new one."""
        now = datetime.now(UTC)
        holes = OpenHole.objects.filter(generation=ledger.current().feed_generation).count()
        fresh = Run(kind=self.kind, started_at=now, updated_at=now, open_holes=holes)
        if not self.write:
            self.run, self.legs = fresh, [Leg(run=fresh, over=over) for over in self.over]
            return
        with transaction.atomic():
            resumable = None if restart else Run.objects.resumable(kind=self.kind, over=self.over)
            if resumable is not None:
                self.run, self.legs = resumable, list(resumable.legs.order_by("pk"))
                self.resume(now)
                return
            Run.objects.unfinished().filter(kind=self.kind).update(status=Run.Status.ABANDONED, ended_at=now)
            fresh.save()
            self.run, self.legs = fresh, [Leg.objects.create(run=fresh, over=over) for over in self.over]

    def resume(self, now: datetime) -> None:
        """What was under way when it stopped was seen in another snapshot: its pass counts as broken."""
        self.run.status, self.run.message, self.run.pause_asked = Run.Status.RUNNING, "", False
        self.run.updated_at = now
        self.run.save()
        for leg in self.legs:
            if not leg.done and leg.position:
                leg.broken = True
                leg.save()

    def close(self, status: Run.Status, *, message: str) -> None:
        self.run.status, self.run.message = status, message
        self.run.seconds += time.monotonic() - self.began
        self.run.updated_at = datetime.now(UTC)
        self.run.ended_at = self.run.updated_at if status is Run.Status.FINISHED else None
        if self.write:
            self.run.save()

    def stopped(self) -> bool:
        return self.stop.is_set() or Run.objects.filter(pk=self.run.pk, pause_asked=True).exists()

    # --- The walk -------------------------------------------------------------------------

    def walk(self, leg: Leg) -> None:
        if leg.over == Leg.Over.HELD:
            self.walk_held(leg)
            return
        walker = Walker(leg.over, self.pace)
        while not leg.done and not self.stopped():
            began = time.monotonic()
            self.stretch(leg, walker)
            self.beat(leg, walker)
            if not leg.done:
                self.stop.wait((time.monotonic() - began) * self.pace.rest / (1 - self.pace.rest))

    def stretch(self, leg: Leg, walker: Walker) -> None:
        """As far as one snapshot reaches."""
        extent = walker.extent()
        if not leg.end or leg.identity != extent.identity:
            leg.position, leg.end, leg.identity, leg.broken = 0, extent.end, extent.identity, False
        windows = walker.stretch(
            start=leg.position, end=leg.end, stop=self.stop, seen=lambda window: self.seen(leg, window)
        )
        self.confirm(leg, windows)
        if leg.position < leg.end:
            # Rows may have moved between this snapshot and the next. SQLite's don't.
            leg.broken = connections[ALIAS].vendor == "postgresql"
        elif leg.broken and leg.passes < MOST_PASSES:
            leg.passes, leg.position, leg.broken = leg.passes + 1, 0, False
            leg.end = walker.extent().end
        else:
            leg.done = True

    def seen(self, leg: Leg, window: Window) -> None:
        self.rows += window.scanned
        self.progress(leg, window.stop, self.rows)

    def beat(self, leg: Leg, walker: Walker) -> None:
        """Say how far it has got."""
        leg.longest_statement_ms = round(max(leg.longest_statement_ms, walker.longest_ms), 1)
        if self.write:
            leg.save()
            so_far = self.run.seconds + time.monotonic() - self.began
            Run.objects.filter(pk=self.run.pk).update(updated_at=datetime.now(UTC), seconds=so_far)

    def confirm(self, leg: Leg, windows: list[Window]) -> None:
        """Look again at what these windows saw, batch by batch, and record it."""
        with ahead(map(look_again, parts(windows))) as looked:
            for seen in looked:
                self.record(leg, seen)

    def record(self, leg: Leg, seen: Seen) -> None:
        """Record what the ledger lacks and is still so. The leg moves with the last part of its windows."""
        again = leg.passes > 1  # what a further pass sees again was counted by the first
        part, already = seen.part, seen.looked.already
        cursor = LegCursor(
            leg,
            position=leg.position if part.stop is None else part.stop,
            scanned=part.scanned,
            found=len(part.keys) - already if again else len(part.keys),
            already=0 if again else already,
        )
        try:
            self.take(self.entries_of(seen.looked), cursor)
        except BlankedMeanwhileError:
            self.record(leg, look_again(part))

    def walk_held(self, leg: Leg) -> None:
        """The other direction: everything the ledger holds as quarantined, by position, up to the head at the start."""
        leg.end = leg.end or ledger.current().head
        for held in look.all_held(above=leg.position, up_to=leg.end):
            if self.stopped():
                break
            self.record_held(leg, held)
            self.rows += len(held.keys)
            self.progress(leg, held.position, self.rows)
        leg.done = leg.position >= leg.end
        if self.write:
            leg.save()

    def record_held(self, leg: Leg, held: Held) -> None:
        still = media.quarantined_of(held.keys)
        entries = self.entries_of(look.look_at([key for key in held.keys if key not in still]))
        cursor = LegCursor(leg, position=held.position, scanned=len(held.keys), found=len(entries), already=0)
        try:
            self.take(entries, cursor)
        except BlankedMeanwhileError:
            self.record_held(leg, held)

    def entries_of(self, looked: Looked) -> list[Entry]:
        """What is to be recorded of these media, as they are now."""
        source = Source.BACKFILL if self.kind == Run.Kind.BACKFILL else Source.AUDIT
        return look.entries_of(looked, settle=self.follower.settle, source=source)

    def take(self, entries: list[Entry], cursor: LegCursor) -> None:
        if self.write:
            ledger.append(entries, cursor=cursor)
            return
        self.drift += len(entries)
        cursor.count(recorded=0, still_so=len(entries))

    def report(self) -> Report:
        legs = self.legs
        tables = [leg.over for leg in legs if leg.over != Leg.Over.HELD]
        return Report(
            run=self.run.pk,
            table=tables[0] if len(tables) == 1 else "both",
            scanned=sum(leg.scanned for leg in legs),
            found=sum(leg.found for leg in legs),
            recorded=sum(leg.recorded for leg in legs),
            already=sum(leg.already for leg in legs),
            late=sum(leg.late for leg in legs),
            passes=max(leg.passes for leg in legs),
            open_holes=self.run.open_holes,
            longest_statement_ms=max(leg.longest_statement_ms for leg in legs),
            seconds=round(self.run.seconds, 3),
            interrupted=not all(leg.done for leg in legs),
            drift=self.drift,
        )
