"""Matches that an index holds in no order: words within file names.

Their number is not known beforehand, so looking is given little time and few places: common words are found
in the windows of positions anyway, and only rare ones are worth it.
"""

from django.db import OperationalError, connections, transaction
from django.db.models import Q
from psycopg.errors import QueryCanceled

from quarantine import name_words
from quarantine.models import ChangeQuerySet

MOST = 1_000  # positions
PATIENCE = 50  # ms: a rare word takes a few


def few_positions(changes: ChangeQuerySet, condition: Q) -> list[int] | None:
    """All positions of rows that match, unordered; None when they are many, it takes long, or there is no such index."""
    connection = connections[changes.db]
    if not name_words.is_built(connection):
        return None
    matching = changes.filter(condition).order_by().values_list("stream_id", flat=True)[: MOST + 1]
    try:
        with transaction.atomic(using=changes.db):
            with connection.cursor() as db:
                db.execute(f"SET LOCAL statement_timeout = {PATIENCE}")
            found = list(matching)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise
    return found if len(found) <= MOST else None
