"""One page of changes, oldest first, as the text of a JSON array's inside: for programs that read on and on."""

from dataclasses import dataclass

from django.db import connections

from dashboard.exports.change_json import CHANGE_SQL, change_text
from quarantine.models import Change, Consumer, Ledger
from quarantine.statements import fetch_row

MOST = 1000  # changes on a page
PIECE = 250  # changes: texts of more than 128 kB are memory that PostgreSQL takes and gives back each time: a fifth of the work
NOWHERE = 2**63 - 1  # a position that nothing stands above


def rows_sql(*, position: str, limit: str, deleted: str, most: int = MOST) -> str:
    """The last position of a page, and its rows; null where nothing stands above the position.

    The inner LIMIT is for the planner: not knowing the outer one it would take each page for a tenth of the ledger,
    and plan anew whenever it is asked. Rows are joined as they come: to have them sorted once more took a fifth of the time.
    """
    return f"""
        SELECT max(c.stream_id) AS last,
            string_agg({CHANGE_SQL}, ',') FILTER (WHERE NOT c.deleted OR {deleted}) AS rows
        FROM (
            SELECT * FROM (
                SELECT * FROM {Change._meta.db_table} WHERE stream_id > {position} ORDER BY stream_id LIMIT {most}
            ) most LIMIT {limit}
        ) c
    """  # noqa: S608 - names of tables and columns, and of parameters


# One statement, so that head and rows are of the same moment.
PAGE = f"""
    SELECT l.head, p.last, p.rows
    FROM {Ledger._meta.db_table} l CROSS JOIN LATERAL ({rows_sql(position="%s", limit="%s", deleted="%s")}) p
    WHERE l.id = 1
"""  # noqa: S608 - names of tables and columns
# The same for whoever shows a token: $1 its digest, $2 the position, $3 the limit, $4 whether deletions are wanted.
# One row for each piece of the page, in any order; where a piece begins is for an index alone to say.
KNOWN = f"CASE WHEN k.id IS NULL THEN {NOWHERE} ELSE $2 END"
BEGIN = f"""
    SELECT stream_id FROM {Change._meta.db_table} WHERE stream_id > {KNOWN} ORDER BY stream_id OFFSET piece.before - 1 LIMIT 1
"""  # noqa: S608 - a name of a table
QUESTION = f"""
    SELECT l.homeserver_name, l.homeserver_kind, l.head, k.id, k.scopes, k.expires_at <= now() AS over, p.last, p.rows
    FROM {Ledger._meta.db_table} l
    LEFT JOIN {Consumer._meta.db_table} k ON k.token_digest = $1 AND k.revoked_at IS NULL
    CROSS JOIN (VALUES {", ".join(f"({before})" for before in range(0, MOST, PIECE))}) piece (before)
    CROSS JOIN LATERAL (SELECT CASE WHEN piece.before = 0 THEN {KNOWN} ELSE ({BEGIN}) END AS above) start
    CROSS JOIN LATERAL (
        {rows_sql(position="start.above", limit=f"least({PIECE}, $3 - piece.before)", deleted="$4", most=PIECE)}
    ) p
    WHERE l.id = 1 AND piece.before < $3
"""  # noqa: S608 - names of tables and columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """`rows` are objects joined by commas, UTF-8. `next_batch` is where to read on: the last change, shown or not, or the head."""

    next_batch: int
    rows: bytes


def read_page(alias: str, *, position: int, limit: int, deleted: bool) -> ChangePage:
    """The changes above `position` (exclusive), `limit` of them at most, deletions among them only where wanted.

    `alias` must name a database whose head has reached `position`.
    """
    if connections[alias].vendor == "postgresql":
        row = fetch_row(alias, PAGE, [deleted, position, limit])
        head, last, rows = row if row is not None else (position, None, None)
        return ChangePage(next_batch=head if last is None else last, rows=(rows or "").encode())
    # The head first: whatever is at or below it can be seen by then.
    head = Ledger.objects.using(alias).values_list("head", flat=True).get(pk=1)
    changes = list(Change.objects.using(alias).newer_than(position).select_related("action")[:limit])
    shown = [change_text(change) for change in changes if deleted or not change.deleted]
    return ChangePage(next_batch=changes[-1].stream_id if changes else head, rows=",".join(shown).encode())
