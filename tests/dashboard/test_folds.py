"""Folding: what belongs together is one line, however long; nothing is hidden, and no page reads it all."""

import random
import re
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.search import folds
from dashboard.search.filters import ChangeFilter
from dashboard.search.folds import far_end, folded_page
from quarantine.ledger import JUMP
from quarantine.models import Cause, Change, Source
from tests.factories import BEGINNING, make_action, make_change, make_changes, make_ledger, make_staff

pytestmark = pytest.mark.django_db
ANN, MOD = "@ann:matrix.example", "@mod:matrix.example"
BACKFILL = {"source": Source.BACKFILL, "not_before": None}


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    return client


def shown(query=""):
    """What the page shows: positions, and folds as (low, high, kind, number in words)."""
    return said(page(query).lines)


def page(query="", *, head=None):
    filters = ChangeFilter(QueryDict(query), queryset=Change.objects.all())
    assert filters.is_valid()
    return folded_page(filters, head=head or Change.objects.count())


def said(lines):
    return [(line.low, line.high, line.kind, str(line.count)) if line.kind else line.change.pk for line in lines]


def make_history(number, **fields):
    first = Change.objects.count() + 1
    for position in range(first, first + number):
        make_change(feed_generation=1, feed_id=position, not_before=None, source=Source.FEED, **fields)


def test_what_belongs_together_is_one_line():
    make_history(6)
    make_changes(5, **BACKFILL)
    make_change()
    make_changes(7, action=make_action(), cause=Cause.USER)
    make_changes(5, action=make_action())
    make_changes(5, changed_by=MOD, uploader=ANN)
    make_changes(5, cause=Cause.HASH, changed_by="system", sha256="ab" * 32, source=Source.AUDIT)

    assert shown() == [
        (30, 34, "copies", "5"),
        (25, 29, "sweep", "5"),
        (20, 24, "action", "5"),
        (13, 19, "action", "7"),
        12,
        (7, 11, "backfill", "5"),
        (1, 6, "history", "6"),
    ]


def test_what_does_not_belong_together_is_not():
    make_changes(4, action=make_action())  # few
    make_change()
    make_changes(5)  # nothing says that they are one event
    for number in range(6):
        make_change(changed_by=MOD, uploader=f"@user{number}:matrix.example")

    assert shown() == [*range(16, 0, -1)]


@pytest.mark.parametrize("jump", [JUMP, 3 * JUMP])
def test_positions_that_were_never_given_out_are_not_counted(jump):
    seen = BACKFILL | {"seen_at": BEGINNING}
    make_changes(5, **seen)
    make_change(stream_id=jump + 6, **seen)
    make_changes(2, **seen)
    make_ledger(left_out=jump)

    assert said(page(head=jump + 8).lines) == [(1, jump + 8, "backfill", "8")]


def test_a_fold_ends_with_its_day():
    night = datetime(2026, 3, 2, tzinfo=UTC)
    make_changes(6, seen_at=night - timedelta(seconds=1), **BACKFILL)
    make_changes(6, seen_at=night, **BACKFILL)

    assert shown() == [(7, 12, "backfill", "6"), (1, 6, "backfill", "6")]
    assert shown("limit=1") == [(7, 12, "backfill", "6")]  # its end is probed for, not read


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: make_changes(300, **BACKFILL), "backfill"),
        (lambda: make_history(300), "history"),
        (lambda: make_changes(300, action=make_action()), "action"),
    ],
)
def test_a_long_one_takes_a_few_bounded_queries(make, kind, monkeypatch):
    monkeypatch.setattr(folds, "SCANNED", 100)
    make_changes(2)
    make()
    make_change()

    with CaptureQueriesContext(connection) as queries:
        lines = said(page(head=303).lines)

    assert lines == [303, (3, 302, kind, "300"), 2, 1]
    assert len(queries) < 16
    assert all(" LIMIT " in query["sql"] for query in queries)
    assert shown("cursor=200") == [(3, 199, kind, "197"), 2, 1]


@pytest.mark.parametrize("seed", range(3))
def test_far_ends_are_where_the_kind_or_the_day_changes(seed):
    chance = random.Random(seed)
    for day in range(3):
        for source in chance.choices(list(Source), [1, 2, 1, 9], k=20):
            make_change(source=source, not_before=None, seen_at=BEGINNING + timedelta(days=day))
    changes = list(Change.objects.order_by("pk"))
    told = {}
    for _, found in groupby(changes, key=lambda change: (change.source, change.seen_at)):
        run = list(found)
        if run[0].source == Source.BACKFILL:
            told |= {change.pk: (run[0].pk, run[-1].pk) for change in run}

    keys = {change.pk: folds.key_of(change) for change in changes if change.pk in told}
    ends = {at: tuple(far_end(key, at, up=up) for up in (False, True)) for at, key in keys.items()}

    assert ends == told
    assert len(set(told.values())) > 3


