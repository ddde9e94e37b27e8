"""Connections and caches, as the settings ask for them."""

from typing import Any
from urllib.parse import quote

from django.db.backends.postgresql.psycopg_any import IsolationLevel

POSTGRESQL = "django.db.backends.postgresql"
SQLITE_WRITER = {
    # One writer at a time, decided at BEGIN: a read never has to become a write half-way.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

# Shared by all processes, because the throttle of sign-ins counts in it; its table comes with `migrate`.
# What may differ between processes, such as rendered rows, has a cache of its own.
SHARED_CACHES = {
    "default": {
        "BACKEND": "dashboard.serving.shared_cache.PlainCache",
        "LOCATION": "dashboard_cache",
        # A full cache drops live entries too: it must not be filled by trying many names.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    "rows": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "rows",
        "TIMEOUT": None,  # a change never changes
        # Of some 4 kB. By itself it drops a third when it is full: memory went down by 13 MB and up again, for ever.
        "OPTIONS": {"MAX_ENTRIES": 10_000, "CULL_FREQUENCY": 100},
    },
}


def ledger(database: dict[str, Any]) -> dict[str, Any]:
    """Make the connection one that writes as the ledger's rules ask."""
    if database["ENGINE"] != POSTGRESQL:
        return database | {"OPTIONS": SQLITE_WRITER}
    # Whatever the database's default: what is read under the ledger's lock must be newer than the wait for it.
    options = database.get("OPTIONS", {}) | {"isolation_level": IsolationLevel.READ_COMMITTED}
    return database | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


def bounded(database: dict[str, Any], *, seconds: int) -> dict[str, Any]:
    """Have no statement take longer, which then fails; for what people wait for. 0: as long as it takes."""
    if database["ENGINE"] != POSTGRESQL or not seconds:
        return database
    options = database.get("OPTIONS", {})
    limit = f"{options.get('options', '')} -c statement_timeout={seconds}s".strip()
    return database | {"OPTIONS": options | {"options": limit}}


def attached(database: dict[str, Any]) -> dict[str, Any]:
    """Make the connection one that can only read, whatever its role may do."""
    if database["ENGINE"] == POSTGRESQL:
        # Short statements only: the homeserver's own work goes first.
        options = "-c default_transaction_read_only=on -c statement_timeout=10s -c lock_timeout=2s"
        connection = {"options": options, "connect_timeout": 5, "application_name": "quarantine-dashboard"}
        # A server that lost its power says nothing: notice within half a minute, not two hours.
        connection |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
        connection |= {"tcp_user_timeout": 30_000}
        connection = database.get("OPTIONS", {}) | connection  # such as sslmode
        return database | {"OPTIONS": connection, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    name = f"file:{quote(database['NAME'])}?mode=ro"
    return database | {
        "ENGINE": "quarantine.homeserver.sqlite",
        "NAME": name,
        "OPTIONS": {"timeout": 5, "init_command": "PRAGMA query_only=1;"},
    }
