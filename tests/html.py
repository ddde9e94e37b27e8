"""Looking at HTML answers."""

from html.parser import HTMLParser
from itertools import accumulate

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class _Region(HTMLParser):
    """Finds where in the source the element with an id begins and ends."""

    def __init__(self, html, wanted):
        super().__init__(convert_charrefs=False)
        self.html, self.wanted = html, wanted
        self.line_starts = list(accumulate((len(line) + 1 for line in html.split("\n")), initial=0))
        self.seen = 0  # elements with that id
        self.open_tag, self.depth = "", 0
        self.begin = self.end = 0
        self.feed(html)

    def position(self):
        line, column = self.getpos()
        return self.line_starts[line - 1] + column

    def handle_starttag(self, tag, attrs):
        if tag == self.open_tag:
            self.depth += 1
        if dict(attrs).get("id") != self.wanted:
            return
        self.seen += 1
        if self.seen == 1:
            self.begin = self.position()
            self.end = self.begin + len(self.get_starttag_text())
            if tag not in VOID:
                self.open_tag, self.depth = tag, 1

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag == self.open_tag:
            self.depth -= 1
            if not self.depth:
                self.open_tag = ""
                self.end = self.html.index(">", self.position()) + 1


def region(answer, wanted: str) -> str:
    """The source of the one element with this id, its own tags included.

    `answer` is a response or HTML. Fails when there is no such element, or more than one.
    """
    html = answer if isinstance(answer, str) else answer.content.decode()
    found = _Region(html, wanted)
    assert found.seen == 1, f"{found.seen} elements with id={wanted!r} in:\n{html[:2000]}"
    assert not found.open_tag, f"<{found.open_tag} id={wanted!r}> is never closed"
    return html[found.begin : found.end]
