"""The page of one media item."""

import re
from html import unescape
from urllib.parse import unquote, urljoin

import pytest
from django.test import Client
from django.urls import resolve, reverse
from django.utils.html import escape
from pytest_django.asserts import assertInHTML

from dashboard.wording.text import visible
from quarantine.models import State
from tests import databases
from tests.dashboard.test_rows import HOSTILE
from tests.databases import AttachedHomeserver
from tests.factories import (
    make_action,
    make_change,
    make_changes,
    make_ledger,
    make_local_media,
    make_remote_media,
    make_staff,
)
from tests.html import region

pytestmark = pytest.mark.django_db
HASH = "ab" * 32
HERE = "matrix.example"
ABC = "/media/matrix.example/abc/"


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    return client


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def events(answer):
    """Each change of the history: state, actor and reason, as text."""
    return [text_of(item) for item in re.findall(r'<p class="what">(.*?)</div>', region(answer, "history"), re.DOTALL)]


def copies(answer):
    """State and address of each copy."""
    table = re.findall(r"<tr>\s*<td>(.*?)</td>.*?title=\"([^\"]+)\"", answer.text, re.DOTALL)
    return [(text_of(state), mxc) for state, mxc in table]


# --- Who sees it --------------------------------------------------------------------------


def test_strangers_are_sent_to_sign_in():
    make_change(media_id="abc")

    answer = Client().get(ABC)

    assert answer.status_code == 302
    assert answer["Location"] == f"/login/?next={ABC}"


# --- What it shows ------------------------------------------------------------------------


def test_shows_the_facts_of_the_homeserver(client):
    make_change(media_id="abc", upload_name="old name.png")
    make_local_media(
        "abc", upload_name="cat.png", media_type="image/png", media_length=1234, sha256=HASH, quarantined_by="@root:matrix.example",
        created_ts=1_790_000_000_000, last_access_ts=1_790_000_060_000, safe_from_quarantine=True,
    )  # fmt: skip

    page = client.get(ABC)
    text = text_of(page.text)

    assertInHTML("<h1><bdi>cat.png</bdi></h1>", page.text)
    assert "Type PNG image/png Size 1.2 kB 1,234 bytes Uploader @ann:matrix.example" in text.replace("\u00a0", " ")
    assert "Uploaded 21 Sep 2026, 14:13:20 UTC Last accessed 21 Sep 2026, 14:14:20 UTC Protected Yes" in text
    assert "Quarantined by @root:matrix.example as the homeserver has it" in text
    assert f'data-copy="{HASH}"' in page.text


def test_tells_the_whole_history_newest_first(client):
    action = make_action(reason="Appeal upheld")
    make_change(media_id="abc", not_before=None, source="backfill")
    make_change(media_id="other")
    make_change(media_id="abc", state=State.RELEASED, action=action, changed_by="mod", cause="item")
    make_change(media_id="abc", changed_by="system", cause="hash", source="audit")
    make_change(media_id="abc", state=State.DELETED, source="audit")

    assert events(client.get(ABC)) == [
        "Deleted , by whom is not known Cause not known · Found by audit",
        "Quarantined by System: hash match Hash match · Found by audit",
        "Released by mod Single item · Done here · Appeal upheld",
        "Found quarantined , by whom is not known Cause not known · Found already so",
    ]


def test_a_long_history_has_pages(client):
    for number in range(7):
        make_change(
            media_id="abc", changed_by=f"@u{number}:x", state=State.RELEASED if number % 2 else State.QUARANTINED
        )
        make_change(media_id="other")

    first = client.get(f"{ABC}?limit=3")
    older = re.findall(r'rel="next" href="([^"]+)"', first.text)[0].replace("&amp;", "&")
    second = client.get(older)

    named = [re.findall(r"by (@u\d):x", " ".join(events(page))) for page in (first, second)]
    assert named == [["@u6", "@u5", "@u4"], ["@u3", "@u2", "@u1"]]
    swap = client.get(older, headers={"HX-Request": "true", "HX-Target": "history"})
    assert region(swap, "history") == region(second, "history")
    assert "<html" not in swap.text


