"""Looking at a file, in a real browser: nothing is fetched before, one step at a time, and gone at once."""

import pytest
from playwright.sync_api import expect

from quarantine.models import Reveal, Role
from tests.factories import make_local_media

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
PATH = "/media/matrix.example/abc/"
CAN_BE_DRAWN = """address => new Promise((done) => {
    const image = new Image();
    Object.assign(image, { onload: () => done(true), onerror: () => done(false), src: address });
})"""


@pytest.fixture(scope="module")
def server_settings():
    return {"MEDIA_PREVIEWS": "on"}


@pytest.fixture
def asked(page):
    """The requests for a file, from the moment the page is open."""
    requests = []
    page.on("request", lambda request: requests.append(request) if "/previews/" in request.url else None)
    return requests


@pytest.fixture
def opened(signed_in, server, asked):
    make_local_media("abc", upload_name="a.png")
    page = signed_in(role=Role.MODERATOR)
    page.goto(server.url + PATH)
    return page


def shown(page):
    return page.locator("[data-preview-box] :is(img, video)")


def filters(page):
    return shown(page).evaluate("async (shown) => { await shown.decode(); return getComputedStyle(shown).filter; }")


def hold(page):
    return page.get_by_role("button", name="Hold:")


def test_nothing_is_fetched_before_it_is_asked_for_and_each_look_goes_one_step_further(opened, asked):
    page = opened
    page.mouse.move(*centre(hold(page)))
    page.evaluate("scrollTo(0, 1e6)")
    page.wait_for_load_state("networkidle")
    assert asked == []

    seen = []
    for words in ("blurred, grey", "grey", "as it is", "as it is"):
        expect(hold(page)).to_have_text(f"Hold: {words}")
        page.mouse.move(*centre(hold(page)))
        page.mouse.down()
        seen.append(filters(page))
        page.mouse.up()
        assert shown(page).count() == 0  # at once

    assert seen == ["grayscale(1) blur(24px)", "grayscale(1)", "none", "none"]
    assert [request.method for request in asked] == ["POST"] * 4
    assert Reveal.objects.count() == 4
    page.reload()
    expect(page.get_by_role("heading", name="Who looked at the file")).to_be_visible()


def centre(button):
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


LEAVING = (
    "window.dispatchEvent(new Event('blur'))",
    "document.activeElement.blur()",
    "document.dispatchEvent(new Event('visibilitychange'))",
    "window.dispatchEvent(new PageTransitionEvent('pagehide'))",
)


def test_it_is_gone_when_attention_goes_elsewhere(opened, complaints):
    page = opened
    for leave in LEAVING:
        hold(page).focus()
        page.keyboard.down(" ")
        expect(shown(page)).to_have_count(1)
        address = shown(page).get_attribute("src")
        assert page.evaluate(CAN_BE_DRAWN, address)

        left = page.evaluate(f"() => {{ {leave}; return document.querySelectorAll('[data-preview-box] img').length; }}")

        assert (leave, left, page.evaluate(CAN_BE_DRAWN, address)) == (leave, 0, False)
        page.keyboard.up(" ")
    complaints.clear()  # the browser's note of what can't be drawn any more


def test_five_seconds_without_holding(opened):
    page = opened
    page.clock.install(time=0)
    page.clock.pause_at(1_000)
    page.get_by_role("button", name="Show for 5 s").click()
    expect(shown(page)).to_have_count(1)
    page.clock.run_for(4_999)
    assert shown(page).count() == 1
    page.clock.run_for(1)

    assert shown(page).count() == 0
    expect(page.get_by_text("Hidden again.")).to_be_visible()


def test_what_can_not_be_shown_is_said_and_is_no_step(opened, complaints):
    page = opened
    make_local_media("text", media_type="text/html")
    page.goto(page.url.replace("/abc/", "/text/"))

    page.get_by_role("button", name="Show for 5 s").click()

    expect(page.get_by_text("This is no picture or film that can be shown safely.")).to_be_visible()
    expect(hold(page)).to_have_text("Hold: blurred, grey")
    assert not Reveal.objects.exists()
    complaints.clear()  # the browser's note of the 415
