"""What a walk saw as quarantined, in batches, each looked at again before it is recorded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched

from quarantine import look
from quarantine.look import Looked
from quarantine.mxc import Mxc
from quarantine.walk import Window

BATCH = 500  # candidates confirmed at once: how long the ledger's lock is held


@dataclass(frozen=True, slots=True)
class Part:
    """Candidates that are confirmed at once. `stop`: where the walk is after them; None where these windows saw more."""

    keys: Sequence[Mxc]
    stop: int | None
    scanned: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A part, looked at again."""

    part: Part
    looked: Looked


def look_again(part: Part) -> Seen:
    return Seen(part, look.look_at(part.keys, lacking=True))


def parts(windows: Iterable[Window]) -> Iterator[Part]:
    """Batches of candidates; the last of some windows' goes with all the rows they read."""
    for some in in_batches(windows):
        keys = [key for window in some for key in window.keys]
        *others, last = list(batched(keys, BATCH)) or [()]
        yield from (Part(each, None, 0) for each in others)
        yield Part(last, some[-1].stop, sum(window.scanned for window in some))


def in_batches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Windows together as long as they hold no more than a batch of candidates."""
    some: list[Window] = []
    held = 0
    for window in windows:
        if some and held + len(window.keys) > BATCH:
            yield some
            some, held = [], 0
        some.append(window)
        held += len(window.keys)
    if some:
        yield some
