"""What an empty search offers: what the box looks for, and what was probably meant."""

import re
from html import unescape

import pytest
from django.test import Client

from dashboard.search.meant import meant
from tests.factories import make_change, make_ledger, make_staff

pytestmark = pytest.mark.django_db
HASH = "ab12cd34ef56ab78" + "0" * 48
HINT = "The search looks for words in file names"


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    make_change(upload_name="cat.png", uploader="@lena:matrix.example", changed_by="@root:matrix.example", sha256=HASH)
    make_change(upload_name="dog.png", uploader="@ann:far.example", changed_by="priya")
    make_ledger()
    return client


def offered(client, text):
    """The links beside the hint, each with its words."""
    page = client.get("/", {"q": text})
    assert (page.status_code, HINT in page.text) == (200, True)
    links = re.findall(r'<a class="btn" href="([^"]+)"><bdi>(.*?)</bdi></a>', page.text)
    return [(unescape(url), unescape(words)) for url, words in links]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("lena", [("/?uploader=%40lena%3Amatrix.example", "Uploaded by @lena:matrix.example")]),
        ("@lena", [("/?uploader=%40lena%3Amatrix.example", "Uploaded by @lena:matrix.example")]),
        ("root", [("/?by=%40root%3Amatrix.example", "Changed by @root:matrix.example")]),
        ("priya", [("/?by=priya", "Changed by priya")]),
        ("ann", []),  # of another server
        ("nobody", []),
        ("lena root", []),
        (HASH[:16], [(f"/?sha256={HASH}", "Files with the hash ab12cd34ef56ab7800000000…000000000000")]),
        (HASH[:17].upper() + "…", [(f"/?sha256={HASH}", "Files with the hash ab12cd34ef56ab7800000000…000000000000")]),
        ("ab12cd34ef56ab79", []),
        (HASH[:7], []),
        ("2026-03-01", [("/?after=2026-03-01&before=2026-03-02", "Changes of 1 Mar 2026")]),
        ("01.03.2026", [("/?after=2026-03-01&before=2026-03-02", "Changes of 1 Mar 2026")]),
        ("9999-12-31", []),
        ("2026-02-30", []),
        ("!abc:matrix.example", [("/actions/?cause=room", "What staff did to whole rooms")]),
    ],
)
def test_what_was_probably_meant_is_offered(client, text, links):
    assert offered(client, text) == links

    for url, _ in links:
        assert client.get(url).status_code == 200


def test_two_files_whose_hashes_begin_alike_are_both_offered(client):
    other = HASH[:-1] + "1"
    make_change(sha256=other)

    assert [url for url, _ in offered(client, HASH[:16])] == [f"/?sha256={HASH}", f"/?sha256={other}"]


@pytest.mark.parametrize(
    "query",
    [{"q": "cat"}, {"q": "@nobody:matrix.example"}, {"q": "ff" * 32}, {"q": "-zzz"}, {"by": "nobody"}, {"q": "x"}],
)
def test_there_is_no_hint_where_it_would_not_help(client, query):
    assert HINT not in client.get("/", query).text


def test_all_of_it_is_one_statement(client, django_assert_num_queries):
    client.get("/")
    with django_assert_num_queries(0):
        assert meant("zzz zzz 2026") == []
    with django_assert_num_queries(1):
        assert len(meant(HASH[:16])) == 1
