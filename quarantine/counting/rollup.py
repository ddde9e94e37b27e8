"""Adding the ledger up, block by block, so that any range of it can be counted without reading it.

Positions follow commit order, without gaps, and a change never changes: a block of positions below
the head is complete, and its sums hold for ever. So they need no part of the ledger's lock: they are
counted outside any transaction, and stored in one that moves `RolledUp.end` along, if nobody was quicker.
A crash anywhere leaves a block counted or not counted, never half or twice.

Larger blocks are made of smaller ones. Of origins, uploaders, hashes and actors a block keeps the busiest;
where a smaller block left some out, the larger one is counted from the rows again. A larger block has hours
only if they are few: a backfill puts millions of changes into one, and a day of it must not be thousands of blocks.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connections, transaction

from quarantine import ledger
from quarantine.counting.grouping import HOUR, KEYED
from quarantine.counting.tallies import KINDS, Counts, busiest, count
from quarantine.fold import LedgerError
from quarantine.models import RolledUp, Tally

logger = logging.getLogger(__name__)

SIZES = (4_096, 65_536, 1_048_576)  # positions; each a multiple of the one before
KEPT = 400  # keys of a kind
HOURS = 48  # that a larger block may have
SOURCES = (False, True)  # whether of backfill
LOOK_EVERY = 5.0  # seconds


def ends() -> dict[int, int]:
    """Size of a block -> the position up to which (exclusive) there are such blocks."""
    done = dict(RolledUp.objects.values_list("size", "end"))
    return {size: done.get(size, 0) for size in SIZES}


def roll_up(
    *, stop: Callable[[], bool] = lambda: False, progress: Callable[[int, int], None] = lambda *_: None
) -> None:
    """Add up every block that is complete by now, or as many as there is time for. Block by block: safe to interrupt."""
    RolledUp.objects.bulk_create([RolledUp(size=size) for size in SIZES], ignore_conflicts=True)
    head = ledger.current().head
    while not stop() and (block := next_block(head)) is not None:
        size, start = block
        redactions = ledger.current().redactions
        store(size, start, list(summaries(size, start)), redactions=redactions)
        progress(min(ends()[SIZES[0]], head), head)


def next_block(head: int) -> tuple[int, int] | None:
    """Size and start of a block that can be added up now, the largest first; None when all are."""
    done = ends()
    below = dict(zip(SIZES[1:], SIZES, strict=False))
    for size in reversed(SIZES):
        start = done[size]
        there = done[below[size]] if size in below else head + 1
        if start + size <= there:
            return size, start
    return None


def store(size: int, start: int, tallies: Sequence[Tally], *, redactions: int | None) -> bool:
    """Keep a block's tallies; False if another process did, or if personal data was blanked after so many `redactions`."""
    with transaction.atomic():
        first = RolledUp.objects.filter(size=size, end=start).update(end=start + size) == 1
        # Looked at with that row held: see redaction.forget_in_sums.
        current = ledger.current().redactions == redactions
        if first and current:
            Tally.objects.bulk_create(tallies)
        transaction.set_rollback(not current)
    return first and current


def summaries(size: int, start: int) -> Iterator[Tally]:
    """A block's tallies; what has no key has none."""
    sums = {} if size == SIZES[0] else merged(size, start)
    missing = [kind for kind in KINDS if any((backfill, kind) not in sums for backfill in SOURCES)]
    there = [backfill for backfill in SOURCES if not sums or sums[backfill, "week"].counts]
    counted = count([(start, start + size)], missing, sources=there, most=KEPT) if missing else {}
    for (backfill, kind), each in (counted | sums).items():
        if each.counts:
            yield Tally(
                size=size, start=start, kind=kind, backfill=backfill, counts=dict(each.counts), floor=each.floor
            )


def merged(size: int, start: int) -> dict[tuple[bool, str], Counts]:
    """The sums of the smaller blocks within, of the kinds of which none left a key out. Without hours where they are many."""
    smaller = SIZES[SIZES.index(size) - 1]
    parts = Tally.objects.filter(size=smaller, start__in=range(start, start + size, smaller))
    sums = {(backfill, kind): Counts() for backfill in SOURCES for kind in KINDS}
    for part in parts:
        each = sums[part.backfill, part.kind]
        each.counts.update(part.counts)
        each.floor += part.floor
    for backfill in SOURCES:
        if not few_hours(sums[backfill, HOUR].counts, changes=sums[backfill, "week"].counts.total()):
            sums[backfill, HOUR] = Counts()
    whole = {key: each for key, each in sums.items() if not each.floor}
    return {key: busiest(each.counts, KEPT) if key[1] in KEYED else each for key, each in whole.items()}


def few_hours(counts: Counter[str], *, changes: int) -> bool:
    """Whether every change is in one of these hours, and they are no more than a larger block keeps."""
    return counts.total() == changes and len({key[:13] for key in counts}) <= HOURS


@dataclass
class RollUp:
    """Beside the follower, in a thread of its own: the feed goes on while a large block is added up."""

    stop: threading.Event
    thread: threading.Thread | None = field(default=None, init=False)
    looked: float = field(default=float("-inf"), init=False)

    def tick(self) -> None:
        """Start adding up if a block is complete. Called each turn of the follower."""
        if time.monotonic() - self.looked < LOOK_EVERY or (self.thread and self.thread.is_alive()):
            return
        self.looked = time.monotonic()
        if next_block(ledger.current().head) is not None:
            self.thread = threading.Thread(target=self.run, name="roll-up")
            self.thread.start()

    def run(self) -> None:
        """The whole thread: a failure is logged, and tried again at the next turn."""
        try:
            roll_up(stop=self.stop.is_set)
        except (LedgerError, DatabaseError, InterfaceError) as error:
            logger.warning("Adding up for the insights stopped (%s). Nothing is lost; it is tried again.", error)
        finally:
            connections.close_all()