def test_a_bad_filter_shows_the_message_and_no_history(client):
    make_change(media_id="abc")

    answer = client.get(f"{ABC}?cursor=0")

    assert answer.status_code == 422
    assert events(answer) == []
    assert "cursor: “0” is not a whole number" in answer.text


def test_costs_the_same_few_queries_whatever_it_shows(client, django_assert_num_queries):
    make_changes(5, sha256=HASH, uploader="@ann:matrix.example", action=make_action(reason="x"))
    make_change(media_id="abc", sha256=HASH, uploader="@ann:matrix.example")
    make_local_media("abc", sha256=HASH)
    make_local_media("unchanged", sha256=HASH)

    with (
        django_assert_num_queries(12),  # session, account; item, its change; copies (3); others (2); history; looks
        django_assert_num_queries(3, using="homeserver"),  # its row; local and remote copies
    ):
        client.get(ABC)


# --- Two sources --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "quarantined_by", "badge", "notice"),
    [
        (State.QUARANTINED, "@root:x", "Quarantined", None),
        (State.RELEASED, None, "Released", None),
        (None, None, "Visible", None),
        (None, "system", "Quarantined", "Not in the ledger yet"),
        (State.QUARANTINED, None, "Released", "Not in the ledger yet"),
        (State.RELEASED, "system", "Quarantined", "Not in the ledger yet"),
    ],
)
def test_the_state_is_the_homeservers_and_a_difference_is_said(client, state, quarantined_by, badge, notice):
    make_ledger()
    if state:
        make_change(media_id="abc", state=state)
    make_local_media("abc", quarantined_by=quarantined_by)

    page = client.get(ABC)

    assertInHTML(f"<span>{badge}</span>", region(page, "main").partition("</h1>")[2].partition("</div>")[0])
    assert ("Not in the ledger yet" in page.text) == (notice is not None)


def test_deleted_media_keeps_its_story(client):
    make_change(media_id="abc", upload_name="cat.png", sha256=HASH)
    make_change(media_id="abc", upload_name="cat.png", state=State.DELETED, sha256=HASH)

    page = client.get(ABC)

    assertInHTML("<h1><bdi>cat.png</bdi></h1>", page.text)
    assert "Its sha256 stays known here." in page.text
    assert len(events(page)) == 2


def test_media_the_homeserver_lost_is_said_to_be_gone(client):
    make_change(media_id="abc")

    assert "No longer on the homeserver" in client.get(ABC).text


def test_unknown_media_is_not_found(client):
    make_change(media_id="abcd")
    make_local_media("abcde")
    make_remote_media("abc", origin="remote.example")

    answer = client.get(ABC)

    assert answer.status_code == 404
    assertInHTML("<h1>This media is not known</h1>", answer.text)


# --- The homeserver away ------------------------------------------------------------------


@pytest.fixture(params=["sqlite:////nowhere/homeserver.sqlite3", "postgres://nobody:x@127.0.0.1:9/none"])
def homeserver_away(request, transactional_db):
    """Attached to a database that doesn't answer."""
    environ = {"HOMESERVER_DATABASE_URL": request.param, "HOMESERVER_NAME": HERE}
    with databases.attached(AttachedHomeserver(environ=environ, owner="")):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("homeserver_away")
def test_without_the_homeserver_the_ledger_is_shown_and_it_is_said(client):
    make_change(media_id="abc", upload_name="cat.png", uploader="@ann:matrix.example", sha256=HASH)
    make_change(media_id="copy", sha256=HASH)

    page = client.get(ABC)

    assert page.status_code == 200
    assertInHTML("<strong>The homeserver’s database can’t be reached</strong>", page.text)
    assertInHTML("<h1><bdi>cat.png</bdi></h1>", page.text)
    assert copies(page) == [("Quarantined", "mxc://matrix.example/copy")]
    assert "Protected Not known Quarantined by Not known" in text_of(page.text)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("homeserver_away")
def test_without_the_homeserver_unknown_media_is_not_called_unknown(client):
    answer = client.get(ABC)

    assert answer.status_code == 503
    assertInHTML("<h1>The homeserver can’t be asked right now</h1>", answer.text)


# --- Related media ------------------------------------------------------------------------


