"""Every page, for everyone: axe-core, any width, zoomed, in forced colours, without motion, on paper."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client

from tests.browser.showcase import STATES, every_page, make_showcase

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
AXE = {"resultTypes": ["violations"], "preload": False}  # what passes is neither told nor fetched
LOOKS = ((1440, "light"), (390, "dark"))
WIDTHS = [360, 640, 832, 1000, 1216, 1920]  # 640: a window of 1280 at 200 %
# Colours of one's own replace backgrounds and shadows: what is chosen must differ by something else as well.
LIKE_THE_OTHERS = """() => [...document.querySelectorAll("[aria-pressed=true], [aria-current=page], [aria-current=true]")].filter((one) => {
    const looks = (element, part) => { const { borderBottomColor, borderBottomWidth, outlineStyle, content, color, fontWeight }
        = getComputedStyle(element, part);
        return [borderBottomColor, borderBottomWidth, outlineStyle, content, color, fontWeight].join(); };
    const other = [...one.parentElement.children].find((next) => next.tagName === one.tagName && !next.ariaCurrent && next.ariaPressed !== "true");
    return other && one.checkVisibility() && looks(one) === looks(other) && looks(one, "::after") === looks(other, "::after");
}).map((one) => one.outerHTML.slice(0, 200))"""
MOVING = """() => [...document.querySelectorAll("*")].filter((one) => {
    const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(one);
    return animationName !== "none" || transitionDuration !== "0s" || scrollBehavior === "smooth";
}).map((one) => one.outerHTML.slice(0, 100))"""
TO_PRESS = """() => [...document.querySelectorAll("nav, button, textarea, .toolbar, .notices, [data-preview]")]
    .filter((one) => one.checkVisibility()).map((one) => one.outerHTML.slice(0, 100))"""
PAPER = 672  # px: 7 in, of A4 upright


@pytest.fixture
def visit(chromium, page, server):
    """A generator: opens every page, one after the other, as an admin."""
    client = Client()
    client.force_login(make_showcase())
    pages = every_page(client)
    assert {"timeline", "backfill", "consumers", "media-matrix.example-abc", "reasons"} <= pages.keys()
    assert [name for name in pages if name.startswith("actions-") and name[8:].isdigit()]
    name = settings.SESSION_COOKIE_NAME

    def each():
        # axe is put into the page, which our policy forbids; and it would measure colours half-way through a change.
        with chromium.new_context(bypass_csp=True, reduced_motion="reduce") as context:
            context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server.url}])
            opened = context.new_page()
            for title, address in pages.items():
                opened.goto(server.url + address)
                yield title, opened

    return each


def test_axe_finds_nothing_on_any_page_in_either_theme(visit):
    """Each page of the URLconf in both; further states of one, which are made of the same parts, in light."""
    axe, found = Axe(), []
    for name, page in visit():
        for width, theme in LOOKS[: 1 if name in STATES else 2]:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            violations = axe.run(page, options=AXE).response["violations"]
            found += [(name, theme, each["id"], each["nodes"][0]["html"][:200]) for each in violations]

    assert not found, "\n".join(map(str, found))


def test_every_page_suits_whoever_reads_it(visit):
    found = {name: told for name, page in visit() if (told := faults(page))}

    assert not found, "\n".join(map(str, found.items()))


def faults(page):
    """At any width and zoom, in colours of one's own, without motion, on paper."""
    told = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        told[f"wider than {width}"] = page.evaluate("document.documentElement.scrollWidth") != width
    page.emulate_media(forced_colors="active")
    told["chosen by background alone"] = page.evaluate(LIKE_THE_OTHERS)
    page.emulate_media(forced_colors="none", reduced_motion="reduce")
    told["moving"] = page.evaluate(MOVING)
    page.set_viewport_size({"width": PAPER, "height": 900})
    page.emulate_media(media="print", color_scheme="dark", reduced_motion="no-preference")
    told["on paper to press"] = page.evaluate(TO_PRESS)
    told["wider than paper"] = page.evaluate("document.documentElement.scrollWidth") != PAPER
    told["dark on paper"] = page.evaluate("getComputedStyle(document.body).colorScheme") != "light"
    page.emulate_media(media="screen", color_scheme="light")
    return {what: value for what, value in told.items() if value}
