"""Geometry of the charts: numbers in, attributes of SVG out. No colours, no HTML."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

HEIGHT, TOP, BOTTOM = 250, 12, 228  # of a chart; its columns stand on BOTTOM
LEFT = 44  # room for the numbers of the scale
TICKS = 4
GAP = 1.5  # between two parts of a column
SHADES = 5  # of a heat map


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a column."""

    series: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    x: float
    width: float
    middle: float
    title: str
    href: str
    label: str = ""  # below it; not every column has room for one
    segments: list[Segment] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    width: int
    left: int = LEFT
    lines: list[tuple[float, int]]  # height and number of the scale
    columns: list[Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What one column shows: numbers by series, from below."""

    label: str
    title: str
    href: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def stacked(stacks: Sequence[Stack], *, width: int, labels: int) -> Chart:
    """Columns of the same scale, with no more than `labels` of them labelled."""
    top = scale(max((stack.total for stack in stacks), default=0))
    pitch = (width - LEFT) / max(len(stacks), 1)
    every = -(-len(stacks) // labels) if stacks else 1
    columns = [
        Column(
            x=round(LEFT + pitch * place + pitch * 0.2, 1),
            width=round(pitch * 0.6, 1),
            middle=round(LEFT + pitch * (place + 0.5), 1),
            title=stack.title,
            href=stack.href,
            label=stack.label if (len(stacks) - 1 - place) % every == 0 else "",
            segments=list(segments(stack.parts, top=top)),
        )
        for place, stack in enumerate(stacks)
    ]
    steps = range(0, top + 1, top // TICKS)
    return Chart(width=width, lines=[(height_of(number, top), number) for number in steps], columns=columns)


def segments(parts: dict[str, int], *, top: int) -> list[Segment]:
    """From below; something that happened once is seen, however tall the others are."""
    drawn, y = [], float(BOTTOM)
    for series, number in parts.items():
        if number:
            height = max((BOTTOM - TOP) * number / top - GAP, 1.5)
            y -= height
            drawn.append(Segment(series, round(y, 1), round(height, 1)))
            y -= GAP
    return drawn


def height_of(number: int, top: int) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * number / top, 1)


def scale(highest: int) -> int:
    """A round number not below it, that four steps of whole numbers lead to."""
    magnitude = 1
    while True:
        for step in (1, 2, 5):
            if step * magnitude * TICKS >= highest:
                return step * magnitude * TICKS
        magnitude *= 10


def shade(number: int, highest: int) -> int:
    """0 for nothing, else from 1 to SHADES; by the root, so that one busy hour doesn't blot out the others."""
    return math.ceil(SHADES * math.sqrt(number / highest)) if number else 0
