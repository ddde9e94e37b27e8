"""Progress of anything that takes more than a second: a bar on a terminal, a line now and then otherwise."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 5.0  # seconds


class Report(Protocol):
    def __call__(self, what: str, done: int, total: int, detail: str = "", /) -> None:
        """`done` of `total` of this step, and what else there is to say of it; steps follow one another."""


@contextmanager
def reporting(titles: dict[str, str], *, stream: TextIO | None = None) -> Iterator[Report]:
    """Yield a function that shows how far a step is. `titles` names the steps in words."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield lines(titles, stream)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[detail]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=stream), transient=True) as bars:
        tasks = {what: bars.add_task(title, total=None, visible=False, detail="") for what, title in titles.items()}

        def report(what: str, done: int, total: int, detail: str = "", /) -> None:
            bars.update(tasks[what], completed=done, total=total, visible=True, detail=detail)

        yield report


def lines(titles: dict[str, str], stream: TextIO) -> Report:
    """One line when a step begins, one every few seconds while it takes long, and one when it ends."""
    said: dict[str, float] = {}
    ended: dict[str, tuple[int, str]] = {}

    def report(what: str, done: int, total: int, detail: str = "", /) -> None:
        now = time.monotonic()
        ends = done >= total and ended.get(what) != (done, detail)
        if ends or what not in said or now - said[what] >= LINE_EVERY:
            if ends:
                ended[what] = (done, detail)
            said[what] = now
            also = f", {detail}" if detail else ""
            print(f"{titles[what]}: {done:,} of {total:,}{also}", file=stream, flush=True)

    return report
