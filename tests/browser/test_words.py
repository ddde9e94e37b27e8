"""German, and times in the reader's own zone, in a real browser."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from quarantine.models import Role, Staff, State
from tests.browser.test_live import append, pill
from tests.browser.test_pages import ledger  # noqa: F401 - a fixture
from tests.browser.test_reading import SHIFTS, jumps
from tests.factories import make_action, make_change

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

SCROLLING = """
    const clipped = (one) => one && (getComputedStyle(one).overflowX !== "visible" || clipped(one.parentElement));
    document.documentElement.scrollWidth === innerWidth ? [] : [...document.querySelectorAll("main *, header *")]
      .filter((one) => one.getBoundingClientRect().right > innerWidth && !clipped(one.parentElement))
      .map((one) => one.outerHTML.slice(0, 80))
"""
OVERFLOWING = """
    [...document.querySelectorAll(".c-state .badge, .btn, .nav a, .k")].filter((one) => {
      const room = one.parentElement.getBoundingClientRect(), drawn = one.getBoundingClientRect();
      return drawn.width && drawn.right > room.right + 1 && !one.closest(".nav, .tbl-wrap, .chips, .menus, .summary");
    }).map((one) => one.textContent.trim())
"""
LONG_AGO = datetime(2026, 3, 1, 20, 30, 15, tzinfo=UTC)
KOLKATA = {"locale": "de-DE", "timezone_id": "Asia/Kolkata", "viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def reader(chromium, signed_in):
    """A page of a reader in Kolkata whose browser asks for German, and whose account has chosen this."""

    def sits_down(*, scripts=True, **chosen):
        cookies = signed_in(role=Role.ADMIN).context.cookies()
        Staff.objects.update(**chosen)
        context = chromium.new_context(java_script_enabled=scripts, **KOLKATA)
        context.add_cookies(cookies)
        return context.new_page()

    return sits_down


def test_scripts_speak_german_too(reader, server):
    for _ in range(30):
        make_change(state=State.RELEASED, seen_at=datetime.now(UTC))
    page = reader()
    page.goto(server.url)
    expect(page.locator("#live .live-state")).to_have_text("Live", use_inner_text=True)
    page.mouse.move(700, 500)

    append(2)
    expect(pill(page)).to_contain_text("2 neue Änderungen")
    pill(page).click()

    expect(page.locator("#c30 time .l1")).to_have_text(re.compile(r"vor \d+ s"))
    expect(page.locator("#rows .day-head").first).to_contain_text(re.compile(r"\w+, \d+\. \w+ \d{4}"))
    expect(page.locator("#rows .row").first.get_by_text("Vorgefunden", exact=True)).to_be_visible()
    page.locator("#rows .c-check input").first.check()
    expect(page.locator("[data-selected]")).to_have_text("1 ausgewählt")
    expect(page.locator("#selection")).to_contain_text("Freigeben (1)…")


def test_times_come_into_the_zone_that_was_chosen(reader, server):
    make_change(seen_at=LONG_AGO, media_id="exact")
    make_change(seen_at=LONG_AGO, not_before=LONG_AGO - timedelta(minutes=30), media_id="between")
    make_change(seen_at=LONG_AGO, not_before=None, media_id="before")
    page = reader(local_times=True)

    page.goto(server.url)

    expect(page.locator("#c1 time")).to_have_text("02:00:15 2. März 2026", use_inner_text=True)
    expect(page.locator("#c2 time .l2")).to_have_text("01:30–02:00 Uhr")
    expect(page.locator("#c3 time .l2")).to_have_text("2. März 2026")
    expect(page.locator(".tl-head")).to_contain_text("Wann, Ortszeit")
    expect(page.locator(".foot .nowrap")).to_have_text("2. März 02:00 – 2. März 02:00")
    expect(page.locator(".day-head h2")).to_contain_text("Sonntag, 1. März 2026")  # the day stays that of UTC
    page.goto(f"{server.url}/media/matrix.example/exact/")
    expect(page.locator("#history time .l1")).to_have_text("02:00:15")


def test_the_head_goes_on_saying_the_zone_of_the_times_below_it(reader, server):
    make_change(seen_at=LONG_AGO, media_id="exact")
    page = reader(local_times=True)
    page.goto(server.url)
    expect(page.locator(".tl-head")).to_contain_text("Wann, Ortszeit")

    page.locator("#q").fill("exact")

    expect(page.locator(".chips")).to_contain_text("exact")
    expect(page.locator("#c1 time")).to_have_text("02:00:15 2. März 2026", use_inner_text=True)
    expect(page.locator(".tl-head")).to_contain_text("Wann, Ortszeit")
    make_action(created_at=LONG_AGO)
    page.goto(f"{server.url}/actions/")
    expect(page.get_by_role("columnheader").first).to_have_text("Wann, Ortszeit")
    expect(page.locator(".act-when time")).to_have_text(re.compile(r"^2\. März.* 02:00$"))


@pytest.mark.parametrize("chosen", [{}, {"scripts": False, "local_times": True}])
def test_times_are_utc_where_nothing_else_was_chosen_or_no_script_runs(reader, server, chosen):
    make_change(seen_at=LONG_AGO)
    page = reader(**chosen)

    page.goto(server.url)

    expect(page.locator("#c1 time .l1")).to_have_text("20:30:15")
    expect(page.locator(".tl-head")).to_contain_text("Wann, UTC")


def test_what_a_zone_changes_moves_nothing(reader, server):
    make_change(seen_at=LONG_AGO)
    page = reader(local_times=True)
    page.add_init_script(SHIFTS)

    page.goto(server.url)

    expect(page.locator("#c1 time .l1")).to_have_text("02:00:15")
    assert jumps(page) == []


PLACEHOLDER = """box => {
    const { fontSize, fontFamily, paddingLeft, paddingRight } = getComputedStyle(box), pen = document.createElement("canvas").getContext("2d");
    pen.font = `${fontSize} ${fontFamily}`;
    return [pen.measureText(box.placeholder).width, box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight)];
}"""
PATHS = ["/", "/?scope=local&by=-system&q=name", "/media/matrix.example/abc/", "/insights/", "/actions/", "/account/"]
PATHS += ["/actions/new/?verb=quarantine&media=mxc://matrix.example/copy", "/backfill/", "/reasons/", "/consumers/"]


@pytest.mark.usefixtures("ledger")
def test_long_words_fit_in_everywhere(reader, server):
    """No page scrolls sideways, and no state is drawn over its neighbour."""
    page = reader()
    wrong = []
    for path in PATHS:
        page.goto(server.url + path)
        for width in (360, 390, 832, 1280, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            wrong += [(path, width, words) for words in page.evaluate(SCROLLING)]
            wrong += [(path, width, words) for words in page.evaluate(OVERFLOWING)]

    assert wrong == []


@pytest.mark.usefixtures("ledger")
def test_what_the_toolbar_says_is_seen_whole_or_fades(reader, server):
    """What the search box says of itself, on a small laptop; figures beyond the edge of a phone; what an empty search offers."""
    page = reader()
    make_change(sha256="ab12cd34" + "ef" * 28)
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(f"{server.url}/")
    needed, room = page.locator("#q").evaluate(PLACEHOLDER)
    page.set_viewport_size({"width": 390, "height": 800})
    summary = page.locator("#summary").evaluate(
        "one => [one.scrollWidth > one.clientWidth, getComputedStyle(one).maskImage]"
    )
    page.goto(f"{server.url}/?q=ab12cd34ef")
    page.set_viewport_size({"width": 360, "height": 800})
    offered = page.locator(".blank .btn").first.bounding_box()

    assert 100 < needed <= room - 14  # its cross takes that
    assert (summary[0], "gradient" in summary[1]) == (True, True)
    assert offered["x"] >= 0
    assert offered["x"] + offered["width"] <= 360
