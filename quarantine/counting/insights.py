"""What happened in a period, from the sums of `rollup`: exact, at a price that hardly depends on its length.

A period is a range of positions. Whole blocks give their sums; what is left at both ends and above the last
block is counted from the rows, a few thousand at most. Where adding up lags behind, the newest changes
are left out, and that is said (`left_out`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_

from django.db.models import Q

from quarantine import ledger
from quarantine.counting.rollup import SIZES, ends
from quarantine.counting.tallies import KINDS, Range, count, having
from quarantine.models import Change, MediaItem, Tally

LIVE_MOST = 80_000  # rows counted one by one
CANDIDATES = 3  # times as many keys are counted exactly as are shown
LONG_KINDS = tuple(kind for kind in KINDS if kind != "hour")
SHORT_KINDS = tuple(kind for kind in KINDS if kind != "day")
CLUSTER_MOST = 1_000  # media of one hash that are counted


@dataclass(slots=True)
class Part:
    """The sums of one block, or of all rows counted one by one, of one kind."""

    ranges: list[Range]
    backfill: bool
    counts: dict[str, int]
    floor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """The keys with most changes, each counted exactly, the empty key apart."""

    rows: list[tuple[str, int]]
    unknown: int  # of the empty key
    others: int  # changes of all other keys
    other_keys: int | None  # how many those are; None: not known
    unseen: int  # no other key has more than this
    certain: bool  # surely no other key belongs among these

    @property
    def total(self) -> int:
        """Of all keys but the empty one."""
        return sum(number for _, number in self.rows) + self.others


@dataclass(slots=True, kw_only=True)
class Period:
    """What was counted between two positions."""

    low: int
    high: int  # exclusive
    parts: dict[str, list[Part]] = field(default_factory=dict)
    left_out: int = 0  # newest changes that are not added up yet
    summed: dict[str, Counter[str]] = field(default_factory=dict)

    def sums(self, kind: str) -> Counter[str]:
        """All keys. Of the kinds of KEYED, only those that were kept."""
        if kind not in self.summed:
            self.summed[kind] = Counter()
            for part in self.parts.get(kind, ()):
                self.summed[kind].update(part.counts)
        return self.summed[kind]

    def top(self, kind: str, number: int) -> Top:
        """The `number` keys with most changes."""
        parts, sums = self.parts.get(kind, []), self.sums(kind)
        cut = [part for part in parts if part.floor]
        unseen = sum(part.floor for part in cut)
        bounds = {key: low + sum(part.floor for part in cut if key not in part.counts) for key, low in sums.items()}
        named = sorted((key for key in bounds if key), key=lambda key: (-bounds[key], key))
        chosen = named if not cut else named[: number * CANDIDATES]
        exact = {key: sums[key] + recount(kind, key, cut) for key in ["", *chosen]}
        unknown = exact.pop("")
        rows = sorted(exact.items(), key=lambda row: (-row[1], row[0]))
        rest = max((bounds[key] for key in named[len(chosen) :]), default=0)
        shown, more = rows[:number], rows[number:]
        others = self.changes(kind) - unknown - sum(count for _, count in shown)
        unseen = max(unseen, rest, *(count for _, count in more), 0)
        return Top(
            rows=shown,
            unknown=unknown,
            others=others,
            other_keys=None if cut else len(more),
            unseen=unseen,
            certain=not others or (len(shown) == number and unseen <= shown[-1][1]),
        )

    def changes(self, kind: str) -> int:
        """How many changes a kind is about: for origins, uploaders and hashes what was quarantined."""
        timed = self.sums("day") or self.sums("hour")
        all_states = kind in {"actor", "reason"}
        return sum(n for key, n in timed.items() if all_states or key.split("|")[1] == "quarantined")


def recount(kind: str, key: str, cut: Iterable[Part]) -> int:
    """How many have this key in the parts that left it out: a few in each, found by an index."""
    missing: dict[bool, list[Range]] = {}
    for part in cut:
        if key not in part.counts:
            missing.setdefault(part.backfill, []).extend(part.ranges)
    return sum(having(ranges, kind, key, backfill=backfill) for backfill, ranges in missing.items())


def period(after: datetime | None, before: datetime | None, *, backfill: bool, kinds: Sequence[str]) -> Period:
    """What was seen from `after` (inclusive) until `before` (exclusive); without bounds, all there is.

    `hour` can be asked for only over a few days: it is kept in the smallest blocks alone.
    """
    head = ledger.current().head
    low = position(after, otherwise=1, head=head)
    high = max(position(before, otherwise=head + 1, head=head), low)
    return measure(low, high, backfill=backfill, kinds=kinds)


def position(moment: datetime | None, *, otherwise: int, head: int) -> int:
    if moment is None:
        return otherwise
    first = Change.objects.first_position_at(moment)
    return head + 1 if first is None else first


def measure(low: int, high: int, *, backfill: bool, kinds: Sequence[str]) -> Period:
    done = ends()
    sizes = SIZES[:1] if "hour" in kinds else SIZES
    blocks, live = split(low, high, sizes=sizes, done=done)
    live, left_out = bounded(live)
    found = Period(low=low, high=high - left_out, parts={kind: [] for kind in kinds}, left_out=left_out)
    for part, kind in stored(blocks, kinds, backfill=backfill):
        found.parts[kind].append(part)
    for source in (False, True)[: 1 + backfill]:
        for kind, counted in count(live, kinds, backfill=source).items():
            found.parts[kind].append(Part(live, source, dict(counted.counts)))
    return found


def split(low: int, high: int, *, sizes: Sequence[int], done: dict[int, int]) -> tuple[list[Range], list[Range]]:
    """A range as whole blocks (size and start), the largest that fit, and what is left, in order."""
    blocks: list[Range] = []
    live: list[Range] = []
    while low < high:
        fitting = [size for size in sizes if low % size == 0 and low + size <= min(high, done[size])]
        if fitting:
            blocks.append((fitting[-1], low))
            low += fitting[-1]
            continue
        end = high if low >= done[sizes[0]] else min(high, (low // sizes[0] + 1) * sizes[0])
        live.append((low, end))
        low = end
    return blocks, live


def bounded(live: list[Range]) -> tuple[list[Range], int]:
    """No more rows than can be counted at once, the oldest, and how many are left out."""
    room, left_out = LIVE_MOST, 0
    kept: list[Range] = []
    for low, high in live:
        end = min(high, low + room)
        room -= end - low
        left_out += high - end
        if end > low:
            kept.append((low, end))
    return kept, left_out


def stored(blocks: Sequence[Range], kinds: Sequence[str], *, backfill: bool) -> Iterator[tuple[Part, str]]:
    if not blocks:
        return
    starts: dict[int, list[int]] = {}
    for size, start in blocks:
        starts.setdefault(size, []).append(start)
    these = reduce(or_, (Q(size=size, start__in=some) for size, some in starts.items()))
    tallies = Tally.objects.filter(these, kind__in=kinds)
    for tally in tallies if backfill else tallies.filter(backfill=False):
        yield Part([(tally.start, tally.start + tally.size)], tally.backfill, tally.counts, tally.floor), tally.kind


def media_with(sha256: str) -> int:
    """How many media items are known to have this hash, counted up to CLUSTER_MOST."""
    return MediaItem.objects.filter(sha256=sha256).order_by()[:CLUSTER_MOST].count()
