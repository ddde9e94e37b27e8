"""Whether the databases are what this version of the code needs, and making them so."""

from collections.abc import Iterator
from importlib.util import find_spec
from pkgutil import iter_modules

from django.apps import apps
from django.conf import settings
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from quarantine.fold import LedgerError
from quarantine.homeserver.router import ALIAS
from quarantine.ledger import check, current
from quarantine.migrating import migrate
from quarantine.models import Ledger

PREPARE = "Run: manage.py prepare"


class NotPreparedError(LedgerError):
    """`manage.py prepare` is due. The message says so in a sentence."""


def require_prepared() -> None:
    """Raise NotPreparedError if a migration is due, LedgerError if the ledger is unbound or of another homeserver."""
    if migrations_due():
        msg = f"The database is not up to date. {PREPARE}"
        raise NotPreparedError(msg)
    current()


def refuse_another_homeserver() -> None:
    """Raise WrongHomeserverError if the ledger is another homeserver's; asked before its tables are touched."""
    if Ledger._meta.db_table in connection.introspection.table_names():
        # Only these columns: the table may be of an earlier version.
        held = Ledger.objects.filter(pk=1).values("homeserver_name", "homeserver_kind").first()
        if held is not None:
            check(Ledger(**held))


def migrations_due() -> bool:
    """Whether the ledger, or the sample homeserver that goes with it, lacks a migration. Raises DatabaseError."""
    return any(lacks_migrations(alias) for alias in migrated_aliases())


def migrated_aliases() -> list[str]:
    """The databases whose tables are ours: an attached homeserver's are not."""
    return ["default"] if settings.HOMESERVER_ATTACHED else ["default", ALIAS]


def lacks_migrations(alias: str) -> bool:
    """Looks into no migration where each is recorded: loading them all takes a tenth of a second."""
    recorded = MigrationRecorder(connections[alias]).applied_migrations()
    if recorded.keys() >= set(known_migrations()):
        return False
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def known_migrations() -> Iterator[tuple[str, str]]:
    """App and name of each migration there is, by its file."""
    for app in apps.get_app_configs():
        name, _ = MigrationLoader.migrations_module(app.label)
        package = name and find_spec(name)
        for found in iter_modules(package.submodule_search_locations or () if package else ()):
            if not found.ispkg and found.name[0] not in "_~":
                yield app.label, found.name


def migrate_all() -> Iterator[tuple[str, bool]]:
    """Migrate each database of ours; yields its alias, once it is done, and whether there was anything to do.

    Raises TablesHeldError.
    """
    for alias in migrated_aliases():
        due = lacks_migrations(alias)
        if due:
            migrate(alias)
        yield alias, due
