"""region() is what many tests lean on."""

import pytest

from tests.html import region

PAGE = """<main>\u2028
<section id="results" class="a"><section>nested &amp; escaped</section><br><img id="dot" src="x">
<svg id="icon"/></section >
<p id="twice"></p><p id="twice"></p></main>"""


@pytest.mark.parametrize(
    ("wanted", "source"),
    [
        (
            "results",
            '<section id="results" class="a"><section>nested &amp; escaped</section><br><img id="dot" src="x">\n'
            '<svg id="icon"/></section >',
        ),
        ("dot", '<img id="dot" src="x">'),
        ("icon", '<svg id="icon"/>'),
    ],
)
def test_region_is_the_element_as_it_is_written(wanted, source):
    assert region(PAGE, wanted) == source


@pytest.mark.parametrize("wanted", ["twice", "nowhere"])
def test_region_wants_exactly_one(wanted):
    with pytest.raises(AssertionError):
        region(PAGE, wanted)
