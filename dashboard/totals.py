"""The totals above the insights' chart."""

from dataclasses import dataclass

from dashboard.figures import Figures
from dashboard.text import counted, percent
from quarantine.models import Cause
from quarantine.tallies import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    label: str
    value: str
    note: str = ""
    rises: bool | None = None  # compared with the period before; None: neither
    href: str = ""


def tiles(told: Figures) -> list[Tile]:
    quarantined, released = told.of(1)["quarantined"], told.of(1)["released"]
    by_hash = told.of(3, state="quarantined")[Cause.HASH]
    waits = told.found.sums("held")
    return [
        compared(told, "Quarantined", "quarantined", quarantined),
        compared(told, "Released", "released", released),
        Tile(
            label="By hash match",
            value=f"{by_hash:,}",
            note=f"{percent(by_hash, quarantined)} of quarantines" if quarantined else "No quarantines",
            href=told.link(("state", "quarantined"), ("cause", "hash")),
        ),
        Tile(
            label="Median time to release",
            value=about(median(waits)) if waits else "Not known",
            note=f"of {counted(waits.total(), 'release')} watched"
            if waits
            else "No release was watched from its quarantine",
        ),
    ]


def compared(told: Figures, label: str, state: str, number: int) -> Tile:
    before = (
        None
        if told.before is None
        else sum(count for key, count in told.before.sums("day").items() if key.split("|")[1] == state)
    )
    note, rises = difference(number, before)
    return Tile(label=label, value=f"{number:,}", note=note, rises=rises, href=told.link(("state", state)))


def difference(number: int, before: int | None) -> tuple[str, bool | None]:
    if before is None:
        return "Nothing earlier to compare with", None
    if number == before:
        return "As many as in as much time before", None
    if not before:
        return "None in as much time before", True
    change = round(100 * abs(number - before) / before)
    size = f"{change:,}%" if change else "Under 1%"
    return f"{size} {'more' if number > before else 'fewer'} than {before:,} in as much time before", number > before


def median(sums: dict[str, int]) -> float:
    """In seconds, to a twentieth: durations are kept in steps of a tenth."""
    middle, passed = sum(sums.values()) / 2, 0
    for key, number in sorted(sums.items(), key=lambda row: int(row[0])):
        passed += number
        if passed >= middle:
            return seconds(key)
    return 0.0


def about(length: float) -> str:
    for most, unit, name in ((90, 1, "s"), (5_400, 60, "min"), (172_800, 3_600, "h")):
        if length < most:
            return f"about {round(length / unit)} {name}"
    return f"about {round(length / 86_400):,} days"
