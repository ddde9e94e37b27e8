"""Keyset pages: nothing skipped, nothing shown twice, in either direction."""

from datetime import timedelta
from itertools import chain

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from dashboard.search import lanes, pages
from dashboard.search.filters import ChangeFilter
from dashboard.search.lanes import next_window
from dashboard.search.pages import Count, change_page
from quarantine.models import Change, Ledger, State
from tests.factories import BEGINNING, make_change, make_changes

pytestmark = pytest.mark.django_db


def page(query="", *, budget=60.0, **ledger):
    head = Ledger.objects.get().head
    return change_page(
        ChangeFilter(QueryDict(query), queryset=Change.objects.all()), head=head, budget=budget, **ledger
    )


def positions(some_page):
    return [change.pk for change in some_page.changes]


def walk(start, direction):
    """The pages from `start` on, by the links of each."""
    yield (here := start)
    while (query := getattr(here, direction)) is not None:
        yield (here := page(query))


@pytest.fixture(autouse=True)
def _nothing_counted():
    pages.COUNTS.answers.clear()


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(pages, "FIRST_WINDOW", 3)
    monkeypatch.setattr(lanes, "SMALLEST_WINDOW", 1)
    monkeypatch.setattr(pages, "WINDOW_AIM", 0.0)  # so that windows never grow
    monkeypatch.setattr(lanes, "FIRST_WINDOW", 3)
    monkeypatch.setattr(lanes, "PIECE", 2)
    monkeypatch.setattr(pages, "LOOKED_UP", 2)


# --- Back and forth -----------------------------------------------------------------------


@pytest.mark.parametrize("total", [0, 1, 4, 5, 6, 10, 12])
def test_older_pages_visit_each_row_once(total):
    make_changes(total) if total else make_empty_ledger()

    visited = [positions(each) for each in walk(page("limit=5"), "older")]

    assert [*chain(*visited)] == list(range(total, 0, -1))
    assert all(len(each) == 5 for each in visited[:-1])


def make_empty_ledger():
    Ledger.objects.create(homeserver_name="matrix.example", homeserver_kind="sample")


def test_newer_pages_lead_back_the_same_way():
    make_changes(12)
    *_, last = there = list(walk(page("limit=5"), "older"))

    back = list(walk(last, "newer"))

    assert [positions(each) for each in back] == [positions(each) for each in reversed(there)]
    assert back[-1].query == "limit=5"
    assert back[-1].newest


def test_rows_that_arrive_meanwhile_move_no_page():
    make_changes(10)
    older = page("limit=5").older
    before = positions(page(older))

    make_changes(3)

    assert positions(page(older)) == before
    assert positions(page(page(older).newer)) == [10, 9, 8, 7, 6]
    assert positions(page(page(page(older).newer).newer)) == [13, 12, 11, 10, 9]


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("query", ["state=released&scope=local", "q=rare", "by=-system", "state=released"])
def test_searched_pages_visit_each_match_once_both_ways(query):
    for number in range(1, 31):
        rare = number % 7 == 0
        make_change(
            state=State.RELEASED if rare else State.QUARANTINED,
            upload_name="Rare.png" if rare else "",
            changed_by="" if rare else "system",
        )

    *_, last = there = list(walk(page(f"{query}&limit=2"), "older"))
    back = list(walk(last, "newer"))

    assert [*chain(*map(positions, there))] == [28, 21, 14, 7]
    assert [*chain(*map(positions, reversed(back)))] == [28, 21, 14, 7]


def test_a_cursor_beyond_the_head_shows_the_newest():
    make_changes(3)

    assert positions(page("cursor=9223372036854775807")) == [3, 2, 1]


def test_a_page_shows_nothing_above_the_head_it_was_given():
    make_changes(3)
    Ledger.objects.update(head=2)

    assert positions(page()) == [2, 1]
    assert page().head == 2


def test_gaps_between_positions_do_no_harm():
    make_change()
    make_change(stream_id=1_000_000)
    make_change()

    assert positions(page("limit=1")) == [1_000_001]
    searched = walk(page("state=quarantined&scope=local&limit=1"), "older")
    assert [*chain(*map(positions, searched))] == [1_000_001, 1_000_000, 1]


# --- Searching within a budget ------------------------------------------------------------


