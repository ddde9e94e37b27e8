"""Writes to an attached homeserver's tables as Synapse does: media row and feed row in one transaction.

Ids are given, not taken from a sequence: a test says in which order they commit.
"""

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

ANN = "@ann:matrix.example"
MOD = "@mod:matrix.example"


@dataclass
class Session:
    """One connection of Synapse's; each statement commits by itself unless a transaction was begun."""

    connection: psycopg.Connection | sqlite3.Connection

    def execute(self, statement, values=()):
        if isinstance(self.connection, sqlite3.Connection):
            statement = statement.replace("%s", "?")
        return self.connection.execute(statement, values)

    def begin(self):
        self.execute("BEGIN")
        return self

    def commit(self):
        self.execute("COMMIT")

    def rollback(self):
        self.execute("ROLLBACK")

    @contextmanager
    def transaction(self):
        self.begin()
        yield self
        self.commit()

    # --- Within a transaction -------------------------------------------------------------

    def set_media(self, media_id, *, by=None, origin=None, sha256=None, user=ANN):
        """Make the media row, or change who quarantined it."""
        keep = "ON CONFLICT ({}) DO UPDATE SET quarantined_by = excluded.quarantined_by"
        if origin is None:
            columns = "(media_id, user_id, quarantined_by, sha256, media_type) VALUES (%s, %s, %s, %s, 'image/png')"
            insert = f"INSERT INTO local_media_repository {columns} {keep.format('media_id')}"
            self.execute(insert, (media_id, user, by, sha256))
        else:
            columns = "(media_origin, media_id, quarantined_by, sha256) VALUES (%s, %s, %s, %s)"
            insert = f"INSERT INTO remote_media_cache {columns} {keep.format('media_origin, media_id')}"
            self.execute(insert, (origin, media_id, by, sha256))

    def add_row(self, feed_id, media_id, *, quarantined=True, origin=None, instance="master"):
        insert = "INSERT INTO quarantined_media_changes VALUES (%s, %s, %s, %s, %s)"
        self.execute(insert, (feed_id, instance, origin, media_id, quarantined))

    def take_xid(self):
        """Make this transaction one that PostgreSQL knows as writing."""
        self.execute("SELECT pg_current_xact_id()")


@dataclass
class Tables(Session):
    """The tables of one homeserver, and further sessions on them."""

    owner: str = ""
    others: list[Session] = field(default_factory=list)

    def session(self):
        """A session of its own, closed with the test."""
        self.others.append(Session(connect(self.owner)))
        return self.others[-1]

    def close(self):
        for each in [*self.others, self]:
            each.connection.close()

    # --- Each a transaction ---------------------------------------------------------------

    def quarantine(self, feed_id, media_id, *, by=MOD, origin=None, sha256=None):
        with self.transaction():
            self.set_media(media_id, by=by, origin=origin, sha256=sha256)
            self.add_row(feed_id, media_id, origin=origin)

    def release(self, feed_id, media_id, *, origin=None):
        with self.transaction():
            self.set_media(media_id, origin=origin)
            self.add_row(feed_id, media_id, quarantined=False, origin=origin)

    def delete(self, media_id):
        self.execute("DELETE FROM local_media_repository WHERE media_id = %s", (media_id,))

    def set_position(self, feed_id, *, instance="master"):
        """What Synapse writes after the commit, in a transaction of its own."""
        upsert = "ON CONFLICT (stream_name, instance_name) DO UPDATE SET stream_id = excluded.stream_id"
        insert = f"INSERT INTO stream_positions VALUES ('quarantined_media', %s, %s) {upsert}"
        self.execute(insert, (instance, feed_id))

    def add_history(self, ids):
        """Rows with the ids of a range, each of media of its own that is quarantined, and called like the id."""
        series = f"SELECT {ids.start} UNION ALL SELECT id + {ids.step} FROM ids WHERE id + {ids.step} < {ids.stop}"
        with self.transaction():
            for insert in (
                f"local_media_repository (media_id, user_id, quarantined_by) SELECT 'm' || id, '{ANN}', '{MOD}'",
                "quarantined_media_changes SELECT id, 'master', NULL, 'm' || id, TRUE",
            ):
                self.execute(f"WITH RECURSIVE ids(id) AS ({series}) INSERT INTO {insert} FROM ids")

    def remove_rows(self, *, above):
        """What restoring a backup does to the feed."""
        self.execute("DELETE FROM quarantined_media_changes WHERE stream_id > %s", (above,))


def connect(owner):
    if owner.startswith("postgresql://"):
        return psycopg.connect(owner, autocommit=True)
    return sqlite3.connect(owner, autocommit=True, timeout=20)


@contextmanager
def open_tables(owner):
    tables = Tables(connect(owner), owner=owner)
    try:
        yield tables
    finally:
        tables.close()
