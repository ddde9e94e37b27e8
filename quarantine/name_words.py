"""The index that finds words within file names: trigrams, where the ledger's PostgreSQL has them.

It holds no order, so it serves what matches little. SQLite and a PostgreSQL without `pg_trgm` do without.
"""

from typing import Any

from django.db import DatabaseError, transaction

INDEX = "change_name_words"
EXTENSION = "pg_trgm"
# As Django's `icontains` asks. A long list of what is still to be sorted in would make one writer wait for all of it.
CREATE = f"""
    CREATE INDEX CONCURRENTLY {INDEX} ON quarantine_change USING gin (upper(upload_name::text) gin_trgm_ops)
    WITH (gin_pending_list_limit = 512)
"""
IS_BUILT = f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{INDEX}')"  # noqa: S608 - our own name


def is_built(connection: Any) -> bool:
    """Whether it is there, and whole."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as db:
        db.execute(IS_BUILT)
        return bool(db.fetchone() == (True,))


def build(connection: Any) -> bool:
    """Build it where that is possible and not done yet; outside any transaction, while others write. Says whether it is there."""
    if connection.vendor != "postgresql":
        return False
    if is_built(connection):
        return True
    if not has_trigrams(connection):
        return False
    drop(connection)  # what was left by one that was broken off
    with connection.cursor() as db:
        # It waits for old transactions as long as they take, and holds nobody up meanwhile.
        db.execute("SELECT current_setting('lock_timeout'), set_config('lock_timeout', '0', false)")
        [before, _] = db.fetchone()
        try:
            db.execute(CREATE)
        finally:
            db.execute("SELECT set_config('lock_timeout', %s, false)", [before])
    return True


def drop(connection: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as db:
            db.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")


def has_trigrams(connection: Any) -> bool:
    """Whether the database has the extension, which is created where we may."""
    with connection.cursor() as db:
        db.execute("SELECT installed_version FROM pg_available_extensions WHERE name = %s", [EXTENSION])
        found = db.fetchone()
        if found is None or found[0]:
            return found is not None
        try:
            with transaction.atomic(using=connection.alias):
                db.execute(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}")
        except DatabaseError:  # not ours to create
            return False
    return True
