"""Migrating beside those who write: nobody waits for more than a moment, whatever else goes on.

A statement that waits for a table holds up all who come after it, so behind a backup, which reads every table for as long
as it takes, one upgrade would stop everything. So a migration waits for half a second, gives way, and is tried again.
That is less than the second after which PostgreSQL ends one of two that wait for each other, which might be the writer.
"""

import time
from typing import Any

from django.core.management import call_command
from django.db import OperationalError, connections

from quarantine.fold import LedgerError
from quarantine.ledger import LOCK

PATIENCE = "500ms"
PAUSE = 0.5  # seconds until it is tried again
LONGEST = 60.0  # seconds; then whoever started it is told
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"


class TablesHeldError(LedgerError):
    """Somebody has held a table for too long. What was migrated stays; the rest has not begun."""


def migrate(alias: str) -> None:
    """Apply what is due; raises TablesHeldError."""
    if connections[alias].vendor != "postgresql":
        call_command("migrate", database=alias, interactive=False, verbosity=0)
        return
    deadline = time.monotonic() + LONGEST
    while not migrated(alias):
        if time.monotonic() > deadline:
            msg = (
                f"A table of the ledger is held by somebody, such as a backup or a vacuum, for {LONGEST:.0f} seconds now, "
                "so it was not migrated. Nothing is half done: run manage.py prepare again"
            )
            raise TablesHeldError(msg)
        time.sleep(PAUSE)


def migrated(alias: str) -> bool:
    """False: it gave way."""
    with connections[alias].cursor() as db:
        db.execute("SELECT set_config('lock_timeout', %s, false)", [PATIENCE])
        try:
            call_command("migrate", database=alias, interactive=False, verbosity=0)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in {LOCK_NOT_AVAILABLE, DEADLOCK}:
                raise
            return False
        finally:
            db.execute("RESET lock_timeout")
    return True


def hold_the_gate(_apps: Any, editor: Any) -> None:
    """At the head of a migration that changes several tables of the ledger: writers wait before they have any of them."""
    if editor.connection.vendor == "postgresql":
        with editor.connection.cursor() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
