"""Whatever strangers write, in every column and on every page: text stays text, and no page breaks."""

from urllib.parse import quote

import pytest
from django.conf import settings

from dashboard.search.filters import ChangeFilter
from quarantine import ledger
from quarantine.entries import Entry, clean_text
from quarantine.models import Cause, Role, Source
from quarantine.mxc import Mxc
from tests.dashboard.crawler import Reader, crawl, faults, leaves
from tests.factories import make_action, make_local_media, make_remote_media, make_staff

pytestmark = pytest.mark.django_db

HOSTILE = {
    "script": "</td></li></title><script>pwned()</script>",
    "comment": "--><!-- ]]><script src=//evil.example/pwned.js></script>",
    "image": "<img src=x onerror=pwned()>",
    "svg": "<svg/onload=pwned()><style>*{display:none}</style>",
    "double quote": '" onmouseover="pwned()" pwned="',
    "single quote": "' autofocus onfocus='pwned()' pwned='",
    "backtick": "` onmouseover=pwned() ",
    "entity": "&lt;script&gt;pwned()&lt;/script&gt;&#x22;&quot;",
    "address": "javascript:pwned()",
    "other origin": "//evil.example/pwned",
    "backslashes": "\\\\evil.example\\pwned",
    "template": "{{ settings.SECRET_KEY }}{% debug %}{{ request.META }}",
    "bidi": "invoice\u202efdp.exe\u2066\u2069\u200f\u061c",
    "invisible": "a\u200b\u2060\ufeff\u00adb\u3164",
    "control": "a\x1b[2J\x07\x08\x7f\x85b",
    "line breaks": "a\r\nSet-Cookie: pwned=1\r\n\r\n<script>pwned()</script>",
    "event": "a\n\nevent: pwned\nid: 99\ndata: pwned\n\n",
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "formula": "=cmd|' /C calc'!A0",
    "path up": "../../../../etc/passwd",
    "dots": "..",
    "encoded path": "..%2f..%2f%00",
    "query": "a/b?c=d&e#f",
    "sql": "'; DROP TABLE quarantine_change; --",
    "long": "A" * 10_000,
    "long and wide": "\U0001f600" * 10_000,
    "zalgo": "Z" + "\u0300\u0316" * 400,
}
each_text = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@pytest.fixture
def staff_client(client):
    ledger.bind()
    client.force_login(make_staff("anna", role=Role.ADMIN))
    return client


def record(text):
    """Put it into every column of both databases that strangers, or staff, can reach."""
    storable = clean_text(text, 100_000)
    action = make_action(reason=storable, category=storable[:64], target=storable)
    facts = {"media_type": text, "upload_name": text, "uploader": text, "sha256": text, "quarantined": True}
    facts |= {"cause": Cause.ITEM, "source": Source.FEED}
    ledger.append(
        [
            Entry(mxc=Mxc(settings.HOMESERVER_NAME, text), changed_by=text, **facts),
            Entry(mxc=Mxc(text, "abc"), **facts | {"media_length": -1}),
            Entry(mxc=Mxc("a.example", "acted"), **facts | {"action_id": action.pk, "source": Source.ACTION}),
            Entry(mxc=Mxc("a.example", "gone"), **facts),
            Entry(mxc=Mxc("a.example", "gone"), **facts | {"quarantined": False, "deleted": True}),
        ]
    )
    row = {"media_type": storable, "upload_name": storable, "quarantined_by": storable, "sha256": storable}
    make_local_media(storable, user_id=storable, **row)
    row.pop("media_type")
    make_remote_media("abc", origin=storable, **row)


@each_text
def test_every_page_shows_it_as_text(staff_client, text):
    """And every page that is linked is there: also of an id that no path can hold, or that a browser would rewrite."""
    record(text)

    pages = crawl(staff_client, "/", "/account/", "/backfill/")

    media = {address: answer.status_code for address, answer in pages.items() if address.startswith("/media/")}
    assert len(media) >= 4
    assert set(media.values()) == {200}
    assert not {address: faults(answer.text) for address, answer in pages.items() if faults(answer.text)}
    assert not [address for address, answer in pages.items() if answer.status_code >= 500]
    assert not [address for address, answer in pages.items() if settings.SECRET_KEY in answer.text]


@each_text
def test_every_event_shows_it_as_text(staff_client, text):
    record(text)

    answer = staff_client.get("/changes/live?since=0")

    lines = answer.text.splitlines()
    assert [line for line in lines if line.startswith("event:")] == ["event: change"] * 5
    assert [line for line in lines if line.startswith("id:")] == [f"id: {number}" for number in range(1, 6)]
    assert not faults(answer.text)


@each_text
def test_any_filter_may_be_given_it(staff_client, text):
    record("dull")
    raw = text.encode(errors="surrogatepass")

    answers = {name: staff_client.get("/", {name: raw}) for name in ChangeFilter.base_filters}

    assert {answer.status_code for answer in answers.values()} <= {200, 422}
    assert not {name: faults(answer.text) for name, answer in answers.items() if faults(answer.text)}


@each_text
def test_it_may_be_in_any_other_place_of_a_request(staff_client, text):
    raw = text.encode(errors="surrogatepass")
    cookie = f"{cookies(staff_client)}; theme={quote(raw)}"

    answers = [
        staff_client.get("/", {raw: "1"}),
        staff_client.get(f"/nowhere/{quote(raw)}"),
        staff_client.get(f"/media/{quote(raw, safe='')}/{quote(raw)}/"),
        staff_client.get(
            "/account/", headers={"Cookie": cookie, "HX-Target": quote(raw), "Accept-Language": quote(raw)}
        ),
        staff_client.post("/theme/", {"theme": "dark", "next": raw}),
    ]

    assert [answer.status_code for answer in answers[:-1]] == [422, 404, 404, 200]
    assert not [faults(answer.text) for answer in answers if faults(answer.text)]
    assert answers[-1].status_code in {400, 413} or not leaves(answers[-1].headers["Location"])


def cookies(client):
    return "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())


@pytest.mark.parametrize(
    "html",
    [
        "<script>x</script>",
        "<img src=/x>",
        "<p onclick=x>",
        "<a href=javascript:x>",
        "<a href='//evil.example/'>",
        "<p style='x'>",
        "<p pwned>",
        "<form action=https://evil.example/>",
        "a\u202eb",
        "a\x1bb",
    ],
)
def test_the_crawler_would_see_it(html):
    assert faults(html)


def test_the_crawler_sees_nothing_in_a_clean_page():
    page = (
        '<p title="&lt;script&gt;pwned()">pwned() <a href="/media/a/">x</a></p><script src="/static/app.js"></script>'
    )

    assert not faults(page)
    assert Reader(page).links == ["/media/a/"]
