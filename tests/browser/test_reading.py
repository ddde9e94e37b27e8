"""Reading while things arrive, in a real browser: by pointer, by keys, and with everything still."""

import re

import pytest
from playwright.sync_api import expect

from quarantine.models import Role, Source, Staff
from tests.browser.test_live import append, expect_state, pill, row_ids, tops
from tests.factories import make_changes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const moved = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
        shifts.push([entry.value, String(moved)]);
      }
    }).observe({ type: "layout-shift", buffered: true });
"""


def idle_timeline(signed_in, server, *, role=Role.MODERATOR):
    """Nobody reads: the pointer is elsewhere, nothing is chosen."""
    page = signed_in(role=role)
    page.add_init_script(SHIFTS)
    page.mouse.move(300, 20)
    page.goto(server.url)
    expect_state(page, "Live")
    return page


def expect_top(page, position):
    expect(page.locator("#rows .row").first).to_have_id(f"c{position}")


def jumps(page):
    """How much moved, and what; also after an input, where browsers forgive it."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate("shifts")


def test_where_nobody_reads_changes_enter_at_once(signed_in, server):
    append(60)
    page = idle_timeline(signed_in, server)

    append()
    expect_top(page, 61)
    append(2)
    expect_top(page, 63)

    assert pill(page).is_hidden()
    page.wait_for_function("() => scrollY === 0")
    expect(page.locator("#news")).to_have_text("1 new change at the top.")
    assert jumps(page) == []


@pytest.mark.parametrize("how", ["pointer", "focus", "key", "selection", "menu", "scrolled", "paused", "motion"])
def test_where_somebody_may_read_they_wait(signed_in, server, how):
    append(60)
    page = signed_in(role=Role.MODERATOR)
    page.emulate_media(reduced_motion="reduce" if how == "motion" else None)
    page = idle_timeline(lambda **_: page, server)
    {
        "pointer": lambda: page.mouse.move(700, 500),
        "focus": lambda: page.locator("#q").focus(),
        "key": lambda: page.keyboard.press("j"),
        "selection": lambda: page.locator("#rows .c-check input").first.evaluate("box => { box.checked = true; }"),
        "menu": lambda: page.locator("summary", has_text="Scope").click(),
        "scrolled": lambda: page.evaluate("scrollTo(0, 200)"),
        "paused": lambda: page.keyboard.press("p"),
        "motion": lambda: None,
    }[how]()
    before = tops(page)

    append()

    if how == "paused":
        expect(page.locator("#live")).to_have_attribute("title", "1 new change waiting")
    else:
        expect(pill(page)).to_contain_text("1 new change")
    assert tops(page) == before
    assert row_ids(page)[0] == 60


def test_nothing_jumps_on_load_in_menus_and_when_changes_come(signed_in, server):
    append(60)
    page = idle_timeline(signed_in, server)
    for menu in ("State", "Origin", "Date", "All changes"):
        page.locator(".toolbar summary", has_text=menu).click()
        if menu in ("State", "Origin"):
            expect(page.locator(".menu[open] .menu-n").first).to_have_text("60")
    page.keyboard.press("Escape")
    page.mouse.move(700, 500)
    append()
    expect(pill(page)).to_be_visible()
    expect(page.locator("[data-heard]")).to_have_text(re.compile(r"heard [1-9]\d* s ago"))

    assert jumps(page) == []
    page.keyboard.press("n")
    expect_top(page, 61)
    assert jumps(page) == []


def test_the_page_says_when_it_last_heard_anything(signed_in, server):
    page = idle_timeline(signed_in, server)
    expect(page.locator("[data-heard]")).to_have_text("heard 2 s ago")

    append()

    expect(page.locator("[data-heard]")).to_have_text("heard 0 s ago")


def test_keys_do_all_and_can_be_looked_up(signed_in, server):
    append(60)
    page = idle_timeline(signed_in, server)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("j")  # not while it is open
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.locator(".row[aria-current]").count() == 0

    for key in ("j", "x", "j", "j", "X"):
        page.keyboard.press(key)

    expect(page.locator("[data-selected]")).to_have_text("3 selected")
    assert page.evaluate("document.activeElement.id") == "c58"
    page.keyboard.press("Tab")  # on from there
    expect(page.locator("#c58 input")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".sel-dock")).to_be_hidden()
    page.keyboard.press("Escape")
    assert page.locator(".row[aria-current]").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("jjq?")
    assert page.locator("#q").input_value() == "jjq?"


def test_keys_can_be_turned_off_for_good(signed_in, server):
    append(3)
    page = idle_timeline(signed_in, server)
    page.goto(f"{server.url}/account/")
    page.get_by_label("Single keys do something").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert not Staff.objects.get().single_keys

    page.goto(server.url)
    expect_state(page, "Live")
    for key in ("j", "?", "p"):
        page.keyboard.press(key)

    assert page.locator(".row[aria-current]").count() == 0
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect_state(page, "Live")
    assert page.locator(".foot .keys").is_hidden()


def test_a_folded_line_opens_and_closes_in_place(signed_in, server):
    make_changes(3)
    make_changes(60, source=Source.BACKFILL, not_before=None)
    make_changes(1)
    page = idle_timeline(signed_in, server)
    link = page.get_by_role("link", name="60 changes")
    assert link.get_attribute("aria-expanded") == "false"

    link.click()
    expect(page.locator("#fold-63 .row")).to_have_count(50)
    page.get_by_role("link", name="Show more").click()
    expect(page.locator("#fold-63 .row")).to_have_count(60)
    assert page.url == f"{server.url}/"
    link.click()
    expect(page.locator("#fold-63")).to_be_hidden()
    link.click()
    expect(page.locator("#fold-63 .row").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("#c63")).to_be_focused()


def test_what_is_pasted_leads_where_it_should(signed_in, server, complaints):
    append(3)
    page = idle_timeline(signed_in, server)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def paste(text):
        page.evaluate("text => navigator.clipboard.writeText(text)", text)
        page.locator("#q").focus()
        page.keyboard.press("Control+V")

    paste("mxc://matrix.example/one\nmxc://matrix.example/two")
    expect(page.get_by_label("one a line")).to_have_value("mxc://matrix.example/one\nmxc://matrix.example/two")
    page.goto(server.url)
    make_changes(1, media_id="known")
    page.locator("#q").fill("mxc://matrix.example/known")
    page.keyboard.press("Enter")
    page.wait_for_url("**/media/matrix.example/known/")
    assert all("htmx:sendAbort" in text or "htmx:afterRequest" in text for text in complaints)
    complaints.clear()  # what was searched for while typing is given up
