"""One page of changes, oldest first, as the text of a JSON array's inside: for programs that read on and on."""

from dataclasses import dataclass

from django.db import connections

from dashboard.change_json import CHANGE_SQL, change_text
from quarantine.models import Action, Change, Ledger
from quarantine.statements import fetch_row

# One statement, so that head and rows are of the same moment. The reason by a subquery: a join would read every action.
PAGE = f"""
    SELECT l.head, p.last, p.rows
    FROM {Ledger._meta.db_table} l, LATERAL (
        SELECT max(c.stream_id) AS last,
               string_agg({CHANGE_SQL}, ',' ORDER BY c.stream_id) FILTER (WHERE NOT c.deleted OR %s) AS rows
        FROM (
            SELECT q.*, (SELECT a.reason FROM {Action._meta.db_table} a WHERE a.id = q.action_id) AS reason
            FROM {Change._meta.db_table} q WHERE q.stream_id > %s ORDER BY q.stream_id LIMIT %s
        ) c
    ) p
    WHERE l.id = 1
"""  # noqa: S608 - names of tables and columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """`rows` are objects joined by commas. `next_batch` is where to read on: the last change, shown or not, or the head."""

    next_batch: int
    rows: str


def read_page(alias: str, *, position: int, limit: int, deleted: bool) -> ChangePage:
    """The changes above `position` (exclusive), `limit` of them at most, deletions among them only where wanted.

    `alias` must name a database whose head has reached `position`.
    """
    if connections[alias].vendor == "postgresql":
        row = fetch_row(alias, PAGE, [deleted, position, limit])
        head, last, rows = row if row is not None else (position, None, None)
        return ChangePage(next_batch=head if last is None else last, rows=rows or "")
    # The head first: whatever is at or below it can be seen by then.
    head = Ledger.objects.using(alias).values_list("head", flat=True).get(pk=1)
    changes = list(Change.objects.using(alias).newer_than(position).select_related("action")[:limit])
    shown = [change_text(change) for change in changes if deleted or not change.deleted]
    return ChangePage(next_batch=changes[-1].stream_id if changes else head, rows=",".join(shown))
