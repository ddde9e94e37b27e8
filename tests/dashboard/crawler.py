"""Reads pages as a browser would, follows their links, and says what is wrong with them."""

import re
from html.parser import HTMLParser
from unicodedata import category
from urllib.parse import parse_qs, urljoin, urlsplit

LINKS = {
    "href",
    "src",
    "action",
    "formaction",
    "poster",
    "data",
    "srcset",
    "ping",
    "xlink:href",
    "hx-get",
    "hx-post",
    "sse-connect",
}
FORBIDDEN_TAGS = {"style", "iframe", "object", "embed", "base", "frame", "applet", "img", "video", "audio", "math"}
READ_ALOUD = {"title", "alt", "aria-label", "placeholder"}
MARKER = "pwned"  # in every hostile text that tries to become markup


class Reader(HTMLParser):
    """Collects `links` and, in `faults`, what the site's policy forbids, strangers' markup, and hidden characters."""

    def __init__(self, html):
        super().__init__()
        self.links, self.faults = [], []
        self.script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.script = tag == "script"
        bare_script = self.script and not attributes.get("src")
        if tag in FORBIDDEN_TAGS or MARKER in tag or bare_script or (tag == "meta" and "http-equiv" in attributes):
            self.faults.append(self.get_starttag_text())
        for name, value in attrs:
            self.handle_attribute(tag, name, value or "")

    def handle_attribute(self, tag, name, value):
        if name.startswith(("on", "hx-on")) or name == "style" or MARKER in name:
            self.faults.append(f"{tag} {name}={value!r}")
        if name in LINKS and leaves(value):
            self.faults.append(f"{tag} {name}={value!r}")
        elif (tag, name) == ("a", "href"):
            self.links.append(value)
        if name in READ_ALOUD:
            self.faults += hidden(value)

    def handle_data(self, data):
        if self.script and data.strip():
            self.faults.append(f"inline script {data!r}")
        self.faults += hidden(data)

    def handle_endtag(self, tag):
        self.script = False


def leaves(address):
    """Whether following it could lead away, or run something."""
    parts = urlsplit(address)
    return bool(parts.scheme or parts.netloc) or not address.isprintable() or "\\" in address


def hidden(text):
    """Characters that show nothing or turn the text around; they have to be made visible."""
    return [
        f"U+{ord(char):04X} in {text[:60]!r}" for char in text if char not in "\n\t" and category(char) in {"Cc", "Cf"}
    ]


def faults(html):
    return Reader(html).faults


def crawl(client, *starts, most=60):
    """Every page that can be reached by links, as {address: answer}; of many with the same parameters, one."""
    waiting, kinds, found = list(starts), set(), {}
    while waiting and len(found) < most:
        address = waiting.pop(0)
        parts = urlsplit(address)
        kind = (parts.path, frozenset(parse_qs(parts.query, keep_blank_values=True)))
        if kind in kinds or re.match(r"/static/", parts.path):
            continue
        kinds.add(kind)
        answer = client.get(address)
        if answer.streaming or "html" not in answer.headers["Content-Type"]:  # an export: saved, never shown
            assert answer.headers["Content-Disposition"].startswith("attachment")
            continue
        found[address] = answer
        if answer.status_code == 200 and "html" in answer.headers["Content-Type"]:
            waiting += [urljoin(address, link).partition("#")[0] for link in Reader(answer.text).links]
    return found
