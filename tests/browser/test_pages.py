"""A working day on the pages, in a real browser: with scripts, and without."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from quarantine.models import Role, State
from tests.factories import make_action, make_change, make_changes, make_ledger, make_local_media

# What differs between the engines is tested without a browser.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
HASH = "ab" * 32
LONG = "a-name-so-long-that-no-column-of-any-width-could-ever-show-the-whole-of-it-" * 3 + ".png"


@pytest.fixture
def ledger(page):  # after the browser, so that its ledger is bound
    """A page and a half of changes, some of them hard to draw."""
    now = timezone.now()
    make_changes(70, origin="remote.example", seen_at=now - timedelta(days=1))
    make_change(media_id="abc", upload_name=LONG, uploader=f"@{'x' * 200}:matrix.example", sha256=HASH, seen_at=now)
    make_change(upload_name="صورة\u202e.png", changed_by="", not_before=None, source="backfill", seen_at=now)
    make_change(upload_name="W" * 200, action=make_action(reason="reason " * 60), changed_by="mod", seen_at=now)
    make_change(media_id="abc", state=State.RELEASED, sha256=HASH, not_before=now - timedelta(days=90), seen_at=now)
    make_ledger(feed_read_at=now)
    make_local_media("abc", upload_name=LONG, sha256=HASH)
    make_local_media("copy", sha256=HASH)


def at(page):
    """Path and query of the address bar."""
    return page.evaluate("location.pathname + location.search")


def row_ids(page):
    return page.locator("#rows .row").evaluate_all("rows => rows.map(row => Number(row.id.slice(1)))")


# --- With scripts -------------------------------------------------------------------------


@pytest.mark.usefixtures("ledger")
def test_a_filter_applies_at_once_and_back_undoes_it(signed_in, server):
    page = signed_in()
    page.goto(server.url)

    page.locator("summary", has_text="State").click()
    page.get_by_label("Released").check()

    expect(page.locator("#rows .row")).to_have_count(1)
    assert at(page) == "/?state=released"
    expect(page.locator(".chip")).to_have_text("State is Released")
    expect(page.locator("#count-state")).to_have_text("1 active")
    page.go_back()
    expect(page.locator("#rows .row")).to_have_count(50)
    assert at(page) == "/"
    assert not page.locator("input[name=state][value=released]").is_checked()


@pytest.mark.usefixtures("ledger")
def test_searching_keeps_the_focus_and_clearing_brings_all_back(signed_in, server):
    page = signed_in()
    page.goto(server.url)

    page.keyboard.press("/")
    page.keyboard.type("never seen")

    expect(page.get_by_role("heading", name="No changes match these filters")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "q"
    page.get_by_role("link", name="Clear all filters").click()
    expect(page.locator("#rows .row")).to_have_count(50)
    assert page.locator("#q").input_value() == ""


@pytest.mark.usefixtures("ledger")
def test_pages_go_there_and_back_and_start_at_the_top(signed_in, server):
    page = signed_in()
    page.goto(server.url)
    newest = row_ids(page)
    page.mouse.wheel(0, 1200)

    page.get_by_role("link", name="Older").click()

    expect(page.locator("#rows .row")).to_have_count(24)
    assert newest + row_ids(page) == [*range(74, 0, -1)]
    page.wait_for_function("scrollY === 0")
    page.get_by_role("link", name="Newer").click()
    expect(page.locator("#rows .row")).to_have_count(50)
    assert (row_ids(page), at(page)) == (newest, "/")


@pytest.mark.usefixtures("ledger")
def test_keys_walk_the_rows_and_open_one(signed_in, server):
    page = signed_in()
    page.goto(server.url)
    expect(page.locator("#live")).to_be_visible()  # the scripts run

    for key in "jjjjk":
        page.keyboard.press(key)

    assert page.locator(".row[aria-current=true]").get_attribute("id") == "c72"
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/media/matrix.example/abc/")


@pytest.mark.usefixtures("ledger")
def test_an_id_is_copied_whole(signed_in, server):
    page = signed_in()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(server.url)

    page.locator("#c74").get_by_role("button", name="Copy media address").click()

    expect(page.locator("#c74 .copy[data-copied]")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == "mxc://matrix.example/abc"


@pytest.mark.usefixtures("ledger")
def test_times_become_relative_only_where_they_are_known(signed_in, server):
    page = signed_in()
    page.goto(server.url)

    expect(page.locator("#c73 time .l1")).to_contain_text("s ago")
    expect(page.locator("#c72 time .l1")).to_have_text("before")
    expect(page.locator("#c74 time .l1")).to_have_text("between")


@pytest.mark.usefixtures("ledger")
def test_a_server_that_is_gone_is_not_passed_over(signed_in, server, complaints):
    page = signed_in()
    page.goto(server.url)
    page.route("**/*", lambda route: route.abort())

    page.get_by_role("link", name="Older").click()

    expect(page.get_by_role("alert")).to_contain_text("The server can’t be reached.")
    complaints.clear()


@pytest.mark.usefixtures("ledger")
def test_the_theme_is_chosen_and_stays(signed_in, server):
    page = signed_in()
    page.goto(f"{server.url}/?scope=remote")

    page.get_by_role("button", name="Dark").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert at(page) == "/?scope=remote"
    page.goto(f"{server.url}/media/matrix.example/abc/")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


# --- Without scripts ----------------------------------------------------------------------


@pytest.mark.usefixtures("ledger")
def test_the_pages_work_without_scripts(chromium, signed_in, server):
    cookies = signed_in().context.cookies()
    with chromium.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900}) as context:
        context.add_cookies(cookies)
        page = context.new_page()
        page.goto(server.url)
        assert not page.locator("#live, #new-pill, .copy, kbd").filter(visible=True).count()

        page.locator("summary", has_text="Scope").click()
        page.get_by_label("Remote").check()
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("link", name="Older").click()
        expect(page.locator("#rows .row")).to_have_count(20)
        expect(page.locator("#count-scope")).to_contain_text("1")
        page.get_by_role("link", name="Remove filter Scope is Remote").click()
        page.locator("#c74 a.name").click()
        expect(page.get_by_role("heading", name="History")).to_be_visible()


# --- For everyone -------------------------------------------------------------------------

WIDTHS = [360, 390, 703, 832, 960, 1216, 1440, 1920]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("scripts", [True, False])
def test_a_column_of_the_chart_opens_in_the_timeline(chromium, signed_in, server, scripts):
    cookies = signed_in().context.cookies()
    with chromium.new_context(java_script_enabled=scripts) as context:
        context.add_cookies(cookies)
        page = context.new_page()
        page.goto(f"{server.url}/insights/?range=7d")

        column = page.locator(".chart-wide a").nth(-2)
        assert column.get_attribute("aria-label").endswith(": 70 quarantined")
        column.focus()
        page.keyboard.press("Enter")

        yesterday = timezone.now().date() - timedelta(days=1)
        page.wait_for_url(f"**/?after={yesterday}&before={timezone.now().date()}")
        assert page.locator("#rows .row").count() == 50
        page.go_back()
        page.locator("summary", has_text="Show as a table").first.click()
        expect(page.get_by_role("row", name=f"{yesterday.day} ").first).to_be_visible()


PATHS = ["/", "/?scope=local&by=-system&q=name", "/?origin=nowhere.example", "/media/matrix.example/abc/"]
PATHS += ["/insights/?range=7d", "/insights/?range=24h&backfill=off", "/insights/?after=2999-01-01"]


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("path", PATHS)
def test_every_width_shows_all_without_scrolling_sideways(signed_in, server, path):
    page = signed_in(role=Role.ADMIN)  # who has the longest navigation
    page.goto(server.url + path)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator(".nav").evaluate("nav => nav.scrollWidth - nav.clientWidth") <= 0  # every page is in sight
        heights = page.locator("#rows .row").evaluate_all("rows => [...new Set(rows.map(row => row.offsetHeight))]")
        assert (width, len(heights) <= 1) == (width, True)
