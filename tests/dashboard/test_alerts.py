"""/alerts/: what waits for somebody, who sees to it, and what admins want to be told of."""

import json
from datetime import UTC, datetime

import pytest
from django.utils.html import escape
from pytest_django.asserts import assertInHTML

from quarantine.models import AccessEntry, Alert, AlertRule, Delivery, Mute, Role
from tests.factories import make_ledger, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
URL = "/alerts/"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def signed_in(client):
    """A function: from now on this is somebody of that role."""
    make_ledger()

    def as_role(role):
        staff = make_staff(f"a-{role}", role=role)
        client.force_login(staff)
        return staff

    return as_role


def make_alert(kind="burst", subject="evil.example", **fields):
    times = {"since": NOW, "last_at": NOW, "created_at": NOW, "ended_at": NOW}
    return Alert.objects.create(kind=kind, subject=subject, **times | fields)


def test_strangers_are_sent_to_sign_in(client):
    make_alert()

    assert client.get(URL)["Location"] == "/login/?next=/alerts/"
    assert client.get(f"{URL}count/").status_code == 302


def test_nothing_waits(client, signed_in):
    signed_in(Role.VIEWER)

    assert "Nothing waits for anybody." in client.get(URL).text
    assert client.get(f"{URL}count/").text.strip() == ""


def test_each_list_shows_its_own(client, signed_in):
    anna = signed_in(Role.VIEWER)
    make_alert(subject="open.example")
    make_alert(subject="muted.example", muted=True)
    make_alert(subject="seen.example", acknowledged_at=NOW, acknowledged_by=anna)

    found = {shown: client.get(URL, {"show": shown}).text for shown in ("open", "muted", "acknowledged", "all")}

    named = {
        shown: {name for name in ("open", "muted", "seen") if f"{name}.example" in text}
        for shown, text in found.items()
    }
    assert named == {"open": {"open"}, "muted": {"muted"}, "acknowledged": {"seen"}, "all": {"open", "muted", "seen"}}
    assert client.get(f"{URL}count/").text.split("<")[0] == "1"


@pytest.mark.parametrize("query", ["?show=nothing", "?cursor=x", "?cursor=-1", "?cursor=" + "9" * 30, "?show=%00"])
def test_what_makes_no_sense_is_said(client, signed_in, query):
    signed_in(Role.VIEWER)
    make_alert()

    answer = client.get(URL + query)

    assert answer.status_code == 422
    assert "evil.example" not in answer.text


def test_pages_follow_each_other_without_gap(client, signed_in, monkeypatch):
    monkeypatch.setattr("dashboard.views.alerts.PAGE", 2)
    signed_in(Role.VIEWER)
    for number in range(5):
        make_alert(subject=f"s{number}.example")

    seen, query = [], ""
    while query is not None:
        page = client.get(URL + query)
        seen.append([line.alert.subject[1] for line in page.context["lines"]])
        query = f"?show=open&cursor={page.context['older']}" if page.context["older"] else None

    assert seen == [["4", "3"], ["2", "1"], ["0"]]


def test_the_swap_is_a_slice_of_the_page(client, signed_in):
    signed_in(Role.VIEWER)
    make_alert()

    swap = client.get(URL, headers={"HX-Request": "true", "HX-Target": "alerts"})

    assert "<html" not in swap.text
    assertInHTML(region(swap, "alerts"), client.get(URL).text)


def test_the_list_costs_the_same_however_long(client, signed_in, django_assert_max_num_queries):
    signed_in(Role.VIEWER)
    for number in range(20):
        make_alert(subject=f"s{number}.example")

    with django_assert_max_num_queries(4):
        client.get(URL)


def test_strangers_text_is_escaped_and_leads_to_the_right_filter(client, signed_in):
    signed_in(Role.ADMIN)
    alert = make_alert(subject='-"><script>alert(1)</script>')

    page = client.get(f"{URL}{alert.pk}/").text

    assert "<script>alert" not in page
    assert escape("/?origin=%5C-%22%3E%3Cscript") in page


def test_acknowledging_says_who_and_why(client, signed_in):
    moderator = signed_in(Role.MODERATOR)
    alert = make_alert()

    answer = client.post(f"{URL}{alert.pk}/acknowledge/", {"note": "a false <alarm>"}, follow=True)
    client.post(f"{URL}{alert.pk}/acknowledge/", {"note": "again"})

    seen = Alert.objects.get()
    assert (seen.acknowledged_by, seen.note) == (moderator, "a false <alarm>")
    assert "a false &lt;alarm&gt;" in answer.text
    assert "Nothing waits" in client.get(URL).text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
def test_who_may_not_act_reads_alone(client, signed_in, role):
    signed_in(role)
    alert = make_alert()

    page, posted = client.get(f"{URL}{alert.pk}/"), client.post(f"{URL}{alert.pk}/acknowledge/")

    assert (page.status_code, posted.status_code) == (200, 403)
    assert "evil.example" in page.text
    assert "/acknowledge/" not in page.text
    assert Alert.objects.get().acknowledged_at is None


def test_a_note_that_is_too_long_is_refused(client, signed_in):
    signed_in(Role.MODERATOR)
    alert = make_alert()

    answer = client.post(f"{URL}{alert.pk}/acknowledge/", {"note": "x" * 1001})

    assert (answer.status_code, Alert.objects.get().acknowledged_at) == (422, None)
    assert "at most 1,000 characters" in answer.text


