"""/consumers/: who reads from us, how far they have got, and what keeps whoever is stuck."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.asserts import assertInHTML

from quarantine import consumers
from quarantine.accounts.staff import NotAllowedError
from quarantine.consumer_board import Standing, board
from quarantine.models import Consumer, Role, Scope
from quarantine.mxc import Mxc
from tests.factories import make_change, make_changes, make_ledger, make_remote_media, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
URL = "/consumers/"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def admin(client, db):
    make_ledger()
    staff = make_staff("root", role=Role.ADMIN)
    client.force_login(staff)
    return staff


def make_consumer(name="hma", *, scopes=(Scope.CHANGES,), **fields):
    consumers.create(name, scopes=scopes)
    Consumer.objects.filter(name=name).update(**fields)
    return Consumer.objects.get(name=name)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR, Role.LEAD])
@pytest.mark.parametrize(("method", "path"), [("get", URL), ("post", f"{URL}add/"), ("post", f"{URL}1/revoke/")])
def test_only_admins_are_let_in(client, role, method, path):
    make_ledger()
    consumer = make_consumer()
    client.force_login(make_staff("other", role=role))

    answer = getattr(client, method)(path.replace("1", str(consumer.pk)), {"name": "x", "scope": "changes:read"})

    assert answer.status_code == 403
    assert Consumer.objects.get().revoked_at is None
    assert "hma" not in answer.text


def test_auditors_read_and_are_offered_nothing(client):
    make_ledger()
    consumer = make_consumer()
    client.force_login(make_staff("ada", role=Role.AUDITOR))

    page = client.get(URL)

    assert "hma" in page.text
    assert "/revoke/" not in page.text
    assert "/add/" not in page.text
    assert client.post(f"{URL}{consumer.pk}/revoke/").status_code == 403
    assert client.post(f"{URL}add/", {"name": "x", "scope": "changes:read"}).status_code == 403
    assert Consumer.objects.get().revoked_at is None


def test_the_core_refuses_too(db):
    moderator = make_staff(role=Role.MODERATOR)

    with pytest.raises(NotAllowedError):
        consumers.create("x", scopes=[Scope.CHANGES], staff=moderator)
    with pytest.raises(NotAllowedError):
        consumers.revoke("x", staff=moderator)
    assert not Consumer.objects.exists()


def test_before_there_is_one_it_says_how_to_make_one(client, admin):
    assert "No program reads the ledger yet" in client.get(URL).text


def test_a_token_is_shown_once_and_works(client, admin):
    answer = client.post(f"{URL}add/", {"name": "hma <b>", "scope": ["changes:read", "media:read"], "days": "7"})

    token = re.search(r"qd_[\w-]{43}", answer.text)[0]
    assert consumers.authenticate(token, scopes=[Scope.MEDIA]).consumer_id == Consumer.objects.get().pk
    assert "hma &lt;b&gt;" in answer.text
    assert token not in client.get(URL).text
    assert timedelta(days=6) < Consumer.objects.get().expires_at - datetime.now(UTC) < timedelta(days=8)


@pytest.mark.parametrize(
    ("posted", "problem"),
    [
        ({"name": "", "scope": "changes:read"}, "1 to 150 characters"),
        ({"name": "x"}, "Choose what the token opens"),
        ({"name": "x", "scope": "everything"}, "Choose what the token opens"),
        ({"name": "x", "scope": "changes:read", "days": "x"}, "Days are a whole number"),
        ({"name": "x", "scope": "changes:read", "days": "0"}, "1 to 3,650 days"),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_made(client, admin, posted, problem):
    answer = client.post(f"{URL}add/", posted)

    assert (answer.status_code, Consumer.objects.count()) == (422, 0)
    assert problem in answer.text


def test_revoking_closes_the_token_at_once(client, admin):
    consumer = make_consumer()

    answer = client.post(f"{URL}{consumer.pk}/revoke/", follow=True)

    assert Consumer.objects.get().revoked_at is not None
    assert "The token opens nothing any more." in answer.text
    assert client.post(f"{URL}{consumer.pk + 1}/revoke/").status_code == 404


def test_each_is_told_by_how_far_it_has_got(db):
    make_changes(9)
    make_consumer("level", position=9, last_seen_at=NOW)
    make_consumer("behind", position=4, last_seen_at=NOW, handed_out=1)
    make_consumer("new")
    make_consumer("metrics", scopes=[Scope.METRICS], last_seen_at=NOW)
    make_consumer("old", expires_at=NOW, last_seen_at=NOW, position=1)
    make_consumer("gone", revoked_at=NOW)

    found = {one.consumer.name: (one.standing, one.behind) for one in board()}

    assert list(found) == ["behind", "level", "metrics", "new", "gone", "old"]
    assert found == {
        "behind": (Standing.BEHIND, 5),
        "level": (Standing.LEVEL, 0),
        "metrics": (Standing.ACTIVE, 0),
        "new": (Standing.UNSEEN, 0),
        "gone": (Standing.REVOKED, 0),
        "old": (Standing.EXPIRED, 0),
    }
    [behind] = [one for one in board() if one.consumer.name == "behind"]
    assert f"{behind.waiting_since:%X}" == "12:00:05"


def test_what_a_stuck_one_chokes_on_is_named(client, admin):
    make_change(media_id="before", origin="far.example")  # gone too, but already passed
    make_change(media_id="cached", origin="far.example")
    make_remote_media("cached", origin="far.example", quarantined_by="@a:matrix.example")
    make_change(media_id="local")
    make_change(media_id="gone", origin="far.example")
    make_consumer(position=1, last_seen_at=NOW, handed_out=3)

    [told] = board()
    answer = client.get(URL)

    assert (told.standing, told.poison) == (Standing.STUCK, Mxc("far.example", "gone"))
    assert 'href="/media/far.example/gone/"' in answer.text
    assert "Stuck" in answer.text


def test_the_swap_is_a_slice_of_the_page(client, admin):
    make_consumer()

    swap = client.get(URL, headers={"HX-Request": "true", "HX-Target": "consumers"})

    assert "<html" not in swap.text
    strip = lambda html: re.sub(r'<input type="hidden" name="csrf[^>]*>', "", html)  # noqa: E731 - masked anew each time
    assertInHTML(strip(region(swap, "consumers")), strip(client.get(URL).text))


def test_the_page_costs_the_same_however_many_are_level(client, admin, django_assert_max_num_queries):
    make_changes(3)
    for number in range(5):
        make_consumer(f"level{number}", position=3, last_seen_at=NOW)

    with django_assert_max_num_queries(6):
        client.get(URL)
