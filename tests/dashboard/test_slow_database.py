"""A ledger's database that takes too long: pages are stopped and say so, what takes as long as its reader goes on."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from dashboard.configuration.databases import POSTGRESQL, bounded
from dashboard.signing_in.session_store import SEEN
from dashboard.signing_in.sessions import NOTED_EVERY
from tests.factories import make_changes, make_ledger, make_staff
from tests.quarantine.followers import eventually
from tests.servers import running_server

SECONDS = 1


@pytest.fixture
def cookie(transactional_db):
    make_ledger()
    make_changes(3)
    client = Client()
    client.force_login(make_staff("anna"))
    session = client.session
    session[SEEN] -= NOTED_EVERY + 1  # the next page notes that somebody was here
    session.save()
    return {"Cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"}


@pytest.fixture
def server(process_env, cookie):
    with running_server(process_env(DATABASE_STATEMENT_SECONDS=str(SECONDS))) as server:
        yield server


@contextmanager
def locked(table="quarantine_change", mode="ACCESS EXCLUSIVE"):
    """Nobody reads a change meanwhile; or what else is said."""
    with transaction.atomic(), connection.cursor() as db:
        db.execute(f"LOCK TABLE {table} IN {mode} MODE")
        yield


def longest_wait(beginning):
    """Seconds that a statement which begins so has been waiting for our lock."""
    with connection.cursor() as db:
        db.execute("SELECT pg_stat_clear_snapshot()")
        db.execute(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0) FROM pg_stat_activity "
            "WHERE query LIKE %s AND wait_event_type = 'Lock' AND datname = current_database()",
            [f"{beginning}%"],
        )
        return db.fetchone()[0]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_page_that_takes_too_long_says_so_and_the_next_is_answered(server, cookie):
    with locked():
        page = server.request("GET", "/", headers=cookie)
        again = server.request("GET", "/", headers=cookie | {"HX-Request": "true"})

    assert (page.status, page.getheader("Retry-After")) == (503, "10")
    assert b"<h1>The ledger&#x27;s database took too long</h1>" in page.body
    assert (again.status, again.body.split(b".")[0]) == (503, b"The ledger's database took too long")
    assert server.request("GET", "/", headers=cookie).status == 200


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_session_that_takes_too_long_to_be_written_is_no_damaged_request(server, cookie):
    with locked("django_session", "EXCLUSIVE"):
        page = server.request("GET", "/", headers=cookie)

    assert (page.status, page.getheader("Retry-After")) == (503, "10")
    assert b"<h1>The ledger&#x27;s database took too long</h1>" in page.body
    assert server.request("GET", "/", headers=cookie).status == 200


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_export_is_not_stopped(server, cookie):
    with ThreadPoolExecutor(1) as reader, locked():
        export = reader.submit(server.request, "GET", "/changes.csv", headers=cookie)
        eventually(lambda: longest_wait("COPY") > 2 * SECONDS)

    assert export.result().status == 200
    assert len(export.result().body.splitlines()) == 4


def test_what_the_operator_asks_of_a_connection_stays():
    database = {"ENGINE": POSTGRESQL, "OPTIONS": {"sslmode": "require", "options": "-c search_path=ours"}}

    assert bounded(database, seconds=30)["OPTIONS"] == {
        "sslmode": "require",
        "options": "-c search_path=ours -c statement_timeout=30s",
    }
    assert bounded({"ENGINE": POSTGRESQL}, seconds=5)["OPTIONS"] == {"options": "-c statement_timeout=5s"}
    assert bounded(database, seconds=0) == database
    assert bounded({"ENGINE": "sqlite"}, seconds=5) == {"ENGINE": "sqlite"}
