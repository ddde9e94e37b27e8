"""What happened in a period, from the sums of `rollup`: exact, at a price that hardly depends on its length.

A period is a range of positions. Whole blocks give their sums; what is left at both ends and above the last
block is counted from the rows, a few thousand at most. Where adding up lags behind, the newest changes
are left out, and that is said (`left_out`).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from heapq import nsmallest
from operator import or_

from django.db.models import Q

from quarantine import ledger
from quarantine.counting.grouping import HOUR, Range
from quarantine.counting.recounting import Missing, recount
from quarantine.counting.rollup import SIZES, SOURCES, ends
from quarantine.counting.tallies import KINDS, count
from quarantine.models import Change, MediaItem, Tally

LIVE_MOST = 40_000  # rows counted one by one
FIRST = 1  # position
LIVE_KEPT = 2_000  # keys of a kind of those
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
        bounds = Counter({key: low + unseen for key, low in sums.items() if key})
        for part in cut:
            bounds.subtract({key: part.floor for key in part.counts if key})
        most = number * CANDIDATES if cut else len(bounds)
        named = nsmallest(most + 1, bounds, key=lambda key: (-bounds[key], key))
        chosen = named[:most]
        exact = Counter({key: sums[key] for key in ["", *chosen]})
        exact.update(recount(kind, missing(exact, cut)))
        unknown = exact.pop("")
        rows = sorted(exact.items(), key=lambda row: (-row[1], row[0]))
        rest = max((bounds[key] for key in named[most:]), default=0)
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
        all_states = kind in {"actor", "reason"}
        return sum(n for what, n in self.whats().items() if all_states or what.startswith("quarantined|"))

    def moments(self) -> tuple[Counter[str], int]:
        """The changes of each hour or day, with all that is known of them; and how many letters of a key say when that is."""
        hours = self.sums(HOUR)
        return (hours, 13) if hours else (self.sums("day"), 10)

    def whats(self) -> Counter[str]:
        """The changes by state, source, cause and scope: `quarantined|feed|hash|local`."""
        if "what" not in self.summed:
            sums, width = self.moments()
            whats = self.summed["what"] = Counter()
            for key, number in sums.items():
                whats[key[width + 1 :]] += number
        return self.summed["what"]


def missing(keys: Iterable[str], cut: Sequence[Part]) -> Iterator[Missing]:
    """Where these keys were left out: neighbouring blocks together."""
    for key in keys:
        for backfill in SOURCES:
            ranges = sorted(
                each for part in cut if part.backfill == backfill and key not in part.counts for each in part.ranges
            )
            for low, high in joined(ranges):
                yield Missing(key=key, low=low, high=high, backfill=backfill)


def joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """The same positions in as few ranges as can be; they come in order."""
    start = end = None
    for low, high in ranges:
        if end is not None and start is not None and low != end:
            yield start, end
        if low != end:
            start = low
        end = high
    if end is not None and start is not None:
        yield start, end


def period(after: datetime | None, before: datetime | None, *, backfill: bool, kinds: Sequence[str]) -> Period:
    """What was seen from `after` (inclusive) until `before` (exclusive); without bounds, all there is.

    `hour` can be asked for only over a few days: where there are many, they are kept in the smallest blocks alone.
    """
    head = ledger.current().head
    low = position(after, otherwise=FIRST, head=head)
    high = max(position(before, otherwise=head + 1, head=head), low)
    return measure(low, high, backfill=backfill, kinds=kinds)


def position(moment: datetime | None, *, otherwise: int, head: int) -> int:
    if moment is None:
        return otherwise
    first = Change.objects.first_position_at(moment)
    return head + 1 if first is None else first


def measure(low: int, high: int, *, backfill: bool, kinds: Sequence[str]) -> Period:
    blocks, live = split(low, high, done=ends())
    live, left_out = bounded(live)
    sources = SOURCES[: 1 + backfill]
    found = Period(low=low, high=high - left_out, parts={kind: [] for kind in kinds}, left_out=left_out)
    for kind, part in stored(blocks, [kind for kind in kinds if kind != HOUR], sources):
        found.parts[kind].append(part)
    if HOUR in kinds:
        found.parts[HOUR].extend(hours(blocks, sources))
    for (source, kind), counted in count(live, kinds, sources=sources, most=LIVE_KEPT).items():
        found.parts[kind].append(Part(live, source, counted.counts, counted.floor))
    return found


def split(low: int, high: int, *, done: dict[int, int]) -> tuple[list[Range], list[Range]]:
    """A range as whole blocks (size and start), the largest that fit, and what is left, in order."""
    blocks: list[Range] = []
    live: list[Range] = []
    if low == FIRST and min(high, done[SIZES[0]]) >= SIZES[0]:
        low = 0  # nothing is there, and blocks begin there
    while low < high:
        fitting = [size for size in SIZES if low % size == 0 and low + size <= min(high, done[size])]
        if fitting:
            blocks.append((fitting[-1], low))
            low += fitting[-1]
            continue
        end = high if low >= done[SIZES[0]] else min(high, (low // SIZES[0] + 1) * SIZES[0])
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


def stored(blocks: Sequence[Range], kinds: Collection[str], sources: Collection[bool]) -> Iterator[tuple[str, Part]]:
    """What blocks keep of these kinds."""
    if not blocks:
        return
    starts: dict[int, list[int]] = {}
    for size, start in blocks:
        starts.setdefault(size, []).append(start)
    these = reduce(or_, (Q(size=size, start__in=some) for size, some in starts.items()))
    for tally in Tally.objects.filter(these, kind__in=kinds, backfill__in=sources):
        yield tally.kind, Part([(tally.start, tally.start + tally.size)], tally.backfill, tally.counts, tally.floor)


def hours(blocks: Sequence[Range], sources: Collection[bool]) -> Iterator[Part]:
    """The hours of these blocks; where one has too many to keep them, those of the smaller ones within."""
    while blocks:
        told: dict[int, list[tuple[str, Part]]] = {start: [] for _, start in blocks}
        for kind, part in stored(blocks, [HOUR, "week"], sources):
            told[part.ranges[0][0]].append((kind, part))
        lacking = []
        for size, start in blocks:
            sums = {HOUR: 0, "week": 0}
            for kind, part in told[start]:
                sums[kind] += sum(part.counts.values())
            if sums[HOUR] == sums["week"] or size == SIZES[0]:
                yield from (part for kind, part in told[start] if kind == HOUR)
            else:
                smaller = SIZES[SIZES.index(size) - 1]
                lacking += [(smaller, each) for each in range(start, start + size, smaller)]
        blocks = lacking


def media_with(sha256: str) -> int:
    """How many media items are known to have this hash, counted up to CLUSTER_MOST."""
    return MediaItem.objects.filter(sha256=sha256).order_by()[:CLUSTER_MOST].count()
