"""Writing many rows at once, several times faster than Django's INSERTs.

PostgreSQL takes new rows by COPY, which Django's hooks around statements don't see: that is half the work of an
INSERT, on its side and on ours. What may be there already it takes as arrays (no temporary table: a role may lack
the right, and each would leave its traces in the catalogue). SQLite takes both by one prepared statement.
What is stored and raised is as Django has it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from quarantine.fields import Sha256Field

PLAIN = (models.CharField, models.TextField, models.IntegerField, models.BooleanField)  # stored as they are
NOT_PLAIN = (models.ForeignKey, models.JSONField)

INDEXES = {  # name and statement of each index that isn't a constraint's
    "postgresql": "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
    " WHERE indrelid = %s::regclass AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)",
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s AND sql IS NOT NULL",
}


def insert(rows: Sequence[models.Model]) -> None:
    """Insert new rows of one model into the ledger's database, in one statement. Raises what Django raises."""
    if rows:
        fields = stored_fields(rows[0])
        load(type(rows[0]), fields, map(attrgetter(*fields), rows), using="default")


def upsert(rows: Sequence[models.Model], *, key: Sequence[str], update: Sequence[str]) -> None:
    """Insert rows of one model into the ledger's database; where the key is there already, set the fields `update`."""
    changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in update)
    if rows:
        execute(rows, conflict=f"ON CONFLICT ({', '.join(map(quoted, key))}) DO UPDATE SET {changes}")


def execute(rows: Sequence[models.Model], *, conflict: str) -> None:
    model, connection = type(rows[0]), connections["default"]
    fields = stored_fields(rows[0])
    columns = [column(model, name) for name in fields]
    names = ", ".join(quoted(each.column) for each in columns)
    into = f"INSERT INTO {quoted(model._meta.db_table)} ({names})"
    values = prepared(map(attrgetter(*fields), rows), columns, connection)
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{type_name(each, connection)}[]" for each in columns)
            together = [list(each) for each in zip(*values, strict=True)]
            # WHERE true: without it the grammar takes ON for that of a join.
            db.execute(f"{into} SELECT * FROM unnest({arrays}) WHERE true {conflict}", together)  # noqa: S608 - names of our own tables
        else:
            db.executemany(f"{into} VALUES ({marks(columns)}) {conflict}", values)


def load(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]], *, using: str) -> None:
    """Insert any number of rows in constant memory, each the values of `fields` (attribute names, two at least) in that order, as a model would hold them."""
    connection = connections[using]
    columns = [column(model, name) for name in fields]
    table, names = quoted(model._meta.db_table), ", ".join(quoted(each.column) for each in columns)
    values = prepared(rows, columns, connection)
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            # Binary: the adapter takes an eighth of the time over a row.
            into = f"COPY {table} ({names}) FROM STDIN (FORMAT binary)"
            with connection.wrap_database_errors, db.cursor.copy(into) as copy:
                copy.set_types([type_name(each, connection) for each in columns])
                for row in values:
                    copy.write_row(row)
            return
        db.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks(columns)})", values)  # noqa: S608 - names of our own tables


@contextmanager
def without_indexes(*tables: type[models.Model], using: str = "default") -> Iterator[None]:
    """Within a transaction: drop the indexes of these tables, and build them again, sorted, at the end.

    Several times faster than to keep them while millions of rows come in. Nobody else reads the tables
    meanwhile; if it ends in an error, the transaction has to be rolled back.
    """
    connection = connections[using]
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            db.execute("SET CONSTRAINTS ALL IMMEDIATE")  # with checks pending nothing may be altered
            db.execute("SET LOCAL maintenance_work_mem = '256MB'")  # what sorting a few million rows takes
        found: list[tuple[str, str]] = []
        for model in tables:
            db.execute(INDEXES[connection.vendor], [model._meta.db_table])
            found += db.fetchall()
        for name, _ in found:
            db.execute(f"DROP INDEX {name if connection.vendor == 'postgresql' else quoted(name)}")
    yield
    with connection.cursor() as db:
        for _, statement in found:
            db.execute(statement)


# --- Columns ------------------------------------------------------------------------------


def stored_fields(row: models.Model) -> list[str]:
    """The attributes with a column, but for what the database makes itself."""
    return [
        field.attname
        for field in row._meta.concrete_fields
        if field.column and not field.generated and not (isinstance(field, models.AutoField) and row.pk is None)
    ]


def column(model: type[models.Model], name: str) -> Any:
    """The field whose attribute has this name."""
    return next(field for field in model._meta.concrete_fields if field.attname == name and field.column)


def prepared(
    rows: Iterable[Sequence[Any]], columns: Sequence[Any], connection: BaseDatabaseWrapper
) -> Any:  # an Iterator[list]; the stubs of executemany want a sequence, the adapters don't
    """The rows as the database adapter takes them."""
    special = [(place, convert) for place, each in enumerate(columns) if (convert := converter(each, connection))]
    for row in rows:
        values = list(row)
        for place, convert in special:
            if values[place] is not None:
                values[place] = convert(values[place])
        yield values


def converter(field: Any, connection: BaseDatabaseWrapper) -> Callable[[Any], Any] | None:
    """What Django does with a value of this field; None where that is nothing."""
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(target, PLAIN) and not isinstance(target, NOT_PLAIN):
        return None
    if connection.vendor == "postgresql" and isinstance(target, models.DateTimeField):
        return None
    if connection.vendor == "postgresql" and isinstance(target, models.BinaryField):
        return from_hex if isinstance(target, Sha256Field) else None  # Django wraps bytes, for nothing
    return partial(target.get_db_prep_save, connection=connection)


def from_hex(value: str | bytes) -> bytes:
    return bytes.fromhex(value) if isinstance(value, str) else value


def type_name(field: Any, connection: BaseDatabaseWrapper) -> str:
    """PostgreSQL's, without a length: to cast would cut a text silently, where to store it raises DataError."""
    return str(field.db_type(connection)).partition("(")[0]


def marks(columns: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(columns))


def quoted(name: str) -> str:
    return f'"{name}"'
