"""The sums of a period, as numbers with links into the timeline, and the chart of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.humanize.templatetags.humanize import intcomma
from django.urls import reverse_lazy
from django.utils.translation import gettext, gettext_lazy

from dashboard.plots.charts import Chart, Stack, stacked
from dashboard.plots.periods import Bucket, Period, floor
from dashboard.wording.text import mid_sentence
from quarantine.counting import insights
from quarantine.counting.insights import LONG_KINDS, SHORT_KINDS
from quarantine.models import Cause, Change, Source, State

TIMELINE = reverse_lazy("timeline")
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
    timed: Counter[tuple[str, ...]] = field(default_factory=Counter)  # when, state, source, cause, scope

    def __post_init__(self) -> None:
        self.timed = split_keys(self.found)

    @property
    def title(self) -> str:
        return str(PER[self.grain])

    @property
    def unit(self) -> str:
        return str(UNITS[self.grain])

    @property
    def empty(self) -> bool:
        return not self.timed

    # --- Sums -----------------------------------------------------------------------------

    @property
    def total(self) -> int:
        return self.timed.total()

    def of(self, place: int, *, state: str = "") -> Counter[str]:
        """By state (1), source (2), cause (3) or scope (4)."""
        sums: Counter[str] = Counter()
        for key, number in self.timed.items():
            if not state or key[1] == state:
                sums[key[place]] += number
        return sums

    def link(self, *pairs: tuple[str, str], among: Sequence[tuple[str, str]] | None = None) -> str:
        """The timeline with just these changes of the period."""
        wanted = dict.fromkeys([*(self.period.pairs if among is None else among), *pairs])
        if ("source", "backfill") in wanted or any(name == "source" and value[0] != "-" for name, value in pairs):
            wanted.pop(("source", "-backfill"), None)
        return f"{TIMELINE}?{urlencode(list(wanted))}"

    # --- The chart ------------------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        counts: dict[datetime, Counter[str]] = {}
        starts: dict[str, datetime] = {}
        for (when, *what), number in self.timed.items():
            if when not in starts:
                starts[when] = floor(self.grain, moment_of(when))
            these = counts.setdefault(starts[when], Counter())
            these[series_of(*what)] += number
            these[what[1]] += number
        buckets = self.period.buckets(self.grain, self.first)
        return [self.line(bucket, counts.get(bucket.start, Counter())) for bucket in buckets]

    def line(self, bucket: Bucket, counts: Counter[str]) -> Line:
        inside = Period(
            after=max(bucket.start, self.period.after or bucket.start),
            before=min(bucket.end, self.period.before or bucket.end),
            now=self.period.now,
            preset="",
            backfill=self.period.backfill,
        )
        among = inside.pairs
        return Line(
            bucket=bucket,
            href=self.link(among=among),
            cells=[
                (counts[name], self.link(*pairs, among=among) if counts[name] else "")
                for name, (_, pairs) in SERIES.items()
            ],
            sources=[
                (counts[source], self.link(("source", source), among=among) if counts[source] else "")
                for source in Source.values
            ],
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


def split_keys(found: insights.Period) -> Counter[tuple[str, ...]]:
    sums = found.sums("hour") or found.sums("day")
    return Counter({tuple(key.split("|")): number for key, number in sums.items()})


def moment_of(when: str) -> datetime:
    """A day, or an hour: `2026-11-22 14`."""
    return datetime.fromisoformat(when if len(when) == 10 else f"{when}:00").replace(tzinfo=UTC)


def series_of(state: str, source: str, cause: str, _scope: str) -> str:
    if state != State.QUARANTINED:
        return state
    if source == Source.BACKFILL:
        return "found"
    return "hash" if cause == Cause.HASH else "people"


def in_words(line: Line) -> str:
    told = [
        f"{intcomma(number)} {mid_sentence(SERIES[name][0])}"
        for name, (number, _) in zip(SERIES, line.cells, strict=True)
        if number
    ]
    return ", ".join(told) or gettext("no changes")