def test_copies_come_from_both_sides(client):
    make_change(media_id="abc", sha256=HASH)
    make_change(media_id="gone", sha256=HASH, state=State.DELETED)
    make_change(media_id="known", origin="remote.example", sha256=HASH)
    make_change(media_id="other", sha256="cd" * 32)
    make_remote_media("known", sha256=HASH, quarantined_by="system")
    make_local_media("visible", sha256=HASH)
    make_local_media("caught", sha256=HASH, quarantined_by="system")
    make_remote_media("different", sha256="cd" * 32)

    assert copies(client.get(ABC)) == [
        ("Quarantined", "mxc://remote.example/known"),
        ("Deleted", "mxc://matrix.example/gone"),
        ("Quarantined", "mxc://matrix.example/caught"),
        ("Visible", "mxc://matrix.example/visible"),
    ]


def test_copies_are_bounded(client):
    make_change(media_id="abc", sha256=HASH)
    for number in range(55):
        make_remote_media(f"copy{number}", sha256=HASH)

    page = client.get(ABC)

    assert len(copies(page)) == 50
    assert "50+ others with this sha256" in page.text


def test_media_without_a_hash_has_no_copies(client):
    make_change(media_id="abc")
    make_local_media("abc")
    make_local_media("another")

    page = client.get(ABC)

    assert "Same file elsewhere" not in page.text
    assert "another" not in page.text


def test_other_media_of_the_uploader(client):
    make_change(media_id="abc", uploader="@ann:matrix.example")
    make_change(media_id="hers", uploader="@ann:matrix.example", upload_name="hers.png")
    make_change(media_id="his", uploader="@bob:matrix.example", upload_name="his.png")

    page = client.get(ABC).text

    assert 'href="/media/matrix.example/hers/"' in page
    assert "his.png" not in page


# --- Strangers' names ---------------------------------------------------------------------

NAMES = [
    "abc", "a/b", "/", "a//b", "..", ".", "../../etc/passwd", "a b", "%2F", "%", "a?b#c", "~", "~YWJj", "\\", "é", "🎉",
    "line\nfeed", "tab\t", "\x01", "\u202e", "<script>", '"', "'", "&amp;", "a/", "x" * 255, ";", "+", ":", "@",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("origin", [HERE, "evil.example/..", "..", "ev il"])
def test_every_name_has_an_address_that_survives(name, origin):
    address = reverse("media-detail", args=[origin, name])

    # A browser does this to a path before it asks for it.
    assert urljoin("https://x.example", address).removeprefix("https://x.example") == address
    match = resolve(unquote(address))
    assert match.view_name == "media-detail"
    assert match.kwargs == {"origin": origin, "media_id": name}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_leads_from_the_timeline_to_its_page(client, name):
    make_change(media_id=name, origin="evil.example")

    [address] = re.findall(r'class="l1 name noname" href="([^"]+)"', client.get("/").text)

    page = client.get(unescape(address))
    assert page.status_code == 200
    assert f'data-copy="{escape(f"mxc://evil.example/{name}")}"' in page.text


@pytest.mark.parametrize("path", ["/media/evil.example/a%2Fb/", "/media/evil.example/a/b/"])
def test_an_encoded_slash_is_part_of_the_id(client, path):
    make_change(media_id="a/b", origin="evil.example")

    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/media/evil.example/a%00b/", "/media/a%00b/x/", "/media/evil.example/~AA/"])
def test_nul_is_never_asked_for(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_harmless_in_every_fact(client, hostile):
    short = hostile[:255]
    make_change(
        media_id="abc",
        upload_name=hostile,
        media_type=short,
        uploader=short,
        changed_by=short,
        sha256=HASH,
        action=make_action(reason=hostile),
    )
    make_local_media(
        "abc", upload_name=hostile * 10, media_type=hostile, user_id=hostile, quarantined_by=hostile, sha256=HASH
    )
    make_remote_media(short, origin=short, upload_name=hostile, sha256=HASH)
    make_change(media_id="more", upload_name=hostile, uploader=short)

    page = client.get(ABC)

    assert page.status_code == 200
    body = re.sub(r'"[^"]*"', '""', page.text.partition("<main")[2])
    assert "<script" not in body
    assert "<img" not in body
    assert not re.search(r"<[^>]*\son\w+\s*=", body)
    assert not [char for char in body if char != "\n" and visible(char) != escape(char)]
