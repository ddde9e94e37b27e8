"""A homeserver to write to, attached or the sample one, and the ledger bound to it."""

import pytest

from quarantine import ledger
from quarantine.homeserver.sample import SampleHomeserver
from tests.factories import make_categories, make_staff
from tests.quarantine.acting import US
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


@pytest.fixture
def home(transactional_db):
    """The sample homeserver with us as its moderator, and reasons to act."""
    ledger.bind()
    make_categories()
    return SampleHomeserver(user_id=US)


@pytest.fixture
def moderator(home):
    return make_staff("priya")
