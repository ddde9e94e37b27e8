"""The timeline as it happens, in a real browser: what shows, what waits, and what never moves."""

import signal
import sys
import time
from datetime import UTC, datetime
from itertools import count
from statistics import median, quantiles

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Role, Source
from quarantine.mxc import Mxc
from tests import databases, environment
from tests.factories import make_action, make_changes
from tests.servers import running_server

# On both engines only what depends on how the hub learns of a commit; the streams themselves are tested in test_live.py of dashboard/.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
numbers = count(1)


def append(number=1, **fields):
    """Commit so many changes, of media the ledger has never heard of."""
    origin = fields.pop("origin", settings.HOMESERVER_NAME)
    fields = {"quarantined": True, "source": Source.FEED} | fields
    ledger.append([Entry(mxc=Mxc(origin, f"seen{next(numbers)}"), **fields) for _ in range(number)])


def open_timeline(page, url):
    """With the pointer on the list: somebody reads. Where nobody does, see test_reading.py."""
    page.goto(url)
    page.mouse.move(700, 500)
    expect_state(page, "Live")
    return page


def expect_state(page, words, *, timeout=10_000):
    """What a person reads, which is not all that is in the page."""
    expect(page.locator("#live .live-state")).to_have_text(words, use_inner_text=True, timeout=timeout)


def row_ids(page):
    return page.locator("#rows .row").evaluate_all("rows => rows.map(row => Number(row.id.slice(1)))")


def tops(page):
    """Where each row is, to the fraction of a pixel."""
    script = "rows => Object.fromEntries(rows.map(row => [row.id, row.getBoundingClientRect().top]))"
    return page.locator("#rows .row").evaluate_all(script)


def pill(page):
    return page.locator("#new-pill")


@pytest.mark.postgresql
def test_a_change_waits_behind_the_pill_and_moves_nothing(signed_in, server):
    append(60)
    page = open_timeline(signed_in(), server.url)
    before = tops(page)

    append()
    expect(pill(page)).to_contain_text("1 new change")
    append(2)
    expect(pill(page)).to_contain_text("3 new changes")

    assert tops(page) == before
    assert row_ids(page)[0] == 60


@pytest.mark.parametrize("asked", [True, False])
def test_one_action_over_many_enters_as_one_line_that_holds_them_all(signed_in, server, asked):
    append(60)
    page = open_timeline(signed_in(), server.url)
    if not asked:  # then they enter one by one: nothing is left out
        page.route("**/?since=*", lambda route: route.fulfill(body=""))
    before = tops(page)
    append(1)
    append(12, action_id=make_action(reason="case 7").pk)
    append(1)
    expect(pill(page)).to_contain_text("14 new changes")

    pill(page).click()

    expect(pill(page)).to_be_hidden()
    after = tops(page)
    assert {row: after[row] for row in before} == pytest.approx(before, abs=0.6)
    shown = list(after)[:-50]
    assert shown == (["c74", "f73", "c61"] if asked else [f"c{position}" for position in range(74, 60, -1)])
    if asked:
        page.locator("#f73 [data-fold]").click()
        expect(page.locator("#fold-73 .row")).to_have_count(12)


@pytest.mark.parametrize("scrolled", [0, 400])
@pytest.mark.parametrize("how", ["click", "key"])
def test_pulling_in_keeps_what_is_read_where_it_is(signed_in, server, scrolled, how):
    append(60)
    page = open_timeline(signed_in(), server.url)
    page.mouse.wheel(0, scrolled)
    page.wait_for_function("at => scrollY === at", arg=scrolled)
    before = tops(page)
    append(7)
    expect(pill(page)).to_contain_text("7 new changes")

    if how == "click":
        pill(page).click()
    else:
        page.keyboard.press("n")

    expect(pill(page)).to_be_hidden()
    after = tops(page)
    assert row_ids(page) == [*range(67, 10, -1)]
    assert {row: after[row] for row in before} == pytest.approx(before, abs=0.6)
    assert page.locator("#rows .is-new").count() == 7


def test_the_first_change_ever_begins_the_list(signed_in, server):
    page = open_timeline(signed_in(), server.url)
    append()
    pill(page).click()

    assert row_ids(page) == [1]
    assert page.locator(".day-head h2").inner_text().endswith(time.strftime("%Y", time.gmtime()))
    assert page.locator(".blank").count() == 0


def test_the_first_change_of_a_day_stands_under_its_own_date(signed_in, server):
    make_changes(2)  # in March
    page = open_timeline(signed_in(), server.url)
    append(2)
    expect(pill(page)).to_contain_text("2 new changes")
    pill(page).click()

    today = datetime.now(UTC)
    headings = page.locator("#rows .day-head h2").all_inner_texts()
    assert headings == [f"{today:%A} {today.day} {today:%B %Y}", "Sunday 1 March 2026"]
    assert row_ids(page) == [4, 3, 2, 1]


def test_a_screen_reader_is_told_but_not_all_the_time(signed_in, server):
    page = open_timeline(signed_in(), server.url)
    append()
    expect(page.locator("#news")).to_have_text("1 new change is waiting. Press n to show it.")
    append()
    expect(pill(page)).to_contain_text("2 new changes")

    expect(page.locator("#news")).to_have_text("1 new change is waiting. Press n to show it.", timeout=100)
    expect(page.locator("#news")).to_have_text("2 new changes are waiting. Press n to show them.", timeout=15_000)
    pill(page).click()
    expect(page.locator("#news")).to_be_empty(timeout=15_000)


