"""Single statements that programs cause many times a second, past the ORM: planned once a connection on PostgreSQL.

Django sends no prepared statements, because poolers that lend a connection for one transaction used to lose
them. Planning a page of changes costs a third as much as reading it; so we prepare, until a pooler loses one.
"""

from collections.abc import Sequence
from typing import Any, cast

import psycopg
from django.db import InterfaceError, OperationalError, connections
from psycopg.errors import DuplicatePreparedStatement, InvalidSqlStatementName


class Preparing:
    """Whether this process still prepares."""

    on = True


def fetch_row(alias: str, statement: str, params: Sequence[object]) -> tuple[Any, ...] | None:
    """The first row of a SELECT. Asked again, once, over a new connection where the old one broke."""
    connection = connections[alias]
    try:
        return fetch_once(alias, statement, params)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return fetch_once(alias, statement, params)


def fetch_once(alias: str, statement: str, params: Sequence[object]) -> tuple[Any, ...] | None:
    connection = connections[alias]
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            return fetch_prepared(connection.connection, statement, params)
        with connection.cursor() as cursor:
            cursor.execute(statement, cast("Any", params))
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


def fetch_prepared(raw: Any, statement: str, params: Sequence[object]) -> tuple[Any, ...] | None:
    with psycopg.Cursor[tuple[Any, ...]](raw) as cursor:  # Django's own would put the values into the text
        before, raw.prepare_threshold = raw.prepare_threshold, 0 if Preparing.on else None
        try:
            cursor.execute(statement.encode(), params)
        except (DuplicatePreparedStatement, InvalidSqlStatementName):
            Preparing.on = False
            raw.prepare_threshold = None
            cursor.execute(statement.encode(), params)
        finally:
            raw.prepare_threshold = before
        return cursor.fetchone()
