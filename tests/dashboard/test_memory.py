"""What is kept of a state of the ledger is never shown of another."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.serving.memory import Memory
from quarantine.models import Change, Ledger
from tests.factories import make_change, make_changes, make_staff


@pytest.fixture
def reads(client, db):
    """A function: how many of the page's statements read changes."""
    client.force_login(make_staff())

    def count(path="/"):
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return sum('"quarantine_change"."origin"' in query["sql"] for query in captured)

    return count


def test_the_same_page_is_read_once(reads):
    make_changes(3)

    assert [reads(), reads(), reads("/?scope=local"), reads("/?scope=local"), reads()] == [1, 0, 1, 0, 0]


def test_a_change_is_shown_at_once(client, reads):
    make_changes(3)
    reads()

    make_change()

    assert reads() == 1
    assert 'id="c4"' in client.get("/").text


def test_another_ledger_at_the_same_position_is_another(client, reads):
    make_change(upload_name="first")
    assert "first" in client.get("/").text
    Change.objects.all().delete()
    Ledger.objects.all().delete()

    make_change(upload_name="second")

    assert "second" in client.get("/").text


def test_a_ledger_restored_and_gone_on_differently_is_another(client, reads):
    make_change(upload_name="first")
    assert "first" in client.get("/").text

    Change.objects.update(upload_name="second", seen_at="2026-03-02T00:00:00Z")
    Ledger.objects.update(last_seen_at="2026-03-02T00:00:00Z")

    assert "second" in client.get("/").text


def test_only_so_much_is_kept_and_what_is_asked_for_stays():
    memory = Memory(2)
    worked_out = []

    def ask(key):
        memory.recall(key, lambda: worked_out.append(key) or key, worth_keeping=lambda answer: answer != "no")

    for key in ("a", "b", "a", "c", "a", "b", "no", "no"):
        ask(key)

    assert worked_out == ["a", "b", "c", "b", "no", "no"]
