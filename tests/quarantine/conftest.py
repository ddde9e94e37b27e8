"""An attached homeserver to write to as Synapse does, and the ledger bound to it."""

import pytest

from quarantine import ledger
from tests.quarantine.synapse_tables import open_tables


@pytest.fixture
def synapse(request, transactional_db, engine):
    """The tables of an attached homeserver on the engine that the ledger is on."""
    with open_tables(request.getfixturevalue(f"attached_{engine}").owner) as tables:
        ledger.bind()
        yield tables


@pytest.fixture
def synapse_on_postgresql(attached_postgresql):
    """The tables of a homeserver on PostgreSQL, whatever the ledger is on."""
    with open_tables(attached_postgresql.owner) as tables:
        ledger.bind()
        yield tables
