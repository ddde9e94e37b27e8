"""The timeline."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone
from pytest_django.asserts import assertInHTML

from dashboard.search.filters import ChangeFilter
from dashboard.views.timeline import menus_of
from quarantine.models import Category, Change, Ledger, State
from tests.factories import make_action, make_categories, make_change, make_changes, make_ledger, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
EVIL = "\"'><script>alert(1)</script>{{7}}"
RESULTS = {"HX-Request": "true", "HX-Target": "results"}


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    return client


def rows(answer):
    """Positions of the rows on the page, from the top."""
    return [int(position) for position in re.findall(r'<li class="row" id="c(\d+)"', answer.text)]


def links(answer, *, rel):
    """The addresses of the links of that kind."""
    return [unescape(href) for href in re.findall(rf'rel="{rel}" href="([^"]*)"', answer.text)]


# --- Who sees it --------------------------------------------------------------------------


def test_strangers_are_sent_to_sign_in():
    make_change()

    answer = Client().get("/?state=released")

    assert answer.status_code == 302
    assert answer["Location"] == "/login/?next=/%3Fstate%3Dreleased"


def test_only_reading_is_allowed(client):
    assert client.post("/").status_code == 405
    assert client.head("/").status_code == 200


# --- What it shows ------------------------------------------------------------------------


def test_shows_changes_newest_first_by_day(client):
    make_change(seen_at=datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC))
    make_change(seen_at=datetime(2026, 3, 2, tzinfo=UTC))
    make_change(seen_at=datetime(2026, 3, 2, 0, 0, 1, tzinfo=UTC))

    answer = client.get("/")

    assert rows(answer) == [3, 2, 1]
    assert re.findall(r'data-day="([^"]+)"', answer.text) == ["2026-03-02", "2026-03-01"]
    assertInHTML("<h2><span>Monday 2 March 2026</span></h2>", answer.text)


def test_today_and_yesterday_are_named(client):
    now = timezone.now()
    make_change(seen_at=now - timedelta(days=1))
    make_change(seen_at=now)

    assert re.findall(r"<h2><b>(\w+)</b>", client.get("/").text) == ["Today", "Yesterday"]


def test_costs_the_same_few_queries_whatever_it_shows(client, django_assert_num_queries):
    for number in range(60):
        make_change(action=make_action(reason="x", category="spam") if number % 2 else None)

    # The hours of the plot, once; session, account, ledger, a day ago, saved views; the rows; a count or a cursor.
    first, known = ("/", 1 + 5 + 1), ("/", 5)
    for path, queries in [first, ("/?origin=matrix.example", 7), ("/?cursor=30", 7), ("/?state=banana", 5), known]:
        with django_assert_num_queries(queries):
            client.get(path)


def test_a_kind_of_reason_that_is_renamed_is_so_on_the_next_page(client):
    make_categories("spam")
    make_change(action=make_action(category="spam"))
    make_ledger()
    Category.objects.update(label="Spam")
    before = client.get("/")
    Category.objects.update(label="Junk")

    assert ("<bdi>Spam</bdi>" in before.text, "<bdi>Junk</bdi>" in client.get("/").text) == (True, True)
    assert 'class="l2 reason-none"' not in before.text


def test_pages_lead_on_and_back(client):
    make_changes(120)

    first = client.get("/")
    second = client.get(links(first, rel="next")[0])
    third = client.get(links(second, rel="next")[0])

    assert rows(first) + rows(second) + rows(third) == list(range(120, 0, -1))
    assert links(first, rel="prev") == links(third, rel="next") == []
    assert links(third, rel="prev") == ["/?cursor=71"]
    assert links(second, rel="prev") == ["/"]


def test_links_between_pages_keep_the_filters(client):
    make_changes(3)

    assert links(client.get("/?scope=local&limit=2&state="), rel="next") == ["/?scope=local&limit=2&cursor=2"]


def test_counts_are_those_of_the_ledger(client):
    now = timezone.now()
    make_change(seen_at=now - timedelta(days=2), origin="remote.example")
    make_change(seen_at=now - timedelta(hours=3))
    make_change(seen_at=now - timedelta(hours=2), media_id="x")
    make_change(seen_at=now - timedelta(hours=1), media_id="x", state=State.RELEASED)
    make_ledger(feed_read_at=now)

    summary = region(client.get("/"), "summary")

    figures = re.findall(r'class="v"[^>]*>([^<]+)<', summary)
    assert figures == ["2", "3", "4", f"{now:%H:%M:%S}"]
    assert "1 local · 1 remote" in summary
    assert "may be missing" not in summary


@pytest.mark.parametrize("read", [None, timedelta(minutes=2)])
def test_old_knowledge_is_called_old(client, read):
    make_change()
    make_ledger(feed_read_at=read and timezone.now() - read)

    assert "Newer changes may be missing" in region(client.get("/"), "summary")


# --- Nothing to show ----------------------------------------------------------------------


@pytest.mark.parametrize("bound", [True, False])
def test_an_empty_ledger_says_what_will_come(client, bound):
    if bound:
        make_ledger()

    answer = client.get("/")

    assert rows(answer) == []
    assertInHTML("<h2>Nothing recorded yet</h2>", answer.text)


def test_no_match_says_what_was_looked_for(client):
    make_change()

    answer = client.get("/?origin=nowhere.example&state=released")

    assert (answer.status_code, rows(answer)) == (200, [])
    assertInHTML("<h2>No changes match these filters</h2>", answer.text)
    assertInHTML("<bdi>nowhere.example</bdi>", answer.text)


def test_a_bad_filter_shows_the_message_and_no_rows(client):
    make_changes(2)

    answer = client.get("/?state=banana&unknown=1&origin=kept.example")

    assert (answer.status_code, rows(answer)) == (422, [])
    assertInHTML("<p>state: “banana” is not one of quarantined, released or deleted.</p>", answer.text)
    assertInHTML("<p>There is no filter “unknown”.</p>", answer.text)
    assertInHTML('<input type="checkbox" name="origin" value="kept.example" checked>', region(answer, "filters"))


@pytest.mark.parametrize(
    "query", ["q=%00", "origin=%00", "%00=1", "media=%FF%FE", "q=%ED%A0%80abc", "after=%00", "cursor=%00"]
)
def test_no_bytes_break_the_page(client, query):
    make_change()

    assert client.get(f"/?{query}").status_code in {200, 422}


# --- The filter form ----------------------------------------------------------------------


def test_the_form_shows_what_is_asked_for(client):
    make_change()

    form = region(client.get("/?state=released&by=mod&by=-system&q=spam&q=scam&after=2026-03-01&limit=20"), "filters")

    checked = re.findall(r'name="(\w+)" value="([^"]*)" checked', form)
    assert checked == [("state", "released"), ("by", "mod"), ("by", "-system")]
    assert re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form) == [("q", "scam"), ("limit", "20")]
    assert 'name="q" value="spam"' in form
    assert 'name="after" value="2026-03-01T00:00:00"' in form
    counts = re.findall(r'id="count-(\w+)">(\d+)', form)
    assert counts == [("all", "4"), ("state", "1"), ("by", "2"), ("date", "1")]


def test_sending_the_form_again_asks_for_the_same(client):
    make_changes(3, origin="-odd.example")
    query = {"origin": r"\-odd.example", "state": ["quarantined"], "by": ["-mod"]}

    form = region(client.get("/", query), "filters")
    fields = re.findall(r'name="(\w+)" value="([^"]*)" checked', form)

    assert rows(client.get("/", dict(fields))) == rows(client.get("/", query)) == [3, 2, 1]


# --- Swaps --------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "state=quarantined", "state=banana", "cursor=3"])
def test_a_swap_is_a_slice_of_the_page(client, query):
    make_changes(5)

    swap = client.get(f"/?{query}", headers=RESULTS)
    page = client.get(f"/?{query}")

    assert "<html" not in swap.text
    assert swap.status_code == page.status_code
    assert re.sub(r"\s+", " ", region(swap, "results")) == re.sub(r"\s+", " ", region(page, "results"))


def test_a_swap_carries_the_numbers_on_the_menus(client):
    make_change()

    swap = client.get("/?state=quarantined&by=-system", headers=RESULTS)

    shown = re.findall(r'id="count-(\w+)" hx-swap-oob="true">(\d+)', swap.text)
    assert shown == [("state", "1"), ("by", "1"), ("all", "2")]


@pytest.mark.parametrize(
    ("query", "same"),
    [("by=ann&cursor=5", True), ("since=3&by=ann", True), ("by=ann&limit=5", False), ("by=ann&cursor=x", False), ("by=ben", False)],
)  # fmt: skip
def test_the_pages_of_a_view_share_its_menus(query, same):
    def menus(text):
        filters = ChangeFilter(QueryDict(text), queryset=Change.objects.all())
        return menus_of(filters, username="mod", now=datetime(2026, 3, 1, tzinfo=UTC))

    assert (menus(query) is menus("by=ann")) == same


def test_a_swap_names_the_canonical_address(client):
    make_changes(3)

    answer = client.get("/?q=&state=released&state=quarantined&cursor=2&limit=50", headers=RESULTS)

    assert answer["HX-Push-Url"] == "/?state=quarantined&state=released&cursor=2"
    assert client.get("/?q=", headers=RESULTS)["HX-Push-Url"] == "/"
    assert client.get("/?by=&state=banana&q=", headers=RESULTS)["HX-Push-Url"] == "/?state=banana"


def test_the_summary_renews_itself_and_leaves_the_address_alone(client):
    make_change()

    swap = client.get("/", headers={"HX-Request": "true", "HX-Target": "summary"})

    assert swap.text.strip() == region(swap, "summary")
    assert "HX-Push-Url" not in swap


def test_restoring_history_gets_the_whole_page(client):
    answer = client.get("/", headers=RESULTS | {"HX-History-Restore-Request": "true"})

    assert "<html" in answer.text
    assert {"HX-Request", "HX-Target"} <= set(answer["Vary"].split(", "))


# --- The live view's hooks ----------------------------------------------------------------


def test_the_newest_page_says_where_its_live_view_goes_on(client):
    make_changes(3)

    plain, filtered = client.get("/").text, client.get("/?scope=local&limit=2&q=").text

    assert 'data-live="/changes/live" data-position="3"' in plain
    assert 'data-live="/changes/live?scope=local" data-position="3"' in filtered
    for path in ("/?cursor=2", "/?state=banana"):
        assert "data-live=" not in client.get(path).text


# --- Safety -------------------------------------------------------------------------------


def test_nothing_of_the_media_is_loaded(client):
    make_change(upload_name="https://evil.example/x.png", media_type="image/png")

    page = client.get("/").text

    assert not re.search(r"<(?:img|video|audio|object|embed|iframe|picture|source)\b", page)
    loaded = re.findall(r'(?:src|<use href|<link[^>]*href)="([^"]+)"', page)
    assert loaded
    # "#…" is a place in the page itself, which is painted once that is there
    assert [address for address in loaded if not address.startswith(("/static/", "#"))] == []


@pytest.mark.parametrize("name", ["origin", "by", "type", "uploader", "media", "q", "state", EVIL])
def test_what_is_in_the_address_is_never_markup(client, name):
    make_ledger()

    page = client.get("/", {name: EVIL}).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_head_moves_no_counter_of_others(client):
    make_changes(2)
    Ledger.objects.update(head=1)

    assert rows(client.get("/")) == [1]


# --- The theme ----------------------------------------------------------------------------


def test_a_theme_is_remembered(client):
    answer = client.post("/theme/", {"theme": "dark", "next": "/?state=released"})

    assert answer["Location"] == "/?state=released"
    assert '<html lang="en" data-theme="dark">' in client.get("/").text
    client.post("/theme/", {"theme": "system"})
    assert '<html lang="en">' in client.get("/").text


@pytest.mark.parametrize("away", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_choosing_a_theme_leads_nowhere_else(client, away):
    assert client.post("/theme/", {"theme": "dark", "next": away})["Location"] == "/"


def test_a_theme_cookie_is_not_markup(client):
    client.cookies["theme"] = '"><script>'

    assert '<html lang="en">' in client.get("/").text
