"""Databases, processes and the browser for the tests.

A test that touches a database (`@pytest.mark.django_db`, or a fixture that needs one) runs once on
SQLite and once on PostgreSQL: `test_x[sqlite]`, `test_x[postgresql]`. Mark it `sqlite` or
`postgresql` to keep it to one engine; `-m sqlite` on the command line picks a run of one engine.
Both aliases, `default` and `homeserver`, are open to every such test.
"""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import hypothesis
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections

from dashboard.machines.bearer import uses
from quarantine import ledger
from tests import browsers, databases, environment
from tests.databases import ENGINES, AttachedHomeserver, Ledgers
from tests.postgresql import running_cluster
from tests.servers import running_server

pytest_plugins = ["tests.no_skips"]

DATABASE_FIXTURES = {"db", "transactional_db", "live_server"}
HERE = Path(__file__).parent

# A busy machine is slow, not wrong.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


# --- Which test runs on which engine ------------------------------------------------------


def pytest_configure(config):
    config.addinivalue_line("markers", "sqlite: only with the ledger on SQLite")
    config.addinivalue_line("markers", "postgresql: only with the ledger on PostgreSQL")


def pytest_generate_tests(metafunc):
    if uses_database(metafunc.definition):
        only = [name for name in ENGINES if metafunc.definition.get_closest_marker(name)]
        params = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in only or ENGINES]
        metafunc.parametrize("engine", params, indirect=True, scope="session")


def pytest_itemcollected(item):
    """Open both aliases; pytest-django would open `default` alone."""
    if uses_database(item):
        marker = item.get_closest_marker("django_db")
        wanted = {"databases": list(connections)} | (marker.kwargs if marker else {})
        item.add_marker(pytest.mark.django_db(**wanted), append=False)


def uses_database(item) -> bool:
    return bool(item.get_closest_marker("django_db") or DATABASE_FIXTURES.intersection(item.fixturenames))


@pytest.fixture(autouse=True, scope="session")
def engine(request) -> str | None:
    """The engine under the ledger, "sqlite" or "postgresql"; None in a test without a database.

    Of session scope, so that pytest groups the tests by engine and switches once.
    """
    name = getattr(request, "param", None)
    if name:
        blocker = request.getfixturevalue("django_db_blocker")
        ledgers = request.getfixturevalue("ledgers")
        with blocker.unblock():
            ledgers.use(name)
    return name


# --- Databases ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pg_cluster():
    """A private PostgreSQL: `url` (superuser), `connect()`, `create_database()`, `url_of(database)`."""
    with running_cluster() as cluster:
        yield cluster
        databases.forget("default")


@pytest.fixture(scope="session")
def ledgers(request, django_db_setup):
    return Ledgers(cluster=lambda: request.getfixturevalue("pg_cluster"))


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker):
    """In place of pytest-django's: what `manage.py prepare` does; the ledgers come with their engine."""
    with django_db_blocker.unblock():
        call_command("migrate", database="homeserver", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def _empty_cache(request):
    """The cache is a table, but no model's: what empties the tables after a transactional test leaves it."""
    if not uses_database(request.node):
        yield
        return
    request.getfixturevalue("db")
    yield
    if not connections["default"].in_atomic_block:
        cache.clear()


@pytest.fixture(autouse=True)
def _forgotten_uses():
    """What a test's programs did and nothing has written yet; another test's request would."""
    yield
    uses.held.clear()


@pytest.fixture(autouse=True)
def _own_signal_handlers():
    """A command called in this process may handle Ctrl-C and SIGTERM; after the test they end pytest again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def process_env(transactional_db, engine):
    """A function: the environment to start `manage.py …` with, on the databases of this test.

    A process sees only what is committed, so the test is a transactional one.
    """

    def build(**extra: str) -> dict[str, str]:
        return environment.process_environ(databases.CURRENT | extra)

    return build


@pytest.fixture(scope="module")
def server_settings() -> dict[str, str]:
    """Environment variables of `server`; override it where a module needs some."""
    return {}


@pytest.fixture(scope="module")
def server(engine, ledgers, django_db_blocker, server_settings):
    """`manage.py serve` on this engine: one for all tests of a module; between them the ledger is emptied under it."""
    with django_db_blocker.unblock():
        ledger.bind()
    with running_server(environment.process_environ(databases.CURRENT | server_settings)) as server:
        yield server


# --- An attached homeserver ---------------------------------------------------------------


@pytest.fixture
def synapse_schema() -> str:
    """The DDL of an attached homeserver; override it where a test needs another."""
    return (HERE / "synapse_schema.sql").read_text()


@pytest.fixture
def attached_postgresql(transactional_db, pg_cluster, synapse_schema):
    """The `homeserver` alias is a fresh PostgreSQL database, read with the role of docs/attach.md."""
    with databases.attached_database(pg_cluster, synapse_schema) as homeserver:
        yield homeserver


@pytest.fixture
def attached_sqlite(transactional_db, tmp_path, synapse_schema):
    """The `homeserver` alias is a fresh SQLite file (WAL, as Synapse keeps it), opened read-only."""
    file = tmp_path / "synapse.sqlite3"
    environ = {"HOMESERVER_DATABASE_URL": f"sqlite:///{file}", "HOMESERVER_NAME": "matrix.example"}
    with closing(sqlite3.connect(file, autocommit=True)) as owner:
        owner.execute("PRAGMA journal_mode=WAL")
        owner.executescript(synapse_schema)
        with databases.attached(AttachedHomeserver(environ=environ, owner=str(file))) as homeserver:
            yield homeserver


# --- The browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(engine):
    """A real browser (Playwright), closed with the module; no `asyncio.run` in tests that use it.

    Beside its event loop Django keeps connections of their own: they must not meet the next engine.
    """
    with browsers.running_chromium() as browser:
        yield browser
        for alias in connections:
            databases.forget(alias)
