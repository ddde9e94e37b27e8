"""Changes as CSV, JSON and NDJSON: streamed in constant memory, newest first, the same bytes from both engines.

PostgreSQL renders the rows and joins some hundred at a time, in ranges of positions up to the head
at the start: no long transaction, no row of Python. SQLite, for small ledgers, goes page by page.
"""

import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property

import psycopg
from django.db import DatabaseError, connection
from django.db.models.expressions import RawSQL

from dashboard.exports.blocks import BlockReader
from dashboard.exports.change_csv import HEADER, cells_sql, csv_line
from dashboard.exports.change_json import CHANGE_SQL, change_text
from dashboard.replica import Place, leave_alone, up_to_date
from dashboard.search.filter_kinds import PositionFilter
from dashboard.search.filters import ChangeFilter
from quarantine.models import Change, ChangeQuerySet

CSV, JSON, NDJSON = "csv", "json", "ndjson"
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSON: "application/json", NDJSON: "application/x-ndjson"}
SPANS = (5_000, 50_000)  # positions a statement covers, at least and at most
STEP = 1_000  # positions whose rows are joined
PAGE = 500  # rows at once where Python renders them
BLOCK = 1024 * 1024  # bytes handed on at once, at most: each hand-over costs as much as making a hundred rows
HELD = [
    "stream_id", "origin", "media_id", "quarantined", "deleted", "seen_at", "not_before", "changed_by", "source", "cause",
    "action_id", "media_type", "media_length", "upload_name", "uploader", "sha256",
]  # fmt: skip

# A block per step. COPY would send row by row, which costs more than to join them; with CSV's quotes it is the other way.
JOINED = f"""
    SELECT block.rows, block.last, block.text
    FROM (SELECT generate_series(<high>::bigint, <low> + 1, -<step>) AS high) step CROSS JOIN LATERAL (
        SELECT count(*) AS rows, min(c.stream_id) AS last, string_agg({CHANGE_SQL}, %s) AS text
        FROM (SELECT c.* FROM <source>) c
    ) block WHERE block.rows > 0
"""  # noqa: S608 - our own names; values are parameters


class ExportFilter(ChangeFilter):
    """The timeline's filters, with a limit of its own: none, or up to a million."""

    limit = PositionFilter(label="Limit", highest=1_000_000)


