"""What is exported beside changes, and what is quarantined now, read from a real streaming replica."""

import json

import pytest

from quarantine import consumers
from quarantine.accounts.access_record import record
from quarantine.models import Access, Scope
from tests.dashboard.test_live import append
from tests.dashboard.test_replica import ANYTHING, reader, replica, server  # noqa: F401 - fixtures
from tests.factories import make_action
from tests.quarantine.followers import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]
EXPORTS = ("/actions.ndjson", "/record.ndjson")
QUARANTINED = "/api/v1/quarantined"


@pytest.fixture
def in_step(reader, replica, pg_cluster):  # noqa: F811 - fixtures
    """Whoever reads, beside a replica that has it all."""
    make_action(reason="Why")
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)  # not left alone any more
    return reader


def held(person, token):
    """Positions of what is quarantined now."""
    answer = person.server.request("GET", QUARANTINED, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200
    return [change["stream_id"] for change in json.loads(answer.body)["quarantined"]]


def targets(text):
    return [json.loads(line)["target"] for line in text.splitlines()]


@pytest.mark.parametrize("path", EXPORTS)
def test_records_are_exported_from_the_replica(in_step, path):
    assert in_step.asks_replica(path, last=ANYTHING)
    assert len(in_step.get(path).splitlines()) >= 1


def test_what_is_quarantined_is_read_from_the_replica(in_step, replica):  # noqa: F811 - fixtures
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    before = set(replica.ask(ANYTHING))

    assert held(in_step, token) == [1, 2, 3, 4, 5]
    assert not set(replica.ask(ANYTHING)) <= before


def test_a_replica_that_lags_leaves_out_nothing(in_step, replica):  # noqa: F811 - fixtures
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    replica.hold_back()
    try:
        append()
        record(Access.REVEAL, by=None, target="mxc://late.example/late")
        make_action(target="@late:late.example")

        assert held(in_step, token) == [1, 2, 3, 4, 5, 6]
        assert "mxc://late.example/late" in targets(in_step.get("/record.ndjson"))
        assert "@late:late.example" in targets(in_step.get("/actions.ndjson"))
    finally:
        replica.let_go()


def test_a_replica_that_hangs_keeps_nobody_from_records(in_step, replica):  # noqa: F811 - fixtures
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    assert all(in_step.get(path) for path in EXPORTS)

    with replica.hung("quarantine-replica"):
        assert held(in_step, token) == [1, 2, 3, 4, 5]
        assert all(in_step.get(path) for path in EXPORTS)
        assert in_step.server.logged("The replica can't be read")
