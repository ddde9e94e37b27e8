"""Learning that the ledger's head moved. These only wake the hub; it reads the head itself."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NoReturn

import psycopg
from django.db import connection

from quarantine.ledger import CHANNEL
from quarantine.models import Ledger

logger = logging.getLogger(__name__)

# Nobody may be listening to our NOTIFY (a pooler in between, a standby): then this is how late a change is shown.
SAFETY_POLL = 2.0
SQLITE_POLL = 0.25  # the head is one small row; reading it four times a second costs nothing worth sparing
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
LIBPQ_ONLY = {"cursor_factory", "context", "prepare_threshold"}  # Django's own settings of a connection


def read_head() -> int:
    """The highest position there is; 0 in a ledger that is empty or not bound yet."""
    return Ledger.objects.filter(pk=1).values_list("head", flat=True).first() or 0


def poll_interval() -> float:
    return SAFETY_POLL if connection.vendor == "postgresql" else SQLITE_POLL


async def listen(stirred: Callable[[], None]) -> NoReturn:
    """Call `stirred` after each commit that moved the head; for PostgreSQL.

    Connects again with growing pauses, and calls it then too: who knows what happened meanwhile.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**parameters(), autocommit=True) as listener:
                await listener.execute(f"LISTEN {CHANNEL}".encode())
                pause = FIRST_PAUSE
                stirred()
                async for _ in listener.notifies():
                    stirred()
        except psycopg.Error as error:
            logger.warning("not listening to the ledger's database, next try in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def parameters() -> dict[str, Any]:
    """How Django connects to the ledger, for a connection that is not Django's."""
    ours: dict[str, Any] = connection.get_connection_params()
    plain = {name: value for name, value in ours.items() if name not in LIBPQ_ONLY}
    # A listener says nothing for days: without probes it would not notice a dead network.
    return {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, **plain}
