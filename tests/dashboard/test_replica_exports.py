"""Exports read from a real streaming replica: one that is there, that lags, and that dies or hangs half-way."""

import http.client

import pytest

from quarantine import ledger
from quarantine.chain import redaction
from quarantine.entries import Entry
from quarantine.models import Change, Source
from quarantine.mxc import Mxc
from tests.dashboard.test_replica import reader, replica, server  # noqa: F401 - fixtures
from tests.quarantine.followers import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]
FORMS = ("csv", "json", "ndjson")
MANY, LONG = 12_000, "x" * 1_000  # more than sockets hold
EXPORTING = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name LIKE 'quarantine%' AND (query LIKE '%block.rows%' OR query LIKE 'COPY%') AND state = 'active'
"""


def positions(body, form):
    """Of an export's rows, in their order."""
    lines = body.decode().splitlines()
    if form == "csv":
        return [int(line.split(",", 1)[0]) for line in lines[1:]]
    return [int(line.split(":", 1)[1].split(",", 1)[0]) for line in lines if line.startswith('{"stream_id"')]


def exported(person, form, query=""):
    answer = person.server.request("GET", f"/changes.{form}{query}", headers={"Cookie": person.cookie})
    assert answer.status == 200
    return answer.body


@pytest.fixture
def begun(reader, replica, pg_cluster):  # noqa: F811 - fixtures
    """Asks for an export of many changes, which the replica has too, and reads no more than how it begins."""
    media = (Mxc("far.example", f"m{number}") for number in range(MANY))
    ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED, upload_name=LONG) for mxc in media])
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)  # not left alone any more
    connection = http.client.HTTPConnection("127.0.0.1", reader.server.port, timeout=60)

    def begin(form):
        connection.request("GET", f"/changes.{form}", headers={"Cookie": reader.cookie})
        return connection.getresponse()

    yield begin
    connection.close()


@pytest.mark.parametrize("form", FORMS)
def test_a_replica_that_dies_half_way_through_an_export_is_not_noticed(reader, replica, begun, form):  # noqa: F811 - fixtures
    answer = begun(form)
    assert eventually(lambda: replica.ask(EXPORTING)), "the export isn't read from the replica"

    replica.stop()

    body = answer.read()  # raises where the answer breaks off
    assert positions(body, form) == list(range(MANY + 5, 0, -1))
    assert reader.server.logged("The replica can't be read")


@pytest.mark.parametrize("form", ["csv", "ndjson"])  # sent by COPY, and row by row
def test_a_replica_that_hangs_half_way_through_an_export_is_left_within_seconds(reader, replica, begun, form):  # noqa: F811 - fixtures
    """It closes no connection, and no statement of its ends: the primary goes on below the last row that came."""
    answer = begun(form)
    assert eventually(lambda: replica.ask(EXPORTING)), "the export isn't read from the replica"

    with replica.hung("quarantine-replica"):
        body = answer.read()  # raises where the answer breaks off, or nothing comes for a minute
        assert positions(body, form) == list(range(MANY + 5, 0, -1))
        assert reader.server.logged("said nothing for")


def test_a_replica_that_lags_exports_nothing(reader, replica, pg_cluster):  # noqa: F811 - fixtures
    """Neither changes that it hasn't got are missing, nor is there what has been blanked meanwhile."""
    ledger.append([Entry(mxc=Mxc("a", "b"), quarantined=True, source=Source.FEED, upload_name="Anna's.jpg")])
    replica.catch_up(pg_cluster)
    eventually(reader.asks_replica)
    assert all(b"Anna's.jpg" in exported(reader, form) for form in FORMS)
    replica.hold_back()
    try:
        redaction.redact(redaction.of_media(Mxc("a", "b")), reason="Asked for", by=None)

        assert not any(b"Anna's.jpg" in exported(reader, form) for form in FORMS)
        ledger.append([Entry(mxc=Mxc("a", "c"), quarantined=True, source=Source.FEED)])
        assert [positions(exported(reader, form), form)[0] for form in FORMS] == [7, 7, 7]
    finally:
        replica.let_go()
    assert Change.objects.count() == 7
