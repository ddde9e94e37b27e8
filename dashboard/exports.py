"""Changes as CSV, JSON and NDJSON: streamed in constant memory, newest first, the same bytes from both engines.

PostgreSQL renders the values and hands them over by COPY, in ranges of positions up to the head
at the start: no long transaction, no row of Python. SQLite, for small ledgers, goes page by page.
"""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from dashboard.change_json import change_json
from dashboard.filter_kinds import PositionFilter
from dashboard.filters import ChangeFilter
from quarantine.models import Change, ChangeQuerySet

CSV, JSON, NDJSON = "csv", "json", "ndjson"
CONTENT_TYPES = {CSV: "text/csv; charset=utf-8", JSON: "application/json", NDJSON: "application/x-ndjson"}
RANGE = 50_000  # positions a statement covers
PAGE = 500  # rows at once where Python renders them
BLOCK = 64 * 1024  # bytes handed on at once
FORMULA = ("=", "+", "-", "@", "\t", "\r")

# Each column of the export: its name, where it comes from, whether strangers can write it.
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
    ("reason", "action__reason", True),
    ("action", "action_id", False),
    ("media_type", "media_type", True),
    ("media_length", "media_length", False),
    ("upload_name", "upload_name", True),
    ("uploader", "uploader", True),
    ("sha256", "sha256", False),
)
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
        own = connection.copy()
        own.inc_thread_sharing()
        with closing(own):
            own.ensure_connection()
            high = min(self.head, (self.filters.value("cursor") or self.head + 1) - 1)
            while high > 0 and (self.limit is None or self.rows < self.limit):
                low = max(0, high - RANGE)
                yield from self.copied_range(own.connection, low=low, high=high)
                high = low

    def copied_range(self, raw: Any, *, low: int, high: int) -> Iterator[bytes]:
        """Positions above `low` (exclusive) to `high` (inclusive)."""
        changes = self.matching().filter(stream_id__gt=low, stream_id__lte=high).order_by("-stream_id")
        if self.limit is not None:
            changes = changes[: self.limit - self.rows]
        sql, params = changes.values_list(*(source for _, source, _ in COLUMNS)).query.sql_with_params()
        block = bytearray()
        with raw.cursor() as cursor:
            with cursor.copy(self.statement(sql), params) as copy:
                for line in copy:
                    block += line
                    if len(block) >= BLOCK:
                        yield self.whole(block)
                        block = bytearray()
            self.rows += cursor.rowcount
        if block:
            yield self.whole(block)

    def whole(self, block: bytearray) -> bytes:
        """Note the last position of a block of rows; COPY hands over whole rows."""
        if self.form != CSV:
            last = block.rstrip(b"\n").rpartition(b"\n")[2]
            self.last = int(last[len(b'{"stream_id":') :].split(b",", 1)[0])
        return bytes(block)

    def statement(self, inner: str) -> str:
        names = ", ".join(f'"{name}"' for name, _, _ in COLUMNS)
        source = f"({inner}) AS c ({names})"
        if self.form == CSV:
            columns = ", ".join([*(self.csv_sql(name, text=text) for name, _, text in COLUMNS), MXC_SQL])
            return f"COPY (SELECT {columns} FROM {source} ORDER BY stream_id DESC) TO STDOUT (FORMAT csv)"  # noqa: S608 - our own names; values are parameters
        columns = ", ".join([*(f'{json_sql(name)} AS "{name}"' for name, _, _ in COLUMNS), f'{MXC_SQL} AS "mxc"'])
        rows = f"SELECT row_to_json(t) FROM (SELECT {columns} FROM {source} ORDER BY stream_id DESC) AS t"  # noqa: S608 - the same
        # JSON holds no raw control characters: with these as quote and delimiter COPY changes nothing in it.
        return f"COPY ({rows}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"

    def csv_sql(self, name: str, *, text: bool) -> str:
        value = CSV_SQL.get(name, json_sql(name))
        if text and not self.raw:
            value = f"CASE WHEN {value} ~ E'^[=+\\\\-@\\t\\r]' THEN '''' || {value} ELSE {value} END"
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


MXC_SQL = "'mxc://' || origin || '/' || media_id"
TIME_SQL = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
JSON_SQL = {
    "seen_at": TIME_SQL.format("seen_at"),
    "not_before": TIME_SQL.format("not_before"),
    "reason": "coalesce(reason, '')",
    "sha256": "encode(sha256, 'hex')",
}
CSV_SQL = {
    "quarantined": "CASE WHEN quarantined THEN 'true' ELSE 'false' END",
    "deleted": "CASE WHEN deleted THEN 'true' ELSE 'false' END",
}


def json_sql(name: str) -> str:
    return JSON_SQL.get(name, f'"{name}"')


def csv_cell(value: object, *, safe: bool) -> str:
    """A cell as RFC 4180 wants it; `safe`: a spreadsheet shows it instead of calculating it."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if safe and text.startswith(FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\r\n') else text