def test_how_far_each_way_has_got_is_told(client, signed_in):
    signed_in(Role.VIEWER)
    alert = make_alert()
    Delivery.objects.create(alert=alert, way="webhook", tries=3, said="hooks.example answered 500.", next_at=NOW)

    page = client.get(f"{URL}{alert.pk}/").text

    assert "hooks.example answered 500." in page
    assert "Waiting" in page
    assert "/acknowledge/" not in page
    assert client.get(f"{URL}{alert.pk + 1}/").status_code == 404


# --- Rules --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
def test_only_admins_change_rules_and_mute(client, signed_in, role):
    signed_in(role)
    muted = Mute.objects.create(kind="burst", until=NOW, staff=make_staff("root"), created_at=NOW)
    posts = ("rules/burst/change/", "rules/burst/mute/", f"mutes/{muted.pk}/end/")

    answers = [client.post(URL + path, {"number": "1", "minutes": "1", "hours": "1"}).status_code for path in posts]

    assert answers == [403, 403, 403]
    assert not AlertRule.objects.filter(minutes=1).exists()
    assert (Mute.objects.count(), Mute.objects.get().ended_at) == (1, None)
    page = client.get(f"{URL}rules/").text
    assert "On: 20, 10 minutes." in page
    assert "<form method" not in page.partition("<main")[2]


def test_to_look_at_the_rules_writes_nothing(client, signed_in, django_assert_max_num_queries):
    signed_in(Role.ADMIN)

    with django_assert_max_num_queries(4):
        client.get(f"{URL}rules/")

    assert not AlertRule.objects.exists()


def test_an_admin_changes_a_rule(client, signed_in):
    admin = signed_in(Role.ADMIN)

    answer = client.post(f"{URL}rules/burst/change/", {"number": "7", "minutes": "30"}, follow=True)

    rule = AlertRule.objects.get(pk="burst")
    assert (rule.on, rule.number, rule.minutes, rule.changed_by) == (False, 7, 30, admin)
    assert "Saved." in answer.text


@pytest.mark.parametrize(
    ("path", "posted", "problem"),
    [
        ("rules/burst/change/", {"number": "0", "minutes": "5"}, "1 to 10,000"),
        ("rules/burst/change/", {"number": "x", "minutes": "5"}, "1 to 10,000"),
        ("rules/burst/change/", {"number": "5", "minutes": "1441"}, "1 to 1,440"),
        ("rules/burst/mute/", {"hours": "721"}, "1 to 720 hours"),
        ("rules/burst/mute/", {"hours": "1", "subject": "x" * 256}, "at most 255 characters"),
        ("rules/burst/mute/", {"hours": "1", "subject": "x\0y"}, "can&#x27;t be stored"),
    ],
)
def test_what_makes_no_sense_changes_nothing(client, signed_in, path, posted, problem):
    signed_in(Role.ADMIN)

    answer = client.post(URL + path, posted)

    assert answer.status_code == 422
    assert problem in answer.text
    assert (AlertRule.objects.count(), Mute.objects.count()) == (0, 0)


def test_a_mute_is_on_record_with_who_ended_it(client, signed_in):
    admin = signed_in(Role.ADMIN)

    client.post(f"{URL}rules/burst/mute/", {"hours": "8", "subject": "evil.example"})
    page = client.get(f"{URL}rules/").text
    client.post(f"{URL}mutes/{Mute.objects.get().pk}/end/")

    mute = Mute.objects.get()
    assert "evil.example" in page
    assert (mute.staff, mute.subject, mute.ended_by) == (admin, "evil.example", admin)


def test_what_is_decided_about_alerts_is_on_the_access_record(client, signed_in):
    signed_in(Role.ADMIN)
    client.post(f"{URL}rules/burst/change/", {"number": "7", "minutes": "30"})
    client.post(f"{URL}rules/release/mute/", {"hours": "8", "subject": "mallory"})
    for _ in range(2):
        client.post(f"{URL}mutes/{Mute.objects.get().pk}/end/")
    client.post(f"{URL}rules/burst/change/", {"number": "0", "minutes": "5"})  # makes no sense

    told = list(
        AccessEntry.objects.exclude(what="sign-in").order_by("pk").values_list("what", "who", "target", "details")
    )
    assert [entry[:3] for entry in told] == [
        ("alert-rule-changed", "a-admin", "burst"),
        ("alerts-muted", "a-admin", "mallory"),
        ("alerts-unmuted", "a-admin", "mallory"),
    ]
    assert json.loads(told[1][3]) == {"rule": "release", "hours": 8}
    signed_in(Role.AUDITOR)
    page = client.get("/record/").text
    assert '<span class="nw">it was</span> <bdi>minutes 10, number 20, on yes</bdi>' in page
    assert '<span class="nw">it is now</span> <bdi>minutes 30, number 7, on no</bdi>' in page


def test_figures_are_written_as_the_reader_writes_them(client, signed_in):
    signed_in(Role.ADMIN)

    answer = client.post(
        f"{URL}rules/burst/change/", {"number": "0", "minutes": "5"}, headers={"Accept-Language": "de"}
    )

    assert answer.status_code == 422
    assert "von 1 bis 10.000, die Minuten von 1 bis 1.440." in answer.text
