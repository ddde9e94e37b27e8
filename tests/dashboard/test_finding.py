"""Finding: the search box, the numbers beside the filters, and what an empty view offers."""

import re
from html import unescape

import pytest
from django.test import Client
from pytest_django.asserts import assertInHTML

from dashboard.search import counts
from quarantine.models import Role, State
from tests.factories import make_change, make_changes, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
HASH = "ab" * 32
MXC = "mxc://matrix.example/abc"


@pytest.fixture
def client():
    client = Client()
    client.force_login(make_staff("mod"))
    return client


def led_to(client, text, **others):
    return unescape(client.get("/find/", {"q": text, **others})["Location"])


@pytest.mark.parametrize(
    ("pasted", "address"),
    [
        (MXC, "/media/matrix.example/abc/"),
        ("https://hs.example/_matrix/client/v1/media/download/matrix.example/abc/x.png", "/media/matrix.example/abc/"),
        (HASH.upper(), f"/?sha256={HASH}"),
        ("@ann:matrix.example", "/?q=%40ann%3Amatrix.example"),
        ("https://matrix.to/#/@ann:matrix.example", "/?q=%40ann%3Amatrix.example"),
        ("Seen.example", "/?origin=seen.example"),
        ("photo.png", "/?q=photo.png"),
        ("cat pictures", "/?q=cat+pictures"),
        ("-draft", "/?q=-draft"),
        ("mxc://broken", "/?q=mxc%3A%2F%2Fbroken"),
        ("", "/"),
    ],
)
def test_what_is_pasted_leads_where_it_should(client, pasted, address):
    make_change(origin="seen.example")

    assert led_to(client, pasted) == address


def test_the_other_filters_go_along(client):
    assert led_to(client, "cat pictures", scope="local", by="") == "/?q=cat+pictures&scope=local"


def test_a_list_leads_those_who_may_act_to_what_can_be_done(client):
    items = f"{MXC}\n{HASH}, @ann:matrix.example"

    answer = client.get(led_to(client, items))

    assert answer.status_code == 200
    assertInHTML(
        '<textarea class="input textarea mono" id="list" name="list" rows="8" spellcheck="false">'
        f"{MXC}\n{HASH}\n@ann:matrix.example</textarea>",
        answer.text,
    )
    assert "That can’t be done as asked" not in answer.text


def test_a_list_shows_others_what_is_recorded():
    viewer = Client()
    viewer.force_login(make_staff("viewer", role=Role.VIEWER))
    make_change(media_id="abc")
    make_change(sha256=HASH, media_id="other")
    make_change(media_id="third")

    answer = viewer.get(led_to(viewer, f"{MXC} {HASH}"))

    assert re.findall(r'id="c(\d+)"', answer.text) == ["2", "1"]


def test_htmx_is_led_to_a_whole_page(client):
    answer = client.get("/find/", {"q": MXC}, headers={"HX-Request": "true"})

    assert answer["HX-Redirect"] == "/media/matrix.example/abc/"


# --- Numbers ------------------------------------------------------------------------------


def numbers(answer):
    """The label of each value, and its number."""
    found = re.findall(r"<bdi>([^<]*)</bdi></a></td><td class=\"num\">([^<]*)<", answer.text)
    return dict(found)


def test_each_value_is_counted_beside_the_other_filters(client):
    make_changes(3, origin="a.example")
    make_change(origin="b.example", state=State.RELEASED)
    make_change(origin="b.example")

    assert numbers(client.get("/facets/state/")) == {"Quarantined": "4", "Released": "1", "Deleted": "0"}
    assert numbers(client.get("/facets/state/?origin=b.example"))["Quarantined"] == "1"
    assert numbers(client.get("/facets/origin/?origin=b.example")) == {"b.example": "2", "a.example": "3"}


def test_numbers_stop_where_reading_them_would_take_long(client, monkeypatch):
    make_changes(5)
    monkeypatch.setattr(counts, "COUNTED", 3)

    assert numbers(client.get("/facets/scope/")) == {"Local": "3+", "Remote": "0"}


def test_a_value_is_counted_however_it_is_written(client):
    make_change(origin="-dash.example")

    answer = client.get("/facets/origin/")

    assert numbers(answer) == {"-dash.example": "1"}
    assert 'href="/?origin=%5C-dash.example"' in answer.text


def test_a_menu_gets_only_what_it_lacks(client):
    make_changes(2, origin="a.example")
    answer = client.get("/facets/origin/", headers={"HX-Request": "true", "HX-Target": "facet-origin"})

    assert "<html" not in answer.text
    assertInHTML('<input type="checkbox" name="origin" value="a.example">', answer.text)
    state = client.get("/facets/state/", headers={"HX-Request": "true", "HX-Target": "facet-state"})
    slug = counts.choice_slug("state", "quarantined")
    assertInHTML(f'<span class="menu-n" id="n-{slug}" hx-swap-oob="true">2</span>', state.text)
    assert f'id="n-{slug}"' in region(client.get("/"), "filters")


def test_only_filters_are_counted(client):
    assert client.get("/facets/sha256/").status_code == 404
    assert client.get("/facets/origin/?state=banana").status_code == 422


def test_an_empty_view_offers_to_leave_out_the_narrowest_filter(client):
    make_changes(3, origin="a.example")
    make_change(origin="b.example", state=State.RELEASED)

    answer = client.get("/?origin=a.example&state=released&scope=remote")

    assertInHTML("<p>Without “State is: <bdi>Released</bdi>” there are 3 changes.</p>", answer.text)
    assertInHTML(
        '<a class="btn btn-primary" href="/?scope=remote&amp;origin=a.example">Remove that filter</a>', answer.text
    )


def test_a_view_says_of_how_many_it_shows_some(client):
    make_changes(3)
    make_change(state=State.RELEASED)

    answer = client.get("/?state=released")

    assertInHTML('<span class="chips-n" role="status"><b>1</b> of 4 changes</span>', answer.text)
