"""The insights page: each number is what its link leads to."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from dashboard.plots.charts import scale, shade
from dashboard.plots.periods import after, floor
from dashboard.plots.totals import difference, median
from dashboard.search.filters import ChangeFilter
from quarantine.counting.tallies import step
from quarantine.models import Change, Role, Source, State
from tests.factories import make_action, make_categories, make_change, make_ledger, make_staff

pytestmark = pytest.mark.django_db
EVIL = "\"'><script>alert(1)</script>{{7}}"
HASH = "ab" * 32


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("reader", role=Role.VIEWER))
    return client


@pytest.fixture
def changes():
    """Of the last two days, by all means, one by one long before."""
    make_categories("raid")
    now = timezone.now()
    make_change(seen_at=now - timedelta(days=800), uploader="@old:matrix.example")
    make_change(seen_at=now - timedelta(days=2), media_id="a", sha256=HASH, uploader=EVIL)
    make_change(seen_at=now - timedelta(days=2), media_id="b", sha256=HASH, origin="-x.example", changed_by=EVIL)
    make_change(seen_at=now - timedelta(days=2), source=Source.BACKFILL, not_before=None, changed_by="@a:b.example")
    make_change(seen_at=now - timedelta(hours=30), cause="hash", changed_by="system", source=Source.AUDIT)
    make_change(seen_at=now - timedelta(hours=3), media_id="a", state=State.RELEASED, changed_by="mod", sha256=HASH)
    make_change(seen_at=now - timedelta(hours=2), media_id="b", origin="-x.example", state=State.DELETED)
    make_change(seen_at=now, action=make_action(category="raid"), changed_by="mod", uploader="@u:matrix.example")


def promised(answer):
    """Each number on the page that leads somewhere, and the address."""
    context = answer.context
    for line in context["lines"]:
        yield from line.cells + line.sources
        yield sum(number for number, _ in line.cells), line.href
    for card in context["cards"]:
        yield from ((bar.number, bar.href) for bar in card.bars)
    yield from ((int(tile.value.replace(",", "")), tile.href) for tile in context["tiles"] if tile.href)


def led_to(href):
    filters = ChangeFilter(QueryDict(urlsplit(href).query), queryset=Change.objects.all())
    assert filters.is_valid(), (href, filters.problems)
    return filters.qs.count()


@pytest.mark.usefixtures("changes")
@pytest.mark.parametrize(
    "query", ["", "range=24h", "range=7d", "range=12mo&backfill=off", "range=all", "range=all&backfill=off"]
)
def test_each_number_is_what_its_link_leads_to(client, query):
    answer = client.get(f"/insights/?{query}")

    numbers = [(number, href) for number, href in promised(answer) if href]
    assert len(numbers) > 15
    assert [(led_to(href), href) for _, href in numbers] == numbers


@pytest.mark.usefixtures("changes")
def test_counts_what_the_period_holds(client):
    since = f"{timezone.now() - timedelta(hours=40):%Y-%m-%dT%H:%M:%SZ}"

    answer = client.get("/insights/", {"after": since})

    assert [tile.value for tile in answer.context["tiles"]] == ["2", "1", "1", "about 43 h"]
    assert answer.context["tiles"][0].note == "33% fewer than 3 in as much time before"
    cards = {card.slug: card for card in answer.context["cards"]}
    assert [(bar.label, bar.number) for bar in cards["actor"].bars] == [("mod", 2), ("System", 1)]
    assert cards["actor"].rest == [("Not known", 1, "25%")]
    assert [(bar.label, bar.number) for bar in cards["reason"].bars] == [("Raid", 1)]
    assert sum(cell.number for _, cells in answer.context["week"] for cell in cells) == 4


@pytest.mark.usefixtures("changes")
def test_backfill_can_be_left_out(client):
    with_it = client.get("/insights/?range=7d").context
    without = client.get("/insights/?range=7d&backfill=off").context

    assert [with_it["tiles"][0].value, without["tiles"][0].value] == ["5", "4"]
    assert {card.slug: card for card in with_it["cards"]}["source"].bars[-1].label == "Found already so"
    assert "Found already so" not in [bar.label for card in without["cards"] for bar in card.bars]
    assert "found" not in dict(without["series"])


@pytest.mark.usefixtures("changes")
def test_names_of_strangers_do_no_harm(client):
    page = client.get("/insights/?range=7d").text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{7}}" in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("after=yesterday", "after: “yesterday” is not a date like 2026-11-22"),
        ("after=2026-02-02&before=2026-02-01", "“after” must be earlier than “before”."),
        ("range=5d", "range: “5d” is not one of 24h, 7d, 30d, 90d, 12mo or all."),
        ("range=7d&after=2026-02-02", "Give either a range or dates, not both."),
        ("after=2026-02-02&after=2026-02-03", "after: Give it only once."),
        ("backfill=maybe", "backfill: “maybe” is not one of on or off."),
        ("origin=x", "There is no parameter “origin”."),
        ("after=%00", "is not a date like"),
    ],
)
def test_a_mistake_is_named(client, query, sentence):
    make_change()

    answer = client.get(f"/insights/?{query}")

    assert answer.status_code == 422
    assert sentence in answer.text
    assert '<svg class="chart' not in answer.text


def test_says_what_there_is_not(client):
    assert "Nothing recorded yet" in client.get("/insights/").text
    make_ledger()
    assert "Nothing recorded yet" in client.get("/insights/").text
    make_change()
    for query in ("range=24h", "after=2999-01-01", "before=0001-01-02", "after=0001-01-01&before=0001-01-02"):
        answer = client.get(f"/insights/?{query}")
        assert answer.status_code == 200
        assert "No changes in this period" in answer.text, query
    assert answer.context["told"].first == Change.objects.get().seen_at


@pytest.mark.usefixtures("changes")
def test_any_length_of_time_makes_few_columns(client):
    for query, grain in [
        ("range=24h", "hour"),
        ("range=90d", "day"),
        ("range=all", "week"),
        ("after=0001-01-01", "year"),
    ]:
        answer = client.get(f"/insights/?{query}")
        assert answer.context["told"].grain == grain
        assert 1 <= len(answer.context["lines"]) <= 160
        assert (
            sum(number for line in answer.context["lines"] for number, _ in line.cells) == answer.context["told"].total
        )


@pytest.mark.usefixtures("changes")
def test_costs_the_same_few_queries(client, django_assert_max_num_queries):
    for _ in range(30):
        make_change()
    with django_assert_max_num_queries(45):
        client.get("/insights/?range=all")


def test_claims_no_more_of_files_than_was_counted(client, monkeypatch):
    for place in range(4):
        make_change(sha256=f"{place:064x}", source=Source.BACKFILL if place % 2 else Source.FEED)
    assert "No file was quarantined twice in this period." in client.get("/insights/?range=all").text

    monkeypatch.setattr("quarantine.counting.insights.LIVE_KEPT", 1)

    assert "No file was quarantined more than 2 times in this period." in client.get("/insights/?range=all").text


@pytest.mark.usefixtures("changes")
def test_says_what_is_not_added_up(client, monkeypatch):
    monkeypatch.setattr("quarantine.counting.insights.LIVE_MOST", 5)

    page = client.get("/insights/?range=all").text

    assert "The newest 3 changes are not added up yet." in page


def test_everybody_who_may_read_may_look():
    assert Client().get("/insights/").status_code == 302
    assert Client().post("/insights/").status_code == 302


# --- Arithmetic ---------------------------------------------------------------------------


def test_buckets_follow_one_another_without_gaps():
    for grain, length in [("hour", 30), ("day", 40), ("week", 60), ("month", 30), ("year", 10)]:
        start = floor(grain, datetime(2023, 12, 30, 17, 5, tzinfo=UTC))
        for _ in range(length):
            end = after(grain, start)
            assert floor(grain, end) == end
            assert floor(grain, end - timedelta(seconds=1)) == start
            start = end


def test_scale_is_round_and_high_enough():
    for highest in [*range(300), 12_345, 10_000_000]:
        top = scale(highest)
        assert top >= highest
        assert top % 4 == 0
    assert [scale(number) for number in (0, 4, 5, 21, 342)] == [4, 4, 8, 40, 400]


def test_shades_and_differences():
    assert [shade(number, 100) for number in (0, 1, 4, 5, 100)] == [0, 1, 1, 2, 5]
    assert difference(3, 0) == ("None in as much time before", True)
    assert difference(3, 4) == ("25% fewer than 4 in as much time before", False)
    assert difference(1_001, 1_000)[0] == "Under 1% more than 1,000 in as much time before"


def test_median_is_right_to_a_twentieth():
    waits = [timedelta(minutes=1), timedelta(hours=5), timedelta(days=40)]

    found = median({step(wait): 1 for wait in waits})

    assert abs(found / timedelta(hours=5).total_seconds() - 1) < 0.05