def test_only_what_matches_the_filters_waits(signed_in, server):
    append(3)
    page = open_timeline(signed_in(), f"{server.url}/?origin=remote.example")
    append(2)
    append(1, origin="remote.example")

    expect(pill(page)).to_contain_text("1 new change")


def test_choosing_a_filter_changes_the_stream(signed_in, server):
    append(3)
    page = open_timeline(signed_in(), server.url)
    page.evaluate("htmx.ajax('GET', '/?scope=remote', {target: '#results', swap: 'outerHTML'})")
    expect(page.locator("#timeline")).to_have_attribute("data-live", "/changes/live?scope=remote")
    append(1)
    append(1, origin="remote.example")

    expect(pill(page)).to_contain_text("1 new change")
    pill(page).click()
    assert row_ids(page) == [5]


def test_an_older_page_claims_nothing(signed_in, server):
    append(60)
    page = signed_in()
    page.goto(f"{server.url}/?cursor=20")

    expect(page.locator("#rows .row").first).to_be_visible()
    assert page.locator("#live").is_hidden()


def test_paused_means_no_pill_until_resumed(signed_in, server):
    append(3)
    page = open_timeline(signed_in(), server.url)
    page.get_by_role("button", name="Pause live updates").click()
    expect_state(page, "Paused")

    append(2)
    expect(page.locator("#live")).to_have_attribute("title", "2 new changes waiting")
    assert pill(page).is_hidden()

    page.keyboard.press("p")
    expect_state(page, "Live")
    expect(pill(page)).to_contain_text("2 new changes")


def test_too_many_changes_offer_to_reload(signed_in, server):
    append(3)
    page = open_timeline(signed_in(), server.url)
    append(201)
    expect(pill(page)).to_contain_text("More than 200 new changes — reload")
    append()

    pill(page).click()

    expect(page.locator("#rows .row").first).to_have_id("c205")
    assert pill(page).is_hidden()


@pytest.mark.postgresql
def test_a_server_that_dies_and_returns_loses_nothing(signed_in, complaints):
    append(3)
    env = environment.process_environ(databases.CURRENT)
    with running_server(env) as first:
        page = open_timeline(signed_in(first.url), first.url)
        append()
        expect(pill(page)).to_contain_text("1 new change")
        first.stop(signal.SIGKILL)
        expect_state(page, "Reconnecting")
        append(2)
    with running_server(env, "--port", str(first.port)):
        expect_state(page, "Live", timeout=20_000)
        append()
        expect(pill(page)).to_contain_text("4 new changes")
        pill(page).click()

    assert row_ids(page) == [7, 6, 5, 4, 3, 2, 1]
    assert all("Failed to load resource" in text or "ERR_" in text for text in complaints)
    complaints.clear()


@pytest.mark.postgresql
def test_a_session_that_ends_shows_signed_out(signed_in, server, complaints):
    page = open_timeline(signed_in(), server.url)
    Session.objects.all().delete()

    expect_state(page, "Signed out")
    assert page.get_by_role("button", name="Pause live updates").is_hidden()
    # The summary, which asks every 20 seconds, may have been told the same first.
    assert all("401" in text for text in complaints)
    complaints.clear()


def test_a_page_that_refreshes_itself_stays_when_its_session_ends(signed_in, server, complaints):
    page = signed_in(role=Role.ADMIN)
    page.goto(f"{server.url}/consumers/")
    Session.objects.all().delete()

    expect(page.get_by_text("You are signed out. Reload the page to sign in again and go on.")).to_be_visible(
        timeout=10_000
    )
    assert page.url == f"{server.url}/consumers/"
    assert "401" in complaints[0]
    complaints.clear()


def test_a_hidden_tab_lets_its_stream_go_and_catches_up(signed_in, server):
    append(3)
    page = signed_in()
    with page.expect_request("**/changes/live"):
        open_timeline(page, server.url)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/changes/live")):
        set_hidden(page, True)
    append(2)

    with page.expect_request("**/changes/live") as reopened:
        set_hidden(page, False)

    assert reopened.value.headers["last-event-id"] == "3"
    expect(pill(page)).to_contain_text("2 new changes")


def set_hidden(page, hidden):
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.mark.postgresql
def test_from_commit_to_browser_in_less_than_a_second(signed_in, server, engine, capsys):
    page = open_timeline(signed_in(), server.url)
    page.evaluate(
        """() => {
            window.arrivals = [];
            new MutationObserver(() => arrivals.push(performance.timeOrigin + performance.now()))
                .observe(document.querySelector("[data-new-count]"), { childList: true, characterData: true, subtree: true });
        }"""
    )
    latencies = []
    for number in range(1, 31):
        append()
        committed = time.time() * 1000
        page.wait_for_function("number => arrivals.length >= number", arg=number)
        latencies.append(page.evaluate("arrivals.at(-1)") - committed)

    with capsys.disabled():
        sys.stdout.write(
            f"\nFrom commit to browser, {engine}, {len(latencies)} changes: "
            f"median {median(latencies):.0f} ms, p95 {quantiles(latencies, n=20)[-1]:.0f} ms, worst {max(latencies):.0f} ms\n"
        )
    assert median(latencies) < 1000
