"""The sums of a period, as numbers with links into the timeline, and the chart of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from dashboard.plots.charts import Chart, Stack, stacked
from dashboard.plots.periods import Bucket, Period, floor, moments
from dashboard.wording.text import mid_sentence, whole
from quarantine.counting import insights
from quarantine.counting.insights import LONG_KINDS, SHORT_KINDS
from quarantine.models import Cause, Change, Source, State

# Series of the chart, from below: label, and the filters that give just these changes.
SERIES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "people": (gettext_lazy("Quarantined"), [("state", "quarantined"), ("cause", "-hash"), ("source", "-backfill")]),
    "hash": (
        gettext_lazy("Quarantined by hash match"),
        [("state", "quarantined"), ("cause", "hash"), ("source", "-backfill")],
    ),
    "found": (gettext_lazy("Found already so"), [("state", "quarantined"), ("source", "backfill")]),
    "released": (gettext_lazy("Released"), [("state", "released")]),
    "deleted": (gettext_lazy("Deleted"), [("state", "deleted")]),
}
SOURCES = tuple(Source.values)

# By grain: the chart's title, and the name of one column.
PER = {
    "hour": gettext_lazy("Changes per hour"),
    "day": gettext_lazy("Changes per day"),
    "week": gettext_lazy("Changes per week"),
    "month": gettext_lazy("Changes per month"),
    "year": gettext_lazy("Changes per year"),
}
UNITS = {
    "hour": gettext_lazy("Hour"),
    "day": gettext_lazy("Day"),
    "week": gettext_lazy("Week"),
    "month": gettext_lazy("Month"),
    "year": gettext_lazy("Year"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of the chart's table."""

    bucket: Bucket
    href: str
    cells: list[tuple[int, str]]  # number and link, by series
    sources: list[tuple[int, str]]


@dataclass(kw_only=True)
class Figures:
    """Everything on the page, for one period."""

    period: Period
    found: insights.Period
    before: insights.Period | None
    grain: str
    first: datetime
    timeline: str = field(default_factory=partial(reverse, "timeline"))

    @property
    def title(self) -> str:
        return str(PER[self.grain])

    @property
    def unit(self) -> str:
        return str(UNITS[self.grain])

    @property
    def empty(self) -> bool:
        return not self.found.whats()

    # --- Sums -----------------------------------------------------------------------------

    @property
    def total(self) -> int:
        return self.found.whats().total()

    def of(self, place: int, *, state: str = "") -> Counter[str]:
        """By state (0), source (1), cause (2) or scope (3)."""
        sums: Counter[str] = Counter()
        for what, number in self.found.whats().items():
            parts = what.split("|")
            if not state or parts[0] == state:
                sums[parts[place]] += number
        return sums

    def link(self, *pairs: tuple[str, str], among: Sequence[tuple[str, str]] | None = None) -> str:
        """The timeline with just these changes of the period."""
        wanted = dict.fromkeys([*(self.period.pairs if among is None else among), *pairs])
        if ("source", "backfill") in wanted or any(name == "source" and value[0] != "-" for name, value in pairs):
            wanted.pop(("source", "-backfill"), None)
        return f"{self.timeline}?{urlencode(list(wanted))}"

    # --- The chart ------------------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        sums, width = self.found.moments()
        starts: dict[str, datetime] = {}
        counts: dict[datetime, Counter[str]] = {}
        for key, number in sums.items():
            when = key[:width]
            if when not in starts:
                starts[when] = floor(self.grain, moment_of(when))
                counts.setdefault(starts[when], Counter())
            counts[starts[when]][key[width + 1 :]] += number
        links = self.links()
        return [
            self.line(bucket, counts.get(bucket.start, Counter()), links)
            for bucket in self.period.buckets(self.grain, self.first)
        ]

    def links(self) -> dict[str, str]:
        """The end of a column's links: all of it, a series, a source."""
        outside = [] if self.period.backfill else [("source", "-backfill")]
        ends = {"": [], **{name: pairs for name, (_, pairs) in SERIES.items()}}
        ends |= {source: [("source", source)] for source in SOURCES}
        return {name: self.link(*pairs, among=outside).partition("?")[2] for name, pairs in ends.items()}

    def line(self, bucket: Bucket, whats: Counter[str], links: dict[str, str]) -> Line:
        after = max(bucket.start, self.period.after or bucket.start)
        before = min(bucket.end, self.period.before or bucket.end)
        inside = f"{self.timeline}?{urlencode(moments(after, before))}"
        counts: Counter[str] = Counter()
        for what, number in whats.items():
            state, source, cause, _ = what.split("|")
            counts[series_of(state, source, cause)] += number
            counts[source] += number

        def counted(name: str) -> tuple[int, str]:
            return counts[name], f"{inside}&{links[name]}" if counts[name] else ""

        return Line(
            bucket=bucket,
            href=f"{inside}&{links['']}" if links[""] else inside,
            cells=[counted(name) for name in SERIES],
            sources=[counted(source) for source in SOURCES],
        )

    def chart(self, lines: Sequence[Line], *, width: int, labels: int) -> Chart:
        stacks = [
            Stack(
                label=line.bucket.label,
                title=f"{line.bucket.name}: {in_words(line)}",
                href=line.href,
                parts=dict(zip(SERIES, (number for number, _ in line.cells), strict=True)),
            )
            for line in lines
        ]
        return stacked(stacks, width=width, labels=labels)


def figures(period: Period) -> Figures:
    """Count what the page shows."""
    first = Change.objects.order_by("stream_id").values_list("seen_at", flat=True).first() or period.now
    grain = period.grain(first)
    kinds = SHORT_KINDS if grain == "hour" else LONG_KINDS
    found = insights.period(period.after, period.before, backfill=period.backfill, kinds=kinds)
    before = None
    if period.previous and period.previous[1] > first:
        before = insights.period(*period.previous, backfill=period.backfill, kinds=("day",))
    return Figures(period=period, found=found, before=before, grain=grain, first=first)


def moment_of(when: str) -> datetime:
    """A day, or an hour: `2026-11-22 14`."""
    return datetime.fromisoformat(when if len(when) == 10 else f"{when}:00").replace(tzinfo=UTC)


def series_of(state: str, source: str, cause: str) -> str:
    if state != State.QUARANTINED:
        return state
    if source == Source.BACKFILL:
        return "found"
    return "hash" if cause == Cause.HASH else "people"


def in_words(line: Line) -> str:
    told = [
        f"{whole(number)} {mid_sentence(SERIES[name][0])}"
        for name, (number, _) in zip(SERIES, line.cells, strict=True)
        if number
    ]
    return ", ".join(told) or gettext("no changes")