def test_where_one_long_run_has_ended_little_is_read_to_see_what_comes_next():
    for day in range(5):
        make_changes(300, seen_at=BEGINNING + timedelta(days=day), **BACKFILL)
    make_changes(30)

    with CaptureQueriesContext(connection) as queries:
        found = page("cursor=1501&limit=10").lines

    assert said(found) == [(300 * day + 1, 300 * day + 300, "backfill", "300") for day in (4, 3, 2, 1, 0)]
    read = [int(limit) for query in queries for limit in re.findall(r"DESC LIMIT (\d+)$", query["sql"])]
    assert sum(read) < 150


def test_a_look_that_finds_no_run_does_not_shorten_the_page(monkeypatch):
    monkeypatch.setattr(folds, "LOOKED_ON", 8)
    monkeypatch.setattr(folds, "READ_ON", 40)
    for day in range(folds.MOST_READS + 1):
        make_changes(100, seen_at=BEGINNING + timedelta(days=day), **BACKFILL)
        make_changes(10, seen_at=BEGINNING + timedelta(days=day))

    assert len(shown("limit=70")) == folds.MOST_READS * 11


def test_a_scan_ends_somewhere_and_another_line_goes_on(monkeypatch):
    monkeypatch.setattr(folds, "SCANNED", 50)
    monkeypatch.setattr(folds, "MOST_SCANNED", 100)
    make_changes(300, action=make_action())

    lines = shown()

    assert [line[3] for line in lines] == ["101+", "101+", "98"] or sum(
        int(line[3].strip("+")) for line in lines
    ) == 300
    assert lines[0][1] == 300
    assert lines[-1][0] == 1
    assert [high - low + 1 for low, high, _, _ in lines] == [int(line[3].strip("+")) for line in lines]
    assert all(upper[0] == lower[1] + 1 for upper, lower in pairwise(lines))


def test_pages_lead_there_and_back_without_gap_or_overlap():
    make_history(80)
    for number in range(6):
        make_changes(3 + number)
        make_changes(60, **BACKFILL)
        make_changes(20, action=make_action())
    top = page("limit=7")
    pages, query = [top], top.page.older
    while query:
        pages.append(page(query))
        query = pages[-1].page.older
    covered = [position for one in pages for line in one.lines for position in range(line.high, line.low - 1, -1)]

    assert covered == [*range(Change.objects.count(), 0, -1)]
    assert all(len(one.lines) <= 7 for one in pages)
    for newer, older in pairwise(pages):
        back = page(older.page.newer)
        assert said(back.lines)[-1] == said(newer.lines)[-1]
        assert said(back.lines) == said(newer.lines) or len(back.lines) == 7


@pytest.mark.django_db(transaction=True)  # exports read over connections of their own
def test_filters_and_counts_know_nothing_of_folds(client):
    make_changes(50, origin="a.example", **BACKFILL)
    make_changes(10, origin="b.example", **BACKFILL)
    make_changes(50, origin="a.example", **BACKFILL)

    assert shown("origin=a.example") == [(1, 110, "backfill", "100")]
    assert shown("origin=b.example") == [(51, 60, "backfill", "10")]
    assert ">100</b> of 110 changes" in client.get("/?origin=a.example").text
    assert len(client.get("/changes.ndjson?origin=a.example&fold=off").getvalue().splitlines()) == 100


def test_each_change_can_be_seen(client):
    action = make_action()
    make_changes(6, action=action)

    assert shown("fold=off") == shown(f"action={action.pk}") == [*range(6, 0, -1)]
    for query, title in [("", "One line for each change"), ("?fold=off", "One line for changes that belong together")]:
        assert f'<a class="btn btn-s" title="{title}' in client.get(f"/{query}").text
    answer = client.get("/?fold=banana")
    assert answer.status_code == 422
    assert "“banana” is not one of on or off." in answer.text


def test_a_fold_opens_in_place_or_as_a_page(client):
    make_change()
    make_changes(60, **BACKFILL)
    make_change()
    answer = client.get("/")
    address = re.search(r'href="([^"]+)" hx-get="[^"]+" hx-target="#fold-61"', answer.text)[1].replace("&amp;", "&")

    whole = client.get(address)
    opened = client.get(address, headers={"HX-Request": "true", "HX-Target": "fold-61"})

    first = [str(position) for position in range(61, 11, -1)]
    assert re.findall(r'id="c(\d+)"', whole.text) == re.findall(r'id="c(\d+)"', opened.text) == first
    assert "<html" not in opened.text
    more = re.search(r'hx-get="([^"]+)" hx-target="closest .fold-more"', opened.text)[1].replace("&amp;", "&")
    rest = client.get(more, headers={"HX-Request": "true", "HX-Target": "fold-more-1"})
    assert re.findall(r'id="c(\d+)"', rest.text) == [str(position) for position in range(11, 1, -1)]
    assert "fold-more" not in rest.text
