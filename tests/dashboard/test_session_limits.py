"""When a session ends by itself, and when it is asked again who holds it."""

import json
import re
import time

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from dashboard.signing_in.admission import Admission, still_admitted
from dashboard.signing_in.session_store import BEGAN, SEEN, stored
from dashboard.signing_in.sessions import UNATTENDED
from quarantine.models import Capability, Consumer, Role, Run, Staff
from tests.dashboard.people import PASSWORD, signed_in
from tests.factories import make_staff
from tests.tree import files

pytestmark = pytest.mark.django_db
MINUTE, HOUR = 60, 3600
CONFIRM = "/account/confirm/"
TOKEN = {"name": "hma", "scope": "changes:read", "days": "30"}


@pytest.fixture(autouse=True)
def anna(db):
    cache.clear()
    return make_staff("anna", role=Role.ADMIN)


@pytest.fixture
def here():
    return signed_in()


def back_dated(client, **ago):
    """As if it had been so long since; what the row says follows from that, as with any other write."""
    session = client.session
    for key, seconds in ago.items():
        session[key] = time.time() - seconds
    session["account_authentication_methods"] = []
    session.save()
    return client


def lets_in(client):
    return client.get("/account/").status_code == 200


def test_a_session_that_somebody_ended_meanwhile_is_not_written_again(here):
    session = here.session
    assert SEEN in session
    Session.objects.all().delete()

    with pytest.raises(UpdateError):
        session.save()

    assert not Session.objects.exists()


# --- Limits -------------------------------------------------------------------------------


def test_a_session_ends_two_hours_after_the_last_request(here):
    assert lets_in(back_dated(here, seen_at=119 * MINUTE, began_at=3 * HOUR))
    assert not lets_in(back_dated(here, seen_at=121 * MINUTE, began_at=3 * HOUR))


def test_a_session_ends_twelve_hours_after_signing_in_whatever_happens(here):
    assert lets_in(back_dated(here, seen_at=0, began_at=12 * HOUR - MINUTE))
    assert here.cookies["quarantine_session"]["max-age"] != ""
    assert not lets_in(back_dated(here, seen_at=0, began_at=12 * HOUR + 1))


def test_limits_are_the_operators(here, settings):
    settings.SESSION_IDLE_MINUTES, settings.SESSION_MAX_HOURS = 0, 24

    assert lets_in(back_dated(here, seen_at=23 * HOUR, began_at=23 * HOUR))
    assert not lets_in(back_dated(here, seen_at=0, began_at=24 * HOUR + 1))


def test_what_a_person_does_keeps_the_session_and_what_a_page_does_by_itself_does_not(here):
    back_dated(here, seen_at=HOUR, began_at=HOUR)

    here.get("/", headers={"X-Unattended": "1", "HX-Request": "true", "HX-Target": "summary"})
    here.get("/changes/live")
    assert here.session[SEEN] < time.time() - 59 * MINUTE

    here.get("/")
    assert here.session[SEEN] > time.time() - MINUTE
    assert here.session[BEGAN] < time.time() - 59 * MINUTE


def test_a_session_of_an_earlier_version_counts_from_its_next_request(here):
    session = here.session
    del session[BEGAN], session[SEEN]
    earlier = {"session_data": session.encode(session._session)}
    assert Session.objects.filter(session_key=stored(session.session_key)).update(**earlier)

    assert lets_in(here)
    assert here.session.get_expiry_age() <= 2 * HOUR


def test_who_began_with_a_password_and_shows_it_at_the_provider_is_not_bound_to_its_word(here):
    session, now = here.session, time.time()
    again = {"method": "socialaccount", "at": now, "reauthenticated": True}

    session["account_authentication_methods"] = [{"method": "password", "at": now}, again]
    assert session.vouched_at() is None
    session["account_authentication_methods"] = [{"method": "socialaccount", "at": now - HOUR}, again]
    assert session.vouched_at() == now


def test_a_stream_ends_with_its_session(here, anna):
    key = stored(here.session.session_key)
    admitted = Admission(session_key=key, staff_id=anna.pk, auth_hash=anna.get_session_auth_hash())
    assert still_admitted({admitted}) == {admitted}

    session = here.session
    session[SEEN] = time.time() - 3 * HOUR
    session.save()

    assert Session.objects.get(session_key=key).expire_date < timezone.now()
    assert still_admitted({admitted}) == set()


def test_a_stream_ends_with_the_role_that_opened_it(here, anna):
    key, needed = stored(here.session.session_key), Capability.READ_ACCESS_RECORD
    admitted = Admission(session_key=key, staff_id=anna.pk, auth_hash=anna.get_session_auth_hash(), needed=needed)
    Staff.objects.update(role=Role.AUDITOR)
    assert still_admitted({admitted}) == {admitted}

    Staff.objects.update(role=Role.VIEWER)

    assert still_admitted({admitted}) == set()


