"""A real Synapse on PostgreSQL and one on SQLite, started once each for the tests that share them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.synapse.installation import installed
from tests.synapse.lab import Lab, running_lab

RUNNING: list[Lab] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """A failed test shows how Synapse's log ends."""
    report = yield
    if report.failed:
        report.sections += [(f"Log of Synapse on {lab.database.engine}", lab.log_tail()) for lab in RUNNING]
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
