"""A form that is sent when the session has ended: nothing is done, and whoever signs in again is told so."""

from urllib.parse import quote

import pytest
from django.core.cache import cache

from quarantine.accounts.staff import end_sessions
from quarantine.models import Action, Role
from tests.dashboard.people import sign_in, signed_in
from tests.factories import make_staff

pytestmark = pytest.mark.django_db
SAID = "You were signed out by then, so what you sent was not done. Choose it and send it again."
NEW = "/actions/new/"
ASKED = {"verb": "quarantine", "media": "mxc://matrix.example/abc"}


@pytest.fixture
def anna(db):
    cache.clear()
    return make_staff("anna", role=Role.MODERATOR)


@pytest.fixture
def ended(anna):
    """A browser whose session was ended elsewhere."""
    here = signed_in()
    end_sessions(anna)
    return here


@pytest.mark.parametrize(
    "page", ["/?state=quarantined", "/media/matrix.example/abc/", f"{NEW}?verb=quarantine&media=mxc://a.example/b"]
)
def test_whoever_signs_in_again_is_told_on_the_page_it_was_sent_from(ended, page):
    answer = ended.post(NEW, ASKED, headers={"Referer": f"http://testserver{page}"})

    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={quote(page)}")
    back = sign_in(ended, data={"next": page})["Location"]
    assert back == page
    assert SAID in ended.get("/").text
    assert SAID not in ended.get("/").text  # once
    assert not Action.objects.exists()


def test_whoever_sent_nothing_is_told_nothing(ended):
    ended.get("/?state=quarantined")

    sign_in(ended)

    assert SAID not in ended.get("/").text


def test_a_form_that_was_told_of_is_not_told_of_at_the_next_sign_in(ended, anna):
    ended.post(NEW, ASKED)
    sign_in(ended)
    assert SAID in ended.get("/").text
    end_sessions(anna)

    sign_in(ended)

    assert SAID not in ended.get("/").text


def test_htmx_carries_it_too(ended):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/backfill/"}

    answer = ended.post("/backfill/audit/start/", headers=headers)

    assert answer.headers["HX-Redirect"] == "/login/?next=/backfill/"
    sign_in(ended)
    assert SAID in ended.get("/").text


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/?state=quarantined",
        "//evil.example/",
        "http://testserver.evil.example/",
        "http://testserver//evil.example/",
        "http://testserver/reasons/add/",  # answers forms alone
        "http://testserver/nowhere/",
        "javascript:alert(1)",
        "http://[",
        "",
    ],
)
def test_it_leads_back_to_no_other_origin_and_to_no_form(ended, page):
    answer = ended.post(NEW, ASKED, headers={"Referer": page})

    assert answer["Location"] == "/login/?next=/"