# --- Asked again --------------------------------------------------------------------------


@pytest.fixture
def stale(here):
    return back_dated(here, began_at=16 * MINUTE)


def confirm(client, back, password=PASSWORD, **more):
    return client.post(CONFIRM, {"way": "password", "password": password, "next": back}, **more)


def test_whoever_has_just_signed_in_is_not_asked(here):
    assert "The token of hma" in here.post("/consumers/add/", TOKEN).text


def test_a_form_waits_until_it_is_known_who_sends_it_and_is_sent_once(stale):
    asked = stale.post("/consumers/add/", TOKEN)
    assert asked.headers["Location"] == f"{CONFIRM}?next=%2Fconsumers%2Fadd%2F"
    assert not Consumer.objects.exists()
    assert "Is it still you?" in stale.get(asked.headers["Location"]).text
    assert confirm(stale, "/consumers/add/", "wrong").status_code == 422
    assert not Consumer.objects.exists()

    answer = confirm(stale, "/consumers/add/")

    assert "The token of hma" in answer.text
    assert Consumer.objects.get().scopes == ["changes:read"]
    assert confirm(stale, "/consumers/").headers["Location"] == "/consumers/"
    assert Consumer.objects.count() == 1


def test_what_waited_is_not_done_when_one_goes_elsewhere(stale):
    stale.post("/consumers/add/", TOKEN)

    confirm(stale, "/account/")
    confirm(stale, "/consumers/add/")

    assert not Consumer.objects.exists()


def test_what_waits_holds_no_key_of_the_session(stale):
    stale.post("/consumers/add/", TOKEN, headers={"Authorization": "Bearer secret"})
    row = Session.objects.get()
    held = str(row.get_decoded())

    assert "hma" in held
    for secret in (stale.cookies["quarantine_session"].value, "Bearer secret"):
        assert secret not in held
    answer = confirm(stale, "/consumers/add/", headers={"Accept-Language": "de"})
    assert "hma" in answer.text
    assert stale.cookies["quarantine_session"].value == stale.session.session_key


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("post", "/backfill/audit/start/"),
        ("post", "/backfill/1/pause/"),
        ("post", "/consumers/1/revoke/"),
        ("post", "/reasons/requarantine/"),
        ("post", "/alerts/rules/burst/change/"),
        ("post", "/alerts/rules/burst/mute/"),
        ("post", "/alerts/mutes/1/end/"),
        ("get", "/account/factors/app/"),
        ("get", "/account/factors/passkeys/add/"),
        ("post", "/account/factors/codes/new/"),
    ],
)
def test_dangerous_things_ask_again(stale, method, address, settings):
    answer = getattr(stale, method)(address)

    assert answer.headers["Location"].startswith(f"{CONFIRM}?next=%2F")
    assert not Run.objects.exists()
    settings.REAUTH_MINUTES = 0
    assert not getattr(stale, method)(address).headers.get("Location", "").startswith(CONFIRM)


def test_htmx_is_sent_there_by_a_header(stale):
    answer = stale.post("/backfill/audit/start/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.text) == (200, "")
    assert answer.headers["HX-Redirect"] == f"{CONFIRM}?next=%2Fbackfill%2Faudit%2Fstart%2F"


def test_the_right_role_comes_before_the_question():
    make_staff("ben")
    ben = back_dated(signed_in("ben"), began_at=HOUR)

    assert ben.post("/consumers/add/", TOKEN).status_code == 403
    assert ben.post("/backfill/audit/start/").status_code == 403


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_it_leads_to_no_other_site(stale, back):
    assert confirm(stale, back).headers["Location"] == "/account/"


def test_the_password_cannot_be_guessed_there(stale):
    statuses = [confirm(stale, "/", f"wrong {n}").status_code for n in range(12)]

    assert statuses[:10] == [422] * 10
    assert statuses[-1] == 429
    assert confirm(stale, "/").status_code == 429


def test_strangers_are_not_asked(client):
    assert client.get(CONFIRM).headers["Location"] == f"/login/?next={CONFIRM}"


def test_what_waits_belongs_to_one_session(stale):
    stale.post("/consumers/add/", TOKEN)
    other = back_dated(signed_in(), began_at=HOUR)

    confirm(other, "/consumers/add/")

    assert not Consumer.objects.exists()
    assert Client().post(CONFIRM, {"way": "password", "password": PASSWORD}).status_code == 302


def test_what_pages_ask_for_by_themselves_says_so():
    polling = re.compile(r'hx-trigger="every [^"]*"([^>]*)')
    found = [match[1] for file in files("*.html", "templates") for match in polling.finditer(file.read_text())]

    assert len(found) >= 4
    said = [re.search(r"hx-headers='([^']*)' ", rest) for rest in found]
    assert [json.loads(match[1]) for match in said if match] == [{UNATTENDED: "1"}] * len(found)
