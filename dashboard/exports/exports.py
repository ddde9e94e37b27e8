"""Changes as CSV, JSON and NDJSON: streamed in constant memory, newest first, the same bytes from both engines.

PostgreSQL renders the values and hands them over by COPY, in ranges of positions up to the head
at the start: no long transaction, no row of Python. SQLite, for small ledgers, goes page by page.
"""

import json
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from django.db import connection

from dashboard.exports.change_json import CHANGE_SQL, REASON, change_json
from dashboard.exports.copying import Copying
from dashboard.search.filter_kinds import PositionFilter
from dashboard.search.filters import ChangeFilter
from quarantine.models import Change, ChangeQuerySet

CSV, JSON, NDJSON = "csv", "json", "ndjson"
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSON: "application/json", NDJSON: "application/x-ndjson"}
SPANS = (5_000, 50_000)  # positions a statement covers, at least and at most
PAGE = 500  # rows at once where Python renders them
BLOCK = 256 * 1024  # bytes handed on at once: each hand-over costs half a millisecond
FORMULA = ("=", "+", "-", "@", "\t", "\r")

# Each column of the export: its name, the ledger's column it comes from, whether strangers can write it.
COLUMNS = (
    ("stream_id", "stream_id", False),
    ("origin", "origin", True),
    ("media_id", "media_id", True),
    ("quarantined", "quarantined", False),
    ("deleted", "deleted", False),
    ("seen_at", "seen_at", False),
    ("not_before", "not_before", False),
    ("changed_by", "changed_by", True),
    ("source", "source", False),
    ("cause", "cause", False),
    ("reason", "", True),
    ("action", "action_id", False),
    ("media_type", "media_type", True),
    ("media_length", "media_length", False),
    ("upload_name", "upload_name", True),
    ("uploader", "uploader", True),
    ("sha256", "sha256", False),
)
HELD = [column for _, column, _ in COLUMNS if column]
NAMES = [name for name, _, _ in COLUMNS] + ["mxc"]
HEADER = (",".join(NAMES) + "\n").encode()


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

    def chunks(self) -> Generator[bytes]:
        """The whole file, in pieces of about BLOCK bytes."""
        if self.form == CSV:
            yield HEADER
            yield from self.body()
        elif self.form == NDJSON:
            yield from self.body()
        else:
            yield from self.json_array()

    def json_array(self) -> Iterator[bytes]:
        yield b'{"changes":['
        separator = b"\n"
        for block in self.body():
            # A row ends in a line break, and JSON has none inside.
            yield separator + block.rstrip(b"\n").replace(b"\n", b",\n")
            separator = b",\n"
        more = self.limit is not None and self.rows >= self.limit and self.remains()
        next_cursor = json.dumps(self.last if more else None)
        yield f'\n],"next_cursor":{next_cursor}}}\n'.encode()

    def remains(self) -> bool:
        """Whether there is anything older than the last row."""
        return self.last is not None and self.matching().filter(stream_id__lt=self.last).exists()

    def matching(self) -> ChangeQuerySet:
        return self.filters.qs.filter(stream_id__lte=self.head)

    def body(self) -> Iterator[bytes]:
        """Blocks of whole rows."""
        return self.copied() if connection.vendor == "postgresql" else self.rendered()

    # --- PostgreSQL -----------------------------------------------------------------------

    def copied(self) -> Iterator[bytes]:
        """Two ranges at a time, each over a connection of its own: one is made while the other is read."""
        high = min(self.head, (self.filters.value("cursor") or self.head + 1) - 1)
        span, idle, begun = SPANS[0], list[Copying](), deque[Copying]()
        with ExitStack() as stack:
            while begun or (high > 0 and not self.enough()):
                # With a limit, what is left of it is known only when the range before was read.
                while high > 0 and len(begun) < (2 if self.limit is None else 1):
                    copying = idle.pop() if idle else stack.enter_context(closing(Copying()))
                    low = max(0, high - span)
                    copying.begin(*self.range_sql(low=low, high=high))
                    begun.append(copying)
                    high = low
                copying = begun.popleft()
                for block in copying.blocks(BLOCK):
                    yield self.whole(block)
                self.rows += copying.rows
                span = next_span(span, rows=copying.rows)
                idle.append(copying)

    def enough(self) -> bool:
        return self.limit is not None and self.rows >= self.limit

    def range_sql(self, *, low: int, high: int) -> tuple[str, Sequence[object]]:
        """COPY of positions above `low` (exclusive) to `high` (inclusive)."""
        changes = self.matching().filter(stream_id__gt=low, stream_id__lte=high).order_by("-stream_id")
        if self.limit is not None:
            changes = changes[: self.limit - self.rows]
        sql, params = changes.values_list(*HELD).query.sql_with_params()
        return self.statement(sql), params

    def whole(self, block: bytes) -> bytes:
        """Note the last position of a block of rows."""
        if self.form != CSV:
            last = block.rstrip(b"\n").rpartition(b"\n")[2]
            self.last = int(last[len(b'{"stream_id":') :].split(b",", 1)[0])
        return block

    def statement(self, inner: str) -> str:
        held = ", ".join(f'"{name}"' for name in HELD)
        source = f"({inner}) AS c ({held}) ORDER BY c.stream_id DESC"
        if self.form == CSV:
            columns = ", ".join([*(self.csv_sql(name, text=text) for name, _, text in COLUMNS), MXC_SQL])
            source = f"(SELECT c.*, {REASON_SQL} AS reason FROM {source}) AS c ORDER BY c.stream_id DESC"  # noqa: S608 - our own names; values are parameters
            return f"COPY (SELECT {columns} FROM {source}) TO STDOUT (FORMAT csv)"  # noqa: S608 - the same
        # JSON holds no raw control characters: with these as quote and delimiter COPY changes nothing in it.
        return f"COPY (SELECT {CHANGE_SQL} FROM {source}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"  # noqa: S608 - the same

    def csv_sql(self, name: str, *, text: bool) -> str:
        value = CSV_SQL.get(name, f'c."{name}"')
        if text and not self.raw:
            begins = f"strpos(E'=+-@\\t\\r', left({value}, 1)) > 0"
            value = f"CASE WHEN {value} <> '' AND {begins} THEN '''' || {value} ELSE {value} END"
        return f"nullif({value}, '')" if text else value

    # --- SQLite ---------------------------------------------------------------------------

    def rendered(self) -> Iterator[bytes]:
        below = self.filters.value("cursor")
        while True:
            size = PAGE if self.limit is None else min(PAGE, self.limit - self.rows)
            page = list(self.matching().older_than(below).select_related("action")[:size]) if size else []
            if not page:
                return
            self.rows += len(page)
            self.last = below = page[-1].stream_id
            yield "".join(map(self.line, page)).encode()

    def line(self, change: Change) -> str:
        row = change_json(change)
        if self.form != CSV:
            return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        texts = {name for name, _, text in COLUMNS if text}
        return ",".join(csv_cell(row[name], safe=name in texts and not self.raw) for name in NAMES) + "\n"


def next_span(span: int, *, rows: int) -> int:
    """Of positions: so many that a range's rows mostly fit into the sockets' buffers, and its statement ends by itself."""
    shortest, longest = SPANS
    if rows < shortest // 4:
        return min(span * 2, longest)
    return max(span // 2, shortest) if rows > shortest else span


MXC_SQL = "'mxc://' || c.origin || '/' || c.media_id"
TIME_SQL = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
REASON_SQL = f"CASE WHEN c.action_id IS NOT NULL THEN {REASON} END"
CSV_SQL = {
    "quarantined": "c.quarantined::text",
    "deleted": "c.deleted::text",
    "seen_at": TIME_SQL.format("c.seen_at"),
    "not_before": TIME_SQL.format("c.not_before"),
    "action": "c.action_id",
    "sha256": "encode(c.sha256, 'hex')",
}


def csv_cell(value: object, *, safe: bool) -> str:
    """A cell as RFC 4180 wants it; `safe`: a spreadsheet shows it instead of calculating it."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if safe and text.startswith(FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\r\n') else text
