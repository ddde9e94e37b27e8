"""A working day from sign-in to sign-out: with the pointer, with keys alone, without scripts. And what a page weighs."""

import sys
from pathlib import Path
from threading import Event

import pytest
from playwright.sync_api import expect

from quarantine.follow import follow_once
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, SavedView, State
from tests.browser.test_acting import choose
from tests.browser.test_live import expect_state, pill
from tests.browser.test_reading import SHIFTS
from tests.dashboard.people import PASSWORD
from tests.factories import make_categories, make_changes, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
ANN = "@ann:matrix.example"
MOST_KB = 120  # compressed, with everything a first visit loads


@pytest.fixture
def home(page):  # after the browser, so that its ledger is bound
    """Ten files that were quarantined and released again, and a moderator called mod."""
    make_categories("spam", "other")
    make_staff("mod")
    home = SampleHomeserver(user_id=ANN)
    media = [
        home.upload(File(sha256=f"{number:064x}", upload_name=f"{number}.png"), uploader=ANN) for number in range(10)
    ]
    for act in (home.quarantine, home.release):
        for mxc in media:
            act(mxc)
        follow_once(stop=Event())
    return home


def happen(home):
    """Somebody elsewhere quarantines a new file."""
    home.quarantine(home.upload(File(sha256="f" * 64, upload_name="news.png"), uploader=ANN))
    follow_once(stop=Event())


def decide(page, title, button):
    """What the plan asks for, and the click."""
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    choose(page, "other")
    page.get_by_label("Note for the history").fill("Case 12")
    page.get_by_role("button", name=button).click()


def downloaded(page, link):
    with page.expect_download() as coming:
        page.get_by_role("link", name=link).first.click()
    return Path(coming.value.path()).read_text().splitlines()


def work(page, server, home, *, scripts):
    """The day, by pointer."""
    arrive(page, server, home, scripts=scripts)
    filter_and_open(page, scripts=scripts)
    act_on_ten(page, scripts=scripts)
    keep_and_leave(page, server)
    assert [action.verb for action in Action.objects.order_by("pk")] == ["quarantine", "release"]
    assert SavedView.objects.get().name == "What I did"


def arrive(page, server, home, *, scripts):
    page.goto(server.url)
    page.get_by_label("User name").fill("mod")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{server.url}/")
    if scripts:
        page.mouse.move(700, 500)
        expect_state(page, "Live")
    happen(home)
    if scripts:
        expect(pill(page)).to_contain_text("1 new change")
        pill(page).click()
    else:
        page.reload()
    expect(page.locator("#rows .row").first).to_contain_text("news.png")


def filter_and_open(page, *, scripts):
    page.locator(".toolbar summary", has_text="State").click()
    page.get_by_label("Released").check()
    if not scripts:
        page.get_by_role("button", name="Apply").click()
    expect(page.locator("#rows .row")).to_have_count(10)
    page.locator("#rows a.name").first.click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.go_back()


def act_on_ten(page, *, scripts):
    boxes = page.locator("#rows .c-check input")
    expect(boxes).to_have_count(10)
    for number in (0, 9) if scripts else range(10):
        boxes.nth(number).click(modifiers=["Shift"] if scripts and number else [])
    page.get_by_role("button", name="Quarantine 10…" if scripts else "Quarantine…").click()
    decide(page, "Quarantine 10 media items?", "Quarantine 10")
    expect(page.locator("#progress")).to_contain_text("Asked 10 · changed 10")
    page.get_by_role("link", name="Undo…").click()
    decide(page, "Release 10 media items?", "Release 10")
    expect(page.locator("#progress")).to_contain_text("Asked 10 · changed 10")


def keep_and_leave(page, server):
    """A view, an export, the insights; then dark, and out."""
    page.goto(f"{server.url}/?by=mod&fold=off")
    page.get_by_role("link", name="Save view").click()
    page.get_by_label("Name", exact=True).fill("What I did")
    page.get_by_role("button", name="Save view").click()
    expect(page.locator(".views-name")).to_have_text("What I did")
    page.get_by_text("Export", exact=True).click()
    assert len(downloaded(page, "CSV")) == 1 + 20
    page.get_by_role("navigation").get_by_role("link", name="Insights").click()
    expect(page.locator(".tiles")).to_contain_text("21")  # ten twice, and the news
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator("summary[aria-label='Account: mod']").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{server.url}/insights/")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()


def test_a_day_with_the_pointer(page, server, home):
    work(page, server, home, scripts=True)


def test_a_day_without_scripts(chromium, server, home):
    with chromium.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900}) as context:
        work(context.new_page(), server, home, scripts=False)


def tab_to(page, words):
    """On with the Tab key, until what has the focus is called so."""
    called = "() => (document.activeElement.ariaLabel ?? document.activeElement.innerText).trim()"
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate(called) == words:
            return
    pytest.fail(f"Nothing called {words!r} can be reached.")


def enter(page, words):
    tab_to(page, words)
    page.keyboard.press("Enter")


def test_a_day_with_keys_alone(page, server, home):
    press, title = page.keyboard.press, page.get_by_role("heading", level=1)
    page.goto(server.url)
    page.keyboard.type("mod")  # the first field has the focus
    press("Tab")
    page.keyboard.type(PASSWORD)
    press("Enter")
    expect_state(page, "Live")
    press("j")
    happen(home)
    expect(pill(page)).to_contain_text("1 new change")
    for key in ("n", "x", *"j" * 9, "X"):
        press(key)
    expect(page.locator("[data-selected]")).to_have_text("10 selected")
    press("q")
    expect(title).to_have_text("Quarantine 10 media items?")
    page.wait_for_load_state("domcontentloaded")  # keys are answered from here on, later than the heading is there
    press("1")
    press("Enter")
    expect(page.locator("#progress")).to_contain_text("Asked 10 · changed 10")
    assert Action.objects.get().work.outcome["changed"] == 10
    look_and_leave(page, title)


def look_and_leave(page, title):
    """By keys: search, open what is found, go dark, sign out."""
    enter(page, "Timeline")
    expect_state(page, "Live")
    page.keyboard.press("/")
    page.keyboard.type("news.png")
    expect(page.locator("#rows .row")).to_have_count(1)
    enter(page, "news.png")
    expect(title).to_have_text("news.png")
    enter(page, "Dark")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    enter(page, "Account: mod")
    enter(page, "Sign out")
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()


def test_a_first_visit_is_light(chromium, signed_in, server, capsys):
    make_changes(60, state=State.QUARANTINED)
    cookies = signed_in().context.cookies()
    sizes = []
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.add_cookies(cookies)
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        page.add_init_script(SHIFTS + FIRST_ROW)
        page.goto(server.url)
        expect_state(page, "Live")
        page.wait_for_load_state("load")
        first_row, shifts = page.evaluate("[firstRow, shifts]")

    kilobytes = sum(sizes) / 1000
    with capsys.disabled():
        sys.stdout.write(
            f"\nA first visit to the timeline, 50 rows: {kilobytes:.0f} kB compressed with headers, {len(sizes)} requests, "
            f"first row after {first_row:.0f} ms, layout shift {sum(value for value, _ in shifts)}\n"
        )
    assert kilobytes <= MOST_KB
    assert shifts == []


FIRST_ROW = """
    new MutationObserver((_, observer) => {
      if (!document.querySelector("#rows .row")) return;
      observer.disconnect();
      requestAnimationFrame(() => (window.firstRow = performance.now()));
    }).observe(document, { childList: true, subtree: true });
"""
