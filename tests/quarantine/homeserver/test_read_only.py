"""An attached homeserver can't be written to, whichever way one tries."""

import sqlite3

import psycopg
import pytest
from django.db import DatabaseError, connections, transaction

from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS, HomeserverReadOnlyError
from quarantine.homeserver.sample import INSTANCE

# The ledger plays no part, so one engine under it is enough.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

# By model: a row to plant, another one to try to insert, and a column to try to change.
ROWS = {
    LocalMedia: ({"media_id": "planted"}, {"media_id": "another"}, "quarantined_by"),
    RemoteMedia: (
        {"media_origin": "remote.example", "media_id": "planted"},
        {"media_origin": "remote.example", "media_id": "another"},
        "quarantined_by",
    ),
    FeedChange: (
        {"stream_id": 2, "instance_name": INSTANCE, "media_id": "planted", "quarantined": True},
        {"stream_id": 3, "instance_name": INSTANCE, "media_id": "another", "quarantined": True},
        "media_id",
    ),
    StreamPosition: (
        {"stream_name": "quarantined_media", "instance_name": INSTANCE, "stream_id": 2},
        {"stream_name": "another", "instance_name": INSTANCE, "stream_id": 2},
        "stream_id",
    ),
}
models = pytest.mark.parametrize("model", ROWS, ids=lambda model: model.__name__)
# What a curious role might try first, to become able to write.
UNLOCK = {
    "postgresql": ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "SET default_transaction_read_only = off"],
    "sqlite": ["PRAGMA query_only = 0", "PRAGMA writable_schema = 1"],
}
STATEMENTS = [
    "INSERT INTO quarantined_media_changes VALUES (9, 'master', NULL, 'abc', TRUE)",
    "UPDATE local_media_repository SET quarantined_by = NULL",
    "UPDATE remote_media_cache SET quarantined_by = NULL",
    "UPDATE stream_positions SET stream_id = 99",
    "DELETE FROM local_media_repository",
    "DROP TABLE remote_media_cache",
    "CREATE TABLE mine (a INTEGER)",
    "CREATE INDEX mine ON local_media_repository (quarantined_by)",
]


@pytest.fixture(params=["postgresql", "sqlite"])
def owner(request):
    """A function that runs a statement as the attached homeserver's owner; each table holds the planted row."""
    place = request.getfixturevalue(f"attached_{request.param}").owner

    def run(statement, values=()):
        if request.param == "postgresql":
            with psycopg.connect(place, autocommit=True) as connection:
                cursor = connection.execute(statement, values)
                return cursor.fetchall() if cursor.description else []
        with sqlite3.connect(place, autocommit=True) as database:
            found = database.execute(statement.replace("%s", "?"), values).fetchall()
        database.close()
        return found

    for model, (planted, _, _) in ROWS.items():
        places = ", ".join(["%s"] * len(planted))
        run(f"INSERT INTO {model._meta.db_table} ({', '.join(planted)}) VALUES ({places})", list(planted.values()))
    return run


def contents(owner):
    return {model: owner(f"SELECT * FROM {model._meta.db_table}") for model in ROWS}


@pytest.fixture
def nothing_changes(owner):
    """Whatever the test tries, each table holds the planted row afterwards as before, and the alias can read it."""
    before = contents(owner)
    assert [len(rows) for rows in before.values()] == [1] * len(ROWS)

    yield

    assert contents(owner) == before
    assert [model.objects.count() for model in ROWS] == [1] * len(ROWS)


@models
@pytest.mark.parametrize("write", ["create", "save", "update", "delete", "bulk_create"])
def test_database_refuses_a_write_through_a_model(nothing_changes, model, write):
    """Said of the connection itself: naming the alias leaves the router out."""
    planted, another, column = ROWS[model]
    rows = model.objects.using(ALIAS)
    attempts = {
        "create": lambda: rows.create(**another),
        "save": lambda: rows.get().save(using=ALIAS, force_update=True),
        "update": lambda: rows.filter(**planted).update(**{column: 7}),
        "delete": lambda: rows.get().delete(using=ALIAS),
        "bulk_create": lambda: rows.bulk_create([model(**another)]),
    }

    with pytest.raises(DatabaseError, match=r"(?i)permission denied|read-?only"):
        attempts[write]()


@models
def test_router_refuses_before_the_database_is_asked(nothing_changes, model):
    planted, another, column = ROWS[model]

    with pytest.raises(HomeserverReadOnlyError):
        model.objects.create(**another)
    with pytest.raises(HomeserverReadOnlyError):
        model.objects.filter(**planted).update(**{column: 7})
    with pytest.raises(HomeserverReadOnlyError):
        model.objects.all().delete()


@pytest.mark.parametrize("unlock", [False, True], ids=["at once", "after trying to unlock"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_database_refuses_a_raw_write(nothing_changes, statement, unlock):
    with connections[ALIAS].cursor() as db:
        for attempt in UNLOCK[db.db.vendor] if unlock else ():
            db.execute(attempt)

        with pytest.raises(DatabaseError), transaction.atomic(using=ALIAS):
            db.execute(statement)


def test_role_reads_nothing_but_its_tables(attached_postgresql):
    with psycopg.connect(attached_postgresql.owner, autocommit=True) as owner:
        owner.execute("CREATE TABLE access_tokens (token TEXT); INSERT INTO access_tokens VALUES ('secret')")

    with pytest.raises(DatabaseError, match="permission denied"), connections[ALIAS].cursor() as db:
        db.execute("SELECT token FROM access_tokens")
