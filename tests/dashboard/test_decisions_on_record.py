"""What staff decide for others, or undo of others, is on the access record, once and with who did it."""

import json
from datetime import UTC, datetime

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession

from quarantine.accounts.access_record import MOST_OF_ACCOUNT, record_failure
from quarantine.models import Access, AccessEntry, Alert, Category, Role, Run, SavedView, Staff, Work
from quarantine.saved_views import save_view
from tests.dashboard.people import PASSWORD, signed_in
from tests.factories import make_action, make_ledger, make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client, db):
    """An admin's browser."""
    make_ledger()
    client.force_login(make_staff("root", role=Role.ADMIN))
    return client


def told():
    """Of whom, about what and in which words, oldest first; without the admin's signing in."""
    entries = AccessEntry.objects.exclude(what=Access.SIGN_IN).order_by("pk")
    return [(each.what, each.who, each.target, json.loads(each.details or "{}")) for each in entries]


def test_kinds_of_reasons_are(root):
    Category.objects.get_or_create(slug="other", defaults={"label": "Other", "order": 9})  # one has to stay
    root.post("/reasons/add/", {"label": "Scam"})
    root.post("/reasons/scam/change/", {"label": "Fraud"})
    root.post("/reasons/scam/change/", {"label": "Fraud"})
    root.post("/reasons/add/", {"label": "Scam"})
    root.post("/reasons/scam/change/", {"label": ""})

    assert told() == [
        ("reasons-changed", "root", "scam", {"after": {"label": "Scam", "offered": True}}),
        (
            "reasons-changed",
            "root",
            "scam",
            {"before": {"label": "Scam", "offered": True}, "after": {"label": "Fraud", "offered": False}},
        ),
    ]
    assert Category.objects.filter(slug="scam", label="Fraud", retired=True).exists()


def test_turning_automatic_quarantine_on_and_off_is(root):
    for on in ("on", "on", ""):
        root.post("/reasons/requarantine/", {"on": on})

    assert told() == [("requarantine-set", "root", "", {"on": True}), ("requarantine-set", "root", "", {"on": False})]


def test_views_that_are_shared_are_and_ones_own_are_not(root):
    lena = save_view(staff=make_staff("lena", role=Role.LEAD), name="Of evil", query="origin=evil.example", shared=True)
    root.post("/views/add/", {"name": "mine", "query": "origin=a.example"})
    root.post("/views/add/", {"name": "ours", "query": "origin=b.example", "shared": "on"})
    root.post(f"/views/{lena.pk}/change/", {"name": "Of nobody", "shared": "on"})
    root.post(f"/views/{lena.pk}/delete/")

    of_evil = {"owner": "lena", "filters": "origin=evil.example"}
    assert told() == [
        ("shared-view", "lena", "Of evil", of_evil | {"after": "Of evil"}),
        ("shared-view", "root", "ours", {"owner": "root", "filters": "origin=b.example", "after": "ours"}),
        ("shared-view", "root", "Of nobody", of_evil | {"before": "Of evil", "after": "Of nobody"}),
        ("shared-view", "root", "Of nobody", of_evil | {"before": "Of nobody"}),
    ]


def test_a_view_kept_to_oneself_again_is(root):
    root.post("/views/add/", {"name": "ours", "query": "", "shared": "on"})
    view = SavedView.objects.get()
    root.post(f"/views/{view.pk}/change/", {"name": "mine"})
    root.post(f"/views/{view.pk}/change/", {"name": "still mine"})
    root.post(f"/views/{view.pk}/delete/")

    assert [(target, details.get("after")) for _, _, target, details in told()] == [("ours", "ours"), ("mine", None)]


def test_pausing_resuming_and_cancelling_work_is(root):
    action = make_action()
    Work.objects.filter(action=action).update(status=Work.Status.WAITING)
    for control in ("pause", "pause", "resume", "cancel", "cancel", "resume"):
        root.post(f"/actions/{action.pk}/{control}/")

    asked = [("action-controlled", "root", str(action.pk), {"asked": it}) for it in ("pause", "resume", "cancel")]
    assert told() == asked


def test_starting_and_pausing_backfill_and_audit_are(root):
    for _ in range(2):
        root.post("/backfill/backfill/start/")
    run = Run.objects.get()
    for address in (f"{run.pk}/pause", f"{run.pk}/pause", "audit/start"):
        root.post(f"/backfill/{address}/")

    audit = f"audit {Run.objects.latest('pk').pk}"
    asked = [(f"backfill {run.pk}", "start"), (f"backfill {run.pk}", "pause"), (audit, "start")]
    assert told() == [("run-controlled", "root", target, {"asked": it}) for target, it in asked]


def test_acknowledging_an_alert_is_without_its_note(root):
    now = datetime.now(UTC)
    alert = Alert.objects.create(kind="back", since=now, last_at=now, created_at=now)
    for _ in range(2):
        root.post(f"/alerts/{alert.pk}/acknowledge/", {"note": "Anna sees to it"})

    assert told() == [("alert-acknowledged", "root", str(alert.pk), {"rule": alert.kind})]
    assert Alert.objects.get().note == "Anna sees to it"


@pytest.mark.usefixtures("root")
def test_ending_sessions_of_ones_own_is():
    for _ in range(3):
        other = signed_in("root", REMOTE_ADDR="192.0.2.7")
    first = UserSession.objects.earliest("pk")
    other.post(f"/account/sessions/{first.pk}/end/", REMOTE_ADDR="192.0.2.7")
    other.post("/account/sessions/end-others/", REMOTE_ADDR="192.0.2.7")
    other.post("/account/sessions/end-others/")

    ended = AccessEntry.objects.filter(what="sessions-ended").order_by("pk")
    assert list(ended.values_list("who", "target", "address")) == [("root", "root", "192.0.2.0/24")] * 2
    assert [json.loads(each.details) for each in ended] == [{"sessions": 1}, {"sessions": 1}]


def test_failing_to_show_who_one_is_at_an_open_session_is(root):
    TOTP.activate(Staff.objects.get(), "JBSWY3DPEHPK3PXP")
    root.post("/account/confirm/", {"way": "password", "password": "guess"}, REMOTE_ADDR="192.0.2.7")
    root.post("/account/confirm/", {"way": "code", "code": "000000"}, REMOTE_ADDR="192.0.2.7")
    new = {"password1": "another horse battery", "password2": "another horse battery"}
    root.post("/account/password/", {"oldpassword": "guess"} | new, REMOTE_ADDR="192.0.2.7")
    root.post("/account/password/", {"oldpassword": PASSWORD, "password1": "1", "password2": "1"})

    assert told() == [("not-shown", "root", "", {})] * 3
    assert AccessEntry.objects.latest("pk").address == "192.0.2.0/24"


def test_what_a_thief_can_write_of_that_is_bounded(root):
    for number in range(MOST_OF_ACCOUNT + 5):
        record_failure("root", what=Access.NOT_SHOWN)
        assert number < MOST_OF_ACCOUNT or len(told()) == MOST_OF_ACCOUNT
    record_failure("root")

    assert told()[-1][0] == "sign-in-failed"
