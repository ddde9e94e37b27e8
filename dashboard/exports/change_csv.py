"""One change as a line of CSV: quoted as RFC 4180 wants it, and so that no spreadsheet calculates with it.

PostgreSQL makes the very same lines by itself (`cells_sql`).
"""

from dashboard.exports.change_json import REASON, TIME, change_json
from quarantine.models import Change

FORMULA = ("=", "+", "-", "@", "\t", "\r")
QUOTED = ',"\r\n'
NAMES = (
    "stream_id", "origin", "media_id", "quarantined", "deleted", "seen_at", "not_before", "changed_by", "source", "cause",
    "reason", "action", "media_type", "media_length", "upload_name", "uploader", "sha256", "mxc",
)  # fmt: skip
HEADER = (",".join(NAMES) + "\n").encode()
TEXTS = {"origin", "media_id", "changed_by", "reason", "media_type", "upload_name", "uploader"}  # strangers write them


def csv_line(change: Change, *, raw: bool) -> str:
    """`raw`: for programs, without the apostrophe that keeps a spreadsheet from calculating."""
    row = change_json(change)
    return ",".join(csv_cell(row[name], safe=name in TEXTS and not raw) for name in NAMES) + "\n"


def csv_cell(value: object, *, safe: bool) -> str:
    """`safe`: a spreadsheet shows it instead of calculating it."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if safe and text.startswith(FORMULA):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in QUOTED) else text


# --- The same, made by PostgreSQL: its COPY quotes cells faster than any expression does ------

SAFE = """CASE WHEN {0} <> '' AND strpos(E'=+-@\\t\\r', left({0}, 1)) > 0 THEN '''' || {0} ELSE {0} END"""
CELLS = {
    "quarantined": "CASE WHEN c.quarantined THEN 'true' ELSE 'false' END",
    "deleted": "CASE WHEN c.deleted THEN 'true' ELSE 'false' END",
    "seen_at": TIME.format("c.seen_at"),
    "not_before": TIME.format("c.not_before"),
    "action": "c.action_id",
    "sha256": "encode(c.sha256, 'hex')",
    "mxc": "'mxc://' || c.origin || '/' || c.media_id",
}


def cells_sql(*, raw: bool) -> str:
    """The cells of a row `c`, of which COPY makes a line. It would quote empty texts, but not null."""
    return ", ".join(cell_sql(name, raw=raw) for name in NAMES)


def cell_sql(name: str, *, raw: bool) -> str:
    if name not in TEXTS:
        return CELLS.get(name, f"c.{name}")
    value = "a.reason" if name == "reason" else f"c.{name}"
    cell = f"nullif({value if raw else SAFE.format(value)}, '')"
    return REASON.format("NULL", cell) if name == "reason" else cell
