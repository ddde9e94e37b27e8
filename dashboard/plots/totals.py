"""The totals above the insights' chart."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_lazy, ngettext

from dashboard.plots.figures import Figures
from dashboard.wording.text import percent, whole
from quarantine.counting.tallies import seconds
from quarantine.models import Cause

ABOUT: tuple[tuple[int, int, Any], ...] = (  # seconds up to which, of which unit, in words
    (90, 1, gettext_lazy("about {number} s")),
    (5_400, 60, gettext_lazy("about {number} min")),
    (172_800, 3_600, gettext_lazy("about {number} h")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    label: str
    value: str
    note: str = ""
    rises: bool | None = None  # compared with the period before; None: neither
    href: str = ""


def tiles(told: Figures) -> list[Tile]:
    quarantined, released = told.of(0)["quarantined"], told.of(0)["released"]
    by_hash = told.of(2, state="quarantined")[Cause.HASH]
    waits = told.found.sums("held")
    return [
        compared(told, gettext("Quarantined"), "quarantined", quarantined),
        compared(told, gettext("Released"), "released", released),
        Tile(
            label=gettext("By hash match"),
            value=whole(by_hash),
            note=gettext("{share} of quarantines").format(share=percent(by_hash, quarantined))
            if quarantined
            else gettext("No quarantines"),
            href=told.link(("state", "quarantined"), ("cause", "hash")),
        ),
        Tile(
            label=gettext("Median time to release"),
            value=about(median(waits)) if waits else gettext("Not known"),
            note=ngettext("of {number} release watched", "of {number} releases watched", waits.total()).format(
                number=whole(waits.total())
            )
            if waits
            else gettext("No release was watched from its quarantine"),
        ),
    ]


def compared(told: Figures, label: str, state: str, number: int) -> Tile:
    before = (
        None
        if told.before is None
        else sum(count for key, count in told.before.sums("day").items() if key.split("|")[1] == state)
    )
    note, rises = difference(number, before)
    return Tile(label=label, value=whole(number), note=note, rises=rises, href=told.link(("state", state)))


def difference(number: int, before: int | None) -> tuple[str, bool | None]:
    if before is None:
        return gettext("Nothing earlier to compare with"), None
    if number == before:
        return gettext("As many as in as much time before"), None
    if not before:
        return gettext("None in as much time before"), True
    change = round(100 * abs(number - before) / before)
    share = gettext("{number}%").format(number=whole(change)) if change else gettext("Under 1%")
    rises = number > before
    said = (
        gettext("{share} more than {number} in as much time before")
        if rises
        else gettext("{share} fewer than {number} in as much time before")
    )
    return said.format(share=share, number=whole(before)), rises


def median(sums: dict[str, int]) -> float:
    """In seconds, to a twentieth: durations are kept in steps of a tenth."""
    middle, passed = sum(sums.values()) / 2, 0
    for key, number in sorted(sums.items(), key=lambda row: int(row[0])):
        passed += number
        if passed >= middle:
            return seconds(key)
    return 0.0


def about(length: float) -> str:
    for most, unit, said in ABOUT:
        if length < most:
            return str(said.format(number=round(length / unit)))
    days = round(length / 86_400)
    return ngettext("about {number} day", "about {number} days", days).format(number=whole(days))
