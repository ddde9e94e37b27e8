"""Points Django's two aliases at one database or another while the tests run.

The settings of each database are those that dashboard.settings makes of the environment,
so the tests meet the options (transaction mode, read-only, time-outs) that operators get.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from asgiref.sync import SyncToAsync
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections
from django.db.utils import ConnectionHandler

from tests.environment import DATA_DIR, ROOT, settings_with
from tests.postgresql import Cluster

ENGINES = ("sqlite", "postgresql")
# What a process started now needs to meet the same databases; kept by the functions below.
CURRENT: dict[str, str] = {}
HOMESERVER_SETTINGS = (
    "HOMESERVER_ATTACHED",
    "HOMESERVER_KIND",
    "HOMESERVER_NAME",
    "HOMESERVER_URL",
    "HOMESERVER_TOKEN",
)


def point(alias: str, database: dict[str, Any]) -> None:
    """Make `alias` mean `database` from now on, in this thread and in those to come."""
    forget(alias)
    # Threads of the async bridge outlive a test and keep a connection of their own.
    SyncToAsync.single_thread_executor.submit(forget, alias).result()
    completed = ConnectionHandler({"default": database}).settings["default"]  # with Django's defaults filled in
    connections.settings[alias] = completed
    ContentType.objects.clear_cache()


def forget(alias: str) -> None:
    connection = connections[alias]
    connection.close()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    del connections[alias]


@dataclass
class Ledgers:
    """The ledger's database on each engine, migrated when a test first asks for it."""

    cluster: Any  # a function that returns the Cluster, started only when it is needed
    urls: dict[str, str] = field(default_factory=dict)

    def use(self, engine: str) -> None:
        """Point `default` at this engine's database."""
        fresh = engine not in self.urls
        if fresh:
            self.urls[engine] = self.create(engine)
        point("default", settings_with({"DATABASE_URL": self.urls[engine]})["DATABASES"]["default"])
        if fresh:
            call_command("migrate", database="default", verbosity=0)
        CURRENT["DATABASE_URL"] = self.urls[engine]

    def create(self, engine: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{DATA_DIR}/ledger.sqlite3"
        cluster: Cluster = self.cluster()
        return cluster.url_of(cluster.create_database("ledger"))


@dataclass(frozen=True)
class AttachedHomeserver:
    """A foreign database that the `homeserver` alias reads, and the way to write to it as Synapse would."""

    environ: Mapping[str, str]  # what a process needs to be attached to the same
    owner: str  # PostgreSQL: the owner's URL; SQLite: the file


@contextmanager
def attached(homeserver: AttachedHomeserver) -> Iterator[AttachedHomeserver]:
    """Attach the `homeserver` alias; afterwards it is the sample homeserver again."""
    chosen = settings_with(homeserver.environ)
    before = {name: getattr(settings, name) for name in HOMESERVER_SETTINGS}
    database = connections.settings["homeserver"]
    point("homeserver", chosen["DATABASES"]["homeserver"])
    for name in HOMESERVER_SETTINGS:
        setattr(settings, name, chosen[name])
    CURRENT.update(homeserver.environ)
    try:
        yield homeserver
    finally:
        for name in homeserver.environ:
            del CURRENT[name]
        for name, value in before.items():
            setattr(settings, name, value)
        point("homeserver", database)


@contextmanager
def attached_database(cluster: Cluster, schema: str) -> Iterator[AttachedHomeserver]:
    """Attach a fresh database of this cluster, read with the role of docs/attach.md; dropped afterwards."""
    database = cluster.create_database("synapse")
    with cluster.connect(database) as connection:
        connection.execute(schema)
    url = create_reader(cluster, database, documented_grants(ROOT / "docs" / "attach.md"))
    environ = {"HOMESERVER_DATABASE_URL": url, "HOMESERVER_NAME": "matrix.example"}
    with attached(AttachedHomeserver(environ=environ, owner=cluster.url_of(database))) as homeserver:
        yield homeserver
    drop_reader(cluster, url, database)


def create_reader(cluster: Cluster, database: str, grants: str) -> str:
    """Run the documented GRANTs in `database` for a role of its own; return the URL it signs in with."""
    role, password = f"reader_{secrets.token_hex(6)}", secrets.token_hex(8)
    statements = grants.replace("quarantine_dashboard", role).replace("'a long password'", f"'{password}'")
    with cluster.connect(database) as connection:
        connection.execute(statements.replace("DATABASE synapse", f"DATABASE {database}"))
    return cluster.url_of(database, user=role, password=password)


def drop_reader(cluster: Cluster, url: str, database: str) -> None:
    role = urlsplit(url).username
    with cluster.connect(database) as connection:
        connection.execute(f"DROP OWNED BY {role}")
    cluster.drop_database(database)
    with cluster.connect() as connection:
        connection.execute(f"DROP ROLE {role}")


def documented_grants(guide: Path) -> str:
    """The first SQL block of the guide on attaching: tested as it is written."""
    return guide.read_text().split("```sql\n", 1)[1].split("```", 1)[0]
