"""Records in order of their keys as CSV, JSON and NDJSON, newest first: streamed in constant memory.

Each page is read where all is that had been written when the export began: mostly from a replica, where there is one.
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from django.db.models import Model, QuerySet

from dashboard.exports.change_csv import csv_cell
from dashboard.exports.exports import CSV, JSON
from dashboard.replica import read_anywhere, up_to_date

PAGE = 500  # records at once


class Found(Protocol):
    """A valid filter over one kind of record."""

    def found(self) -> "QuerySet[Any]":
        """What matches, newest first."""


@dataclass(kw_only=True)
class PagedExport[Record: Model]:
    """One export. `chunks` may be advanced from any thread, one at a time."""

    filters: Found
    form: str
    name: str  # of the list in JSON
    columns: Sequence[str]
    to_json: Callable[[Record], dict[str, Any]]
    rows: int = field(default=0, init=False)  # exported so far

    def chunks(self) -> Generator[bytes]:
        """The whole file, newest first, a page of records at a time."""
        blocks = (self.lines(page) for page in self.pages())
        if self.form == CSV:
            yield (",".join(self.columns) + "\n").encode()
        if self.form != JSON:
            yield from blocks
            return
        yield f'{{"{self.name}":['.encode()
        separator = b"\n"
        for block in blocks:
            # A row ends in a line break, and JSON has none inside.
            yield separator + block.rstrip(b"\n").replace(b"\n", b",\n")
            separator = b",\n"
        yield b"\n]}\n"

    def pages(self) -> Iterator[list[Record]]:
        """All that match, PAGE at a time: no long transaction, no more than that in memory."""
        written, below = up_to_date(0).written, None
        while page := read_anywhere(partial(self.page, below), position=None, written=written):
            self.rows += len(page)
            yield page
            below = page[-1].pk

    def page(self, below: int | None, _alias: str) -> list[Record]:
        """The next records, none at the end."""
        older = self.filters.found() if below is None else self.filters.found().filter(pk__lt=below)
        return list(older[:PAGE])

    def lines(self, page: list[Record]) -> bytes:
        return "".join(map(self.line, page)).encode()

    def line(self, record: Record) -> str:
        row = self.to_json(record)
        if self.form == CSV:
            return ",".join(csv_cell(row[name], safe=True) for name in self.columns) + "\n"
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
