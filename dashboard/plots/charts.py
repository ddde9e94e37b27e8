"""Geometry of the charts: numbers in, attributes of SVG out. No colours, no HTML."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HEIGHT, TOP, BOTTOM = 250, 12, 228  # of a chart; its columns stand on BOTTOM
LEFT = 44  # room for the numbers of the scale
TICKS = 4
GAP = 1.5  # between two parts of a column
SHADES = 5  # of a heat map


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    x: float
    width: float
    middle: float
    title: str
    href: str
    label: str = ""  # below it; not every column has room for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    width: int
    left: int = LEFT
    lines: list[tuple[float, int]]  # height and number of the scale
    columns: list[Column]
    paths: list[tuple[str, str]]  # series and the outline of all its parts: one shape each, however many columns


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
        )
        for place, stack in enumerate(stacks)
    ]
    shapes: dict[str, list[str]] = {}
    for column, stack in zip(columns, stacks, strict=True):
        for series, y, height in segments(stack.parts, top=top):
            shapes.setdefault(series, []).append(f"M{column.x} {y}h{column.width}v{height}h-{column.width}z")
    steps = range(0, top + 1, top // TICKS)
    return Chart(
        width=width,
        lines=[(height_of(number, top), number) for number in steps],
        columns=columns,
        paths=[(series, "".join(outlines)) for series, outlines in shapes.items()],
    )


def segments(parts: dict[str, int], *, top: int) -> Iterator[tuple[str, float, float]]:
    """Series, upper end and height, from below; something that happened once is seen, however tall the others are."""
    y = float(BOTTOM)
    for series, number in parts.items():
        if number:
            height = max((BOTTOM - TOP) * number / top - GAP, 1.5)
            y -= height
            yield series, round(y, 1), round(height, 1)
            y -= GAP


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
