"""Locks that outlive a statement: one active follower, one backfill.

On PostgreSQL a session advisory lock on a connection of its own, so that it survives neither
its process nor a transaction pooler's whims; on SQLite, which means one machine, `flock`.
They only save work: what must be right is guarded by the ledger's cursor.
"""

import fcntl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection


@contextmanager
def only_one(name: str) -> Iterator[bool]:
    """Yield whether we are the only holder of the lock `name`; never waits. Kept until the block ends."""
    held = postgresql_lock(name) if connection.vendor == "postgresql" else file_lock(name)
    with held as ours:
        yield ours


@contextmanager
def postgresql_lock(name: str) -> Iterator[bool]:
    own = connection.copy()
    try:
        with own.cursor() as db:
            db.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", [zlib.crc32(b"quarantine") >> 1, zlib.crc32(name.encode()) >> 1]
            )
            [ours] = db.fetchone()
            yield bool(ours)
    finally:
        own.close()


@contextmanager
def file_lock(name: str) -> Iterator[bool]:
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.DATA_DIR / f"{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
