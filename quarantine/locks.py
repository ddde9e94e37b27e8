"""Locks that outlive a statement: one active follower, one backfill.

On PostgreSQL a session advisory lock on a connection of its own, so that it survives neither
its process nor a transaction pooler's whims; on SQLite, which means one machine, `flock`.
They only save work: what must be right is guarded by the ledger's cursor.
"""

import fcntl
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.backends.utils import CursorWrapper

LOCK_NOT_AVAILABLE = "55P03"
POLL = 0.02  # seconds between two tries for a file; PostgreSQL waits by itself


@contextmanager
def only_one(name: str, *, patience: float = 0.0) -> Iterator[bool]:
    """Yield whether we are the only holder of the lock `name`, after waiting for at most `patience` seconds.

    Kept until the block ends.
    """
    postgresql = connection.vendor == "postgresql"
    held = postgresql_lock(name, patience=patience) if postgresql else file_lock(name, patience=patience)
    with held as ours:
        yield ours


@contextmanager
def postgresql_lock(name: str, *, patience: float) -> Iterator[bool]:
    own = connection.copy()
    key = [zlib.crc32(b"quarantine") >> 1, zlib.crc32(name.encode()) >> 1]
    try:
        with own.cursor() as db:
            db.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
            [ours] = db.fetchone()
            if not ours and patience:
                waiting = "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false)"
                db.execute(waiting, [f"{patience * 1000:.0f}ms"])
                ours = waited(db, key)
            try:
                yield bool(ours)
            finally:
                if ours:
                    give_up(db, key)
    finally:
        own.close()


def give_up(db: CursorWrapper, key: list[int]) -> None:
    """At once: the server lets go of a closed connection's locks only when it comes to it, and the next one is refused."""
    with suppress(DatabaseError, InterfaceError):  # a connection that broke holds nothing
        db.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def waited(db: CursorWrapper, key: list[int]) -> bool:
    try:
        db.execute("SELECT pg_advisory_lock(%s, %s)", key)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") == LOCK_NOT_AVAILABLE:
            return False
        raise
    return True


@contextmanager
def file_lock(name: str, *, patience: float = 0.0) -> Iterator[bool]:
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with (settings.DATA_DIR / f"{name}.lock").open("a") as file:
        while not (ours := taken(file)) and time.monotonic() < deadline:
            time.sleep(POLL)
        yield ours


def taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
