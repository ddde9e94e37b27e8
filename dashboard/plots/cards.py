"""The cards of the insights page below its chart: bars, and the hours of the week."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext, gettext_lazy, ngettext

from dashboard.plots.charts import shade
from dashboard.plots.figures import Figures
from dashboard.rows import SYSTEM
from dashboard.wording.terms import Term
from dashboard.wording.text import percent, whole
from quarantine.counting.insights import CLUSTER_MOST, Top, media_with
from quarantine.counting.tallies import seconds
from quarantine.models import Category, Cause, Source

SHOWN = 6
NOTHING = gettext_lazy("Nothing of the kind in this period.")
HELD: tuple[tuple[Any, float], ...] = (
    (gettext_lazy("Under 10 min"), 600),
    (gettext_lazy("10 min to 1 h"), 3_600),
    (gettext_lazy("1 to 6 h"), 21_600),
    (gettext_lazy("6 to 24 h"), 86_400),
    (gettext_lazy("1 to 7 days"), 604_800),
    (gettext_lazy("7 to 30 days"), 2_592_000),
    (gettext_lazy("Over 30 days"), float("inf")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    label: str
    number: int
    total: int
    longest: int
    href: str = ""
    note: str = ""
    mute: bool = False
    mono: bool = False

    @property
    def share(self) -> str:
        return percent(self.number, self.total)

    @property
    def width(self) -> float:
        """Of 100."""
        return round(100 * self.number / self.longest, 1) if self.longest else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Bars, and what they leave out."""

    slug: str
    title: str
    note: str
    bars: list[Bar]
    rest: list[tuple[str, int, str]] = field(default_factory=list)  # label, number, share
    remark: str = ""
    empty: Any = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An hour of the week."""

    hour: int
    number: int
    shade: int
    title: str


# --- Bars ---------------------------------------------------------------------------------


def cards(told: Figures) -> list[Card]:
    return [
        top_card(told, "origin", gettext("Top origins"), quarantined=True),
        top_card(told, "uploader", gettext("Top uploaders"), quarantined=True),
        choices_card(told, 2, "cause", gettext("Causes"), dict(Cause.choices)),
        top_card(told, "actor", gettext("Changed by"), quarantined=False),
        choices_card(told, 1, "source", gettext("How it is known"), dict(Source.choices)),
        reasons_card(told),
        hashes_card(told),
        held_card(told),
    ]


def top_card(told: Figures, kind: str, title: str, *, quarantined: bool) -> Card:
    top = told.found.top(kind, SHOWN)
    name = "by" if kind == "actor" else kind
    also = [("state", "quarantined")] if quarantined else []
    longest = max((number for _, number in top.rows), default=0)
    total = top.total + top.unknown
    bars = [
        Bar(
            label=gettext("System") if kind == "actor" and key == SYSTEM else key,
            number=number,
            total=total,
            longest=longest,
            href=told.link((name, str(Term(key, key))), *also),
        )
        for key, number in top.rows
    ]
    return Card(
        slug=kind,
        title=title,
        note=of_quarantines(total) if quarantined else of_changes(total),
        bars=bars,
        rest=rest(
            top, total=total, unknown=gettext("Uploader unknown") if kind == "uploader" else gettext("Not known")
        ),
        remark=uncertain(top),
    )


def of_changes(number: int) -> str:
    return ngettext("of {number} change", "of {number} changes", number).format(number=whole(number))


def of_quarantines(number: int) -> str:
    return ngettext("of {number} quarantine", "of {number} quarantines", number).format(number=whole(number))


def changes_in_words(number: int) -> str:
    return ngettext("{number} change", "{number} changes", number).format(number=whole(number))


def rest(top: Top, *, total: int, unknown: str = "") -> list[tuple[str, int, str]]:
    """What the bars leave out."""
    keys = top.other_keys
    others = gettext("All others")
    if keys is not None:
        others = ngettext("{number} other", "{number} others", keys).format(number=whole(keys))
    lines = [(others, top.others), (unknown, top.unknown if unknown else 0)]
    return [(label, number, percent(number, total)) for label, number in lines if number]


def uncertain(top: Top) -> str:
    if top.certain:
        return ""
    said = gettext("Each number is exact, but another may belong here: any that is not listed has at most {number}.")
    return said.format(number=whole(top.unseen))


def choices_card(told: Figures, place: int, name: str, title: str, labels: dict[str, Any]) -> Card:
    """Of a handful of values: all of them."""
    sums = told.of(place)
    rows = [(key, number) for key, number in sums.most_common() if number]
    longest = rows[0][1] if rows else 0
    bars = [
        Bar(
            label=str(labels.get(key, key)),
            number=number,
            total=told.total,
            longest=longest,
            href=told.link((name, key)),
            mute=key == Cause.UNKNOWN,
        )
        for key, number in rows
    ]
    return Card(slug=name, title=title, note=of_changes(told.total), bars=bars)


def reasons_card(told: Figures) -> Card:
    """What staff gave as the kind of reason; only what was done here has one."""
    top = told.found.top("reason", SHOWN)
    labels = Category.names()
    longest = max((number for _, number in top.rows), default=0)
    bars = [
        Bar(
            label=labels.get(key, key),
            number=number,
            total=top.total,
            longest=longest,
            href=told.link(("category", str(Term(key, key)))),
        )
        for key, number in top.rows
    ]
    return Card(
        slug="reason",
        title=gettext("Reasons"),
        note=ngettext(
            "of {number} change with a kind of reason", "of {number} changes with a kind of reason", top.total
        ).format(number=whole(top.total)),
        bars=bars,
        rest=rest(top, total=top.total),
        remark=gettext("Only what is done here has one."),
    )


def hashes_card(told: Figures) -> Card:
    """Files that came more than once."""
    top = told.found.top("sha256", SHOWN)
    rows = [(key, number) for key, number in top.rows if number > 1]
    bars = [
        Bar(
            label=key,
            number=number,
            total=top.total,
            longest=rows[0][1],
            href=told.link(("sha256", key), ("state", "quarantined")),
            note=copies(key),
            mono=True,
        )
        for key, number in rows
    ]
    return Card(
        slug="sha256",
        title=gettext("Files that came most often"),
        note=gettext("by sha256, quarantines"),
        bars=bars,
        remark=uncertain(top) if bars else "",
        empty=gettext("No file was quarantined twice in this period.")
        if top.unseen < 2
        else gettext("No file was quarantined more than {number} times in this period.").format(
            number=whole(top.unseen)
        ),
    )


def copies(sha256: str) -> str:
    """Media items of the ledger, not only of this period."""
    number = media_with(sha256)
    shown = whole(number) + ("+" if number == CLUSTER_MOST else "")
    return ngettext("{number} media item on record", "{number} media items on record", number).format(number=shown)


# --- Time to release ----------------------------------------------------------------------


def held_card(told: Figures) -> Card:
    sums = told.found.sums("held")
    numbers = [0] * len(HELD)
    for key, number in sums.items():
        numbers[next(place for place, (_, most) in enumerate(HELD) if seconds(key) < most)] += number
    rows = zip(HELD, numbers, strict=True) if sums else ()
    return Card(
        slug="held",
        title=gettext("Time from quarantine to release"),
        note=ngettext("of {number} release", "of {number} releases", sums.total()).format(number=whole(sums.total())),
        bars=[
            Bar(label=str(label), number=number, total=sums.total(), longest=max(numbers))
            for (label, _), number in rows
        ],
        remark=gettext(
            "Only media of which both was watched, each to the hour or better. Lengths are grouped in steps of a tenth."
        ),
        empty=gettext("No release in this period was watched from its quarantine on."),
    )


# --- Hours of the week --------------------------------------------------------------------


def week(told: Figures) -> list[tuple[str, list[Cell]]]:
    """Each day of the week with its hours, UTC."""
    sums = told.found.sums("week")
    highest = max(sums.values(), default=0)
    title = gettext("{day}, {hour}:00 to {hour}:59: {changes}")
    return [
        (
            str(day),
            [
                Cell(
                    hour=hour,
                    number=(number := sums[f"{place} {hour:02}"]),
                    shade=shade(number, highest),
                    title=title.format(day=day, hour=f"{hour:02}", changes=changes_in_words(number)),
                )
                for hour in range(24)
            ],
        )
        for place, day in enumerate(WEEKDAYS.values(), 1)
    ]


def busiest(days: Iterable[tuple[str, list[Cell]]]) -> str:
    cell = max((cell for _, cells in days for cell in cells), key=lambda cell: cell.number)
    return cell.title
