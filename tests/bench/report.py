"""What a benchmark says: our figure beside a peer's, from the same run, as a Markdown table."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line. `target` is the least (rates) or most (times, sizes) that `ratio` may be.

    Where the target is a figure and not a peer's, `theirs` is that figure: "60 ms".
    """

    what: str
    peer: str  # who was measured beside us: "upstream's query", "plain INSERT"
    ours: float
    theirs: float
    unit: str  # of both figures: "ms", "rows/s", "MB"
    target: str = ""  # ">= 5", "<= 0.1"; "" where there is none

    @property
    def ratio(self) -> float:
        """Ours over theirs; infinite where theirs is nothing."""
        return self.ours / self.theirs if self.theirs else float("inf")


def table(results: Sequence[Result]) -> str:
    """The lines in their order, as Markdown, ready for a terminal too."""
    head = ("what", "ours", "theirs", "unit", "ratio", "target", "peer")
    lines = [
        (one.what, figure(one.ours), figure(one.theirs), one.unit, figure(one.ratio), one.target, one.peer)
        for one in results
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    titles = "| " + " | ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)) + " |"
    return "\n".join([titles, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *rows])


def figure(number: float) -> str:
    """Three digits that matter."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