@pytest.mark.usefixtures("small_windows")
def test_a_search_that_takes_too_long_says_how_far_it_got():
    make_change(upload_name="needle")
    make_changes(8)

    first = page("q=needle", budget=0)

    assert positions(first) == []
    assert first.older == "q=needle&cursor=7"
    assert first.searched_back_to == BEGINNING + timedelta(seconds=7)
    assert first.count == Count(0, more=True)


@pytest.mark.usefixtures("small_windows")
def test_going_on_with_a_search_ends_at_the_beginning():
    make_change(upload_name="needle")
    make_changes(8)

    steps = [page("q=needle", budget=0)]
    while steps[-1].older:
        steps.append(page(steps[-1].older, budget=0))

    assert [positions(step) for step in steps] == [[], [], [1]]
    assert steps[-1].searched_back_to is None


def test_windows_grow_where_searching_is_quick_and_shrink_where_it_is_slow():
    assert next_window(10_000, took=0.001, aim=0.1) == 40_000
    assert next_window(10_000, took=0.1, aim=0.1) == 10_000
    assert next_window(10_000, took=0.2, aim=0.1) == 5_000
    assert next_window(10_000, took=60, aim=0.1) == 2_500
    assert next_window(1_500, took=60, aim=0.1) == 1_000


@pytest.mark.parametrize(
    ("query", "statements"),
    [
        ("", 1),
        ("cursor=11", 2),  # the newer page's cursor
        ("origin=matrix.example", 1),  # all on one page: counted by looking
        ("origin=matrix.example&limit=5", 2),  # and the count
        ("state=released&scope=local", 1),
        ("after=2026-03-01", 2),  # the date's position
        ("state=banana", 0),
    ],
)
def test_a_page_costs_few_statements(query, statements):
    make_changes(20)
    head = Ledger.objects.get().head
    filters = ChangeFilter(QueryDict(query), queryset=Change.objects.all())

    with CaptureQueriesContext(connection) as captured:
        change_page(filters, head=head)

    assert len(captured) == statements
    assert not [query["sql"] for query in captured if "OFFSET" in query["sql"] or "COUNT(" in query["sql"]]


# --- Counts -------------------------------------------------------------------------------


def test_everything_is_counted_by_the_head():
    make_changes(7)

    assert str(page("limit=5").count) == "7"


def test_matches_are_counted_up_to_a_thousand(monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 10)
    make_changes(10)
    make_changes(12, origin="remote.example")

    assert str(page("scope=local&limit=5").count) == "10"
    assert str(page("scope=remote&limit=5").count) == "10+"
    assert str(page("scope=remote&limit=5&cursor=15").count) == "10+"
    assert str(page("scope=local&limit=50").count) == "10"


def test_a_range_of_dates_is_counted_by_its_positions(monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 10)
    make_changes(30)  # a second apart
    after, before = "after=2026-03-01T12:00:11Z", "before=2026-03-01T12:00:26Z"

    assert str(page(f"{after}&limit=5").count) == "20"
    assert str(page(f"{before}&limit=5").count) == "25"
    assert str(page(f"{after}&{before}&limit=5&cursor=20").count) == "15"
    assert str(page("after=2026-03-02&limit=5").count) == "0"
    assert str(page(f"{after}&limit=5", left_out=1).count) == "10+", "where a gap lies is not known"


def test_what_was_counted_for_one_page_is_said_on_the_others(monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 10)
    make_changes(8)

    assert str(page("scope=local&limit=2", edition="eight").count) == "8"
    make_changes(1)
    assert str(page("scope=local&limit=2&cursor=5", edition="eight").count) == "9", "up to another head"
    with CaptureQueriesContext(connection) as captured:
        again = page("scope=local&limit=2&cursor=7", edition="eight")
    assert (str(again.count), len(captured)) == ("9", 3)  # the head's, the page's and the newer page's
    assert str(page("scope=local&limit=2&cursor=7").count) == "9"
    Change.objects.filter(pk=1).update(local=False)  # stands for whatever makes another edition
    assert str(page("scope=local&limit=2&cursor=7", edition="eight").count) == "9"
    assert str(page("scope=local&limit=2&cursor=7", edition="other").count) == "8"
    assert str(page("scope=local&limit=2&cursor=7").count) == "8"
    assert str(page("scope=local&limit=2&cursor=7", edition="eight").count) == "9"


def test_counts_have_separators():
    assert str(Count(1_000, more=True)) == "1,000+"


def test_a_mistake_shows_nothing_and_counts_nothing():
    make_changes(3)

    nothing = page("state=banana")

    assert positions(nothing) == []
    assert nothing.count is None
    assert not nothing.newest