@dataclass(kw_only=True)
class Export:
    """One export: what, in which form, how much. `chunks` may be advanced from any thread, one at a time."""

    filters: ExportFilter  # valid
    form: str
    head: int  # positions above this are not exported
    rows: int = field(default=0, init=False)  # exported so far
    last: int | None = field(default=None, init=False)  # position of the last row, as far as it is known

    @property
    def limit(self) -> int | None:
        limit: int | None = self.filters.value("limit")
        return limit

    @property
    def raw(self) -> bool:
        """CSV for programs: without the apostrophe that keeps a spreadsheet from calculating."""
        return bool(self.filters.value("raw"))

    @property
    def separator(self) -> str:
        """Between two rows. Lines of CSV bring their end along."""
        return {JSON: ",\n", NDJSON: "\n", CSV: ""}[self.form]

    def chunks(self) -> Generator[bytes]:
        """The whole file, in pieces of BLOCK bytes at most."""
        for text in self.texts():
            yield from (text[start : start + BLOCK] for start in range(0, len(text), BLOCK))

    def texts(self) -> Iterator[bytes]:
        if self.form == JSON:
            yield from self.json_array()
            return
        if self.form == CSV:
            yield HEADER
        for text in self.body():
            yield text if self.form == CSV else text + b"\n"

    def json_array(self) -> Iterator[bytes]:
        yield b'{"changes":['
        before = b"\n"
        for text in self.body():
            yield before + text
            before = b",\n"
        more = self.limit is not None and self.rows >= self.limit and self.remains()
        next_cursor = json.dumps(self.last if more else None)
        yield f'\n],"next_cursor":{next_cursor}}}\n'.encode()

    def remains(self) -> bool:
        """Whether there is anything older than the last row."""
        return self.last is not None and self.matching.filter(stream_id__lt=self.last).exists()

    @cached_property
    def matching(self) -> ChangeQuerySet:
        return self.filters.qs.filter(stream_id__lte=self.head)

    @property
    def below(self) -> int:
        """What is left is below this position."""
        if self.last is not None:
            return self.last
        return min(self.head + 1, self.filters.value("cursor") or self.head + 1)

    @property
    def left(self) -> int | None:
        """How many rows, at most."""
        return None if self.limit is None else self.limit - self.rows

    def body(self) -> Iterator[bytes]:
        """Some rows at a time, newest first, with separators between them."""
        return self.joined() if connection.vendor == "postgresql" else self.rendered()

    # --- PostgreSQL -----------------------------------------------------------------------

    def joined(self) -> Iterator[bytes]:
        """From a replica that is as far as the primary; should it fail, the primary goes on from there."""
        place = up_to_date(self.head)
        if place.is_replica:
            try:
                yield from self.ranges(place)
                return
            except (psycopg.Error, DatabaseError) as error:
                leave_alone(error)
        yield from self.ranges(Place())

    def ranges(self, place: Place) -> Iterator[bytes]:
        """Two at a time, each over a connection of its own: one is made while the other is read."""
        high, span, idle, begun = self.below - 1, SPANS[0], list[BlockReader](), deque[BlockReader]()
        with ExitStack() as stack:
            while begun or (high > 0 and self.left != 0):
                # With a limit, what is left of it is known only when the range before was read.
                while high > 0 and len(begun) < (2 if self.limit is None else 1):
                    reader = idle.pop() if idle else stack.enter_context(closing(BlockReader(place)))
                    low = max(0, high - span)
                    reader.begin(*self.range_sql(low=low, high=high))
                    begun.append(reader)
                    high = low
                reader, before = begun.popleft(), self.rows
                for block in reader.blocks():
                    self.rows, self.last = self.rows + block.rows, block.last
                    yield block.text
                span = next_span(span, rows=self.rows - before)
                idle.append(reader)

    def range_sql(self, *, low: int, high: int) -> tuple[str, Sequence[object]]:
        """Of positions above `low` (exclusive) to `high` (inclusive)."""
        step = STEP if self.limit is None else high - low
        statement, params = self.statement
        numbers = {"low": low, "high": high, "step": step, "left": high - low if self.left is None else self.left}
        for name, number in numbers.items():
            statement = statement.replace(f"<{name}>", str(number))
        return statement, params

    @cached_property
    def statement(self) -> tuple[str, Sequence[object]]:
        """With names for the numbers of a range: to make it anew for each costs as much as to read the range."""
        changes = self.within("<low>", "<high>", self.matching)
        if self.form != CSV:  # the range bounds the rows once more, for the planner: of steps it knows no size
            changes = self.within("step.high - <step>", "step.high", changes)
        inner, params = changes.order_by("-stream_id").values_list(*HELD).query.sql_with_params()
        held = ", ".join(f'"{name}"' for name in HELD)
        source = f"({inner} LIMIT <left>) AS c ({held}) ORDER BY c.stream_id DESC"
        if self.form == CSV:
            return f"COPY (SELECT {cells_sql(raw=self.raw)} FROM {source}) TO STDOUT (FORMAT csv)", params  # noqa: S608 - our own names; values are parameters
        return JOINED.replace("<source>", source), [self.separator, *params]

    @staticmethod
    def within(above: str, upto: str, changes: ChangeQuerySet) -> ChangeQuerySet:
        """Positions above one (exclusive) up to another (inclusive), in SQL of our own."""
        return changes.filter(stream_id__gt=RawSQL(above, []), stream_id__lte=RawSQL(upto, []))  # noqa: S611 - no stranger's

    # --- SQLite ---------------------------------------------------------------------------

    def rendered(self) -> Iterator[bytes]:
        while True:
            size = PAGE if self.left is None else min(PAGE, self.left)
            page = list(self.matching.older_than(self.below).select_related("action")[:size]) if size else []
            if not page:
                return
            self.rows, self.last = self.rows + len(page), page[-1].stream_id
            yield self.separator.join(map(self.line, page)).encode()

    def line(self, change: Change) -> str:
        return csv_line(change, raw=self.raw) if self.form == CSV else change_text(change)


def next_span(span: int, *, rows: int) -> int:
    """Of positions: so many that a range's rows mostly fit into the sockets' buffers, and its statement ends by itself."""
    shortest, longest = SPANS
    if rows < shortest // 4:
        return min(span * 2, longest)
    return max(span // 2, shortest) if rows > shortest else span
