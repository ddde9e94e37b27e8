"""Filters followed side by side find exactly what they would find one by one, in either direction, in pieces of any size."""

from itertools import product

import pytest
from django.db import connection
from django.db.models import Q
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dashboard.search import lanes, pages
from dashboard.search.filters import ChangeFilter
from dashboard.search.lanes import Span, crossing
from dashboard.search.pages import change_page
from quarantine.models import Change
from tests.factories import make_change, make_ledger

HIGHEST = 40
positions = st.frozensets(st.integers(1, HIGHEST), max_size=HIGHEST)


class Made(Span):
    """Reads from sets instead of a database: the walk itself is what is tried here."""

    def read(self, way, *, after):
        return sorted((key for key in self.keys_of([way]) if key < after), reverse=True)[: lanes.PIECE]

    def shared(self, filters, *, after, until):
        common = set.intersection(*map(self.keys_of, filters))
        return sorted((key for key in common if until <= key < after), reverse=True)[: lanes.MOST_SHARED]

    def keys_of(self, ways):
        return {key for key in self.positions([*set().union(*ways)]) if self.end <= key < self.start}


@given(
    filters=st.lists(st.lists(positions, min_size=1, max_size=2), min_size=1, max_size=3),
    low=st.integers(1, HIGHEST),
    length=st.integers(1, HIGHEST),
    newest_first=st.booleans(),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 9)),
)
def test_what_all_share_is_found_once_and_in_order(filters, low, length, newest_first, sizes):
    piece, window = sizes
    span = Made(Change.objects.none(), low, low + length, newest_first)
    shared = set.intersection(*map(span.keys_of, filters))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "PIECE", piece)
        patch.setattr(lanes, "MOST_SHARED", piece)
        patch.setattr(lanes, "FIRST_WINDOW", window)
        patch.setattr(lanes, "SMALLEST_WINDOW", window)
        pieces = list(crossing(filters, span, after=span.start, aim=0))

    keys = [key for found, _ in pieces for key in found]
    edges = [edge for _, edge in pieces]
    assert [key for key in keys if key in shared] == sorted(shared, reverse=True)
    assert keys == sorted(set(keys), reverse=True)
    assert all(edge <= key for found, edge in pieces for key in found)
    assert edges == sorted(edges, reverse=True)
    assert edges[-1] == span.end


@pytest.mark.django_db
def test_years_in_which_one_of_them_has_nothing_are_skipped(monkeypatch):
    monkeypatch.setattr(pages, "FIRST_WINDOW", 3)
    monkeypatch.setattr(lanes, "PIECE", 5)
    monkeypatch.setattr(lanes, "FIRST_WINDOW", 5)
    for number in range(1, 400):
        make_old_or_new(number)
    make_ledger(head=399)

    with CaptureQueriesContext(connection) as captured:
        page = change_page(
            ChangeFilter(QueryDict("by=ann&source=audit"), queryset=Change.objects.all()), head=399, budget=60
        )

    assert (page.changes, page.older, page.searched_back_to) == ([], None, None)
    assert len(captured) <= 6  # the first window; two probes of each, and one window of both between them


def make_old_or_new(number):
    """The first half is found by an audit, the second done by Ann: the two never meet."""
    by, source = ("", "audit") if number < 200 else ("ann", "feed")
    Change.objects.create(
        stream_id=number, origin="matrix.example", media_id="abc", local=True, quarantined=True,
        seen_at="2026-03-01T00:00:00Z", changed_by=by, source=source,
    )  # fmt: skip


@pytest.mark.django_db
def test_any_two_filters_find_what_a_plain_query_finds(monkeypatch):
    monkeypatch.setattr(pages, "FIRST_WINDOW", 3)
    monkeypatch.setattr(lanes, "PIECE", 3)
    monkeypatch.setattr(lanes, "FIRST_WINDOW", 5)
    monkeypatch.setattr(lanes, "SMALLEST_WINDOW", 2)
    for number in range(30):
        by, origin = ("ann", "ben", "")[number % 3], ("matrix.example", "one.example")[number % 2]
        make_change(changed_by=by, origin=origin, media_type=("image/png", "video/mp4", "text/plain")[number % 7 % 3])
    asked = {
        "by=ann": Q(changed_by="ann"),
        "by=ann&by=ben": Q(changed_by__in=["ann", "ben"]),
        "by=-ann": ~Q(changed_by="ann"),
        "scope=remote": Q(local=False),
        "type=image": Q(media_class="image"),
        "type=video/mp4&type=text": Q(media_type="video/mp4") | Q(media_class="text"),
        "state=quarantined": Q(quarantined=True),
        "origin=nowhere.example": Q(origin="nowhere.example"),
    }

    for (one, first), (other, second) in product(asked.items(), repeat=2):
        if one.partition("=")[0] != other.partition("=")[0]:
            page = change_page(
                ChangeFilter(QueryDict(f"{one}&{other}"), queryset=Change.objects.all()), head=30, budget=60
            )
            assert page.changes == list(Change.objects.filter(first, second).order_by("-stream_id")), (one, other)
