"""A real Synapse on PostgreSQL and one on SQLite, started once each for the tests that share them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from quarantine import ledger
from quarantine.homeserver import connect
from quarantine.mxc import Mxc
from tests import databases
from tests.databases import AttachedHomeserver
from tests.environment import ROOT
from tests.synapse.installation import installed
from tests.synapse.lab import Lab, running_lab
from tests.synapse.worlds import SampleWorld, SynapseWorld

RUNNING: list[Lab] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """A failed test shows how Synapse's log ends."""
    report = yield
    if report.failed:
        logs = ((f"Log of Synapse on {lab.database.engine}", lab.log_tail()) for lab in RUNNING)
        report.sections += [(title, log) for title, log in logs if log]
    return report


@pytest.fixture(scope="session")
def synapse_python():
    return installed()


@pytest.fixture(scope="session")
def start_synapse(request, tmp_path_factory, synapse_python):
    """A context manager: a new Synapse on "postgresql" or "sqlite"."""

    @contextmanager
    def start(engine: str) -> Iterator[Lab]:
        folder = tmp_path_factory.mktemp(f"synapse-{engine}-")
        place = str(folder / "homeserver.db")
        if engine == "postgresql":
            cluster = request.getfixturevalue("pg_cluster")
            place = cluster.url_of(cluster.create_database("synapse"))
        with running_lab(folder, place, synapse_python) as lab:
            RUNNING.append(lab)
            yield lab
            RUNNING.remove(lab)

    return start


@pytest.fixture(scope="session")
def synapse_on_postgresql(start_synapse):
    with start_synapse("postgresql") as lab:
        yield lab


@pytest.fixture(scope="session")
def synapse_on_sqlite(start_synapse):
    with start_synapse("sqlite") as lab:
        yield lab


# --- One suite for every kind of homeserver ------------------------------------------------


@pytest.fixture(scope="session")
def synapse_worlds(request):
    """The worlds around the real servers, made when first asked for."""
    made = {}

    def world(engine):
        if engine not in made:
            made[engine] = SynapseWorld(request.getfixturevalue(f"synapse_on_{engine}"))
        return made[engine]

    yield world
    for one in made.values():
        one.close()


@pytest.fixture(params=["sample", "postgresql", "sqlite"])
def world(request, db, synapse_worlds):
    return SampleWorld() if request.param == "sample" else synapse_worlds(request.param)


@pytest.fixture
def new_rows(world):
    """A function: what was appended to the feed since it was last called, in any order."""
    seen = len(world.feed())

    def rows():
        nonlocal seen
        appended = world.feed()[seen:]
        seen += len(appended)
        return Counter((Mxc(row.origin or world.name, row.media_id), row.quarantined) for row in appended)

    return rows


# --- The dashboard, attached --------------------------------------------------------------


@pytest.fixture
def attach(request, transactional_db):
    """A function: from now on the `homeserver` alias, and processes, read this Synapse as docs/attach.md says."""
    with ExitStack() as stack:

        def to(world: SynapseWorld) -> None:
            place = world.lab.database.place
            url = f"sqlite:///{place}"
            if world.lab.database.engine == "postgresql":
                cluster, name = request.getfixturevalue("pg_cluster"), urlsplit(place).path.removeprefix("/")
                url = databases.create_reader(cluster, name, databases.documented_grants(ROOT / "docs" / "attach.md"))
            environ = {"HOMESERVER_DATABASE_URL": url, "HOMESERVER_NAME": world.name}
            environ |= {"HOMESERVER_URL": world.lab.url, "HOMESERVER_TOKEN": world.owner.token}
            stack.enter_context(databases.attached(AttachedHomeserver(environ=environ, owner=place)))
            stack.callback(connect.forget)
            ledger.bind()

        yield to
