"""The plot in the timeline's summary: the changes of each of the last 24 hours."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from quarantine import ledger
from quarantine.counting.summaries import hourly, last_hours
from quarantine.ledger import JUMP
from quarantine.models import Change
from tests.factories import make_change, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    return client


def this_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0)


def plot(client):
    """What is drawn, or None."""
    found = re.search(r'<a class="s".*?</a>', region(client.get("/"), "summary"), re.DOTALL)
    return found and found[0]


def test_draws_each_hour_with_changes_and_says_what_it_draws(client):
    for ago, times in [(24, 5), (23, 1), (7, 3), (0, 2)]:  # hours; the first is over for too long
        for _ in range(times):
            make_change(seen_at=this_hour() - HOUR * ago)

    drawn = plot(client)

    words = f"at most 3, from {this_hour() - HOUR * 7:%H}:00 UTC; 2 in the hour under way. To the insights."
    assert drawn.startswith('<a class="s" href="/insights/?range=24h" title="Changes per hour, the last 24 hours: ')
    assert f'role="img" aria-label="Changes per hour, the last 24 hours: {words}"' in drawn
    assert [len(re.findall(r"v-([0-9.]+)", path)) for path in re.findall(r'd="(M[^"]*z)"', drawn)] == [2, 1]
    assert re.findall(r"v-([0-9.]+)", drawn) == ["6.0", "18.0", "12.0"]
    assert "most 3/h" in drawn


def test_nothing_is_drawn_of_nothing(client):
    assert plot(client) is None
    make_change(seen_at=this_hour() - HOUR * 24)

    assert plot(client) is None


def test_a_change_is_drawn_at_once(client):
    make_change(seen_at=this_hour() - HOUR)
    before = plot(client)

    make_change(seen_at=this_hour())

    assert "; 0 in the hour under way" in before
    assert "; 1 in the hour under way" in plot(client)


def test_positions_that_were_left_out_are_no_changes():
    hours = last_hours(datetime(2026, 3, 2, 12, 30, tzinfo=UTC))
    for ago in (30, 20, 3, 3):
        make_change(seen_at=hours[-1] - HOUR * ago + timedelta(minutes=5))
    head = ledger.new_generation().head
    for ago in (3, 0, 0):
        make_change(seen_at=hours[-1] - HOUR * ago + timedelta(minutes=9), stream_id=(head := head + 1))

    numbers = hourly(datetime(2026, 3, 2, 12, 30, tzinfo=UTC), head=head)

    assert {24 - 1 - place: number for place, number in enumerate(numbers) if number} == {20: 1, 3: 3, 0: 2}
    assert Change.objects.latest("pk").pk > JUMP
