"""What becomes an alert: once for each incident, however it is read and whatever is killed."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from quarantine import consumers
from quarantine.accounts.staff import NotAllowedError
from quarantine.alerting import alert_rules, alerts
from quarantine.alerting.alert_texts import message_of
from quarantine.alerting.configured import note_ways
from quarantine.models import (
    AccessEntry,
    Alert,
    AlertKind,
    AlertRule,
    Change,
    Consumer,
    Delivery,
    Return,
    Role,
    Run,
    Scope,
    Source,
    State,
    Work,
)
from tests.factories import make_action, make_change, make_ledger, make_staff

pytestmark = pytest.mark.django_db
A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _watched(db, settings):
    """An empty ledger that has been watched from its beginning; everything goes by mail."""
    settings.ALERT_EMAIL_TO = ["oncall@example.com"]
    make_ledger(feed_read_at=datetime.now(UTC))
    for kind in AlertKind:
        alert_rules.rule_of(kind)


def rule(kind, **fields):
    AlertRule.objects.filter(pk=kind).update(**fields)


def now():
    """Of each test: a suite may take longer than a burst lasts."""
    return datetime.now(UTC).replace(microsecond=0)


def told(kind):
    return list(Alert.objects.filter(kind=kind).order_by("pk").values_list("subject", "number"))


def flood(number, *, origin="evil.example", ago=1, **fields):
    """So many files, a second apart, that many minutes ago."""
    for each in range(number):
        make_change(origin=origin, seen_at=now() - ago * A_MINUTE + timedelta(seconds=each), **fields)


# --- Bursts -------------------------------------------------------------------------------


def test_a_burst_is_one_alert_that_grows():
    rule("burst", number=3)
    flood(2)
    flood(2, origin="other.example")
    alerts.look()
    assert told("burst") == []

    flood(1)
    alerts.look()
    alerts.look()
    assert told("burst") == [("evil.example", 3)]

    flood(4)
    alerts.look()

    assert told("burst") == [("evil.example", 7)]
    assert Delivery.objects.count() == 1


def test_a_burst_in_the_midst_of_a_long_stretch_is_found(monkeypatch):
    """Also where its beginning was read in the batch before."""
    monkeypatch.setattr("quarantine.alerting.alert_events.BATCH", 4)
    rule("burst", number=5, minutes=2)
    flood(3, ago=300)
    flood(5, ago=200)
    flood(3, ago=100)

    alerts.look()

    assert told("burst") == [("evil.example", 5)]
    assert Alert.objects.get().ended_at == Change.objects.get(pk=8).seen_at


def test_the_next_burst_is_another_alert():
    rule("burst", number=3, minutes=2)
    flood(4, ago=30)
    flood(3, ago=20)
    flood(2, ago=10)

    alerts.look()

    assert told("burst") == [("evil.example", 4), ("evil.example", 3)]


def test_what_happened_nobody_knows_when_is_no_burst():
    rule("burst", number=3)
    flood(5, source=Source.BACKFILL)
    flood(5, not_before=None)
    flood(5, state=State.RELEASED)

    alerts.look()

    assert told("burst") == []


def test_what_was_there_before_anybody_watched_is_history():
    AlertRule.objects.all().delete()
    rule("burst", number=3)
    flood(50)

    alerts.look()

    assert told("burst") == []


def test_a_crash_before_the_commit_tells_it_later_once(monkeypatch):
    rule("burst", number=3)
    flood(3)
    with monkeypatch.context() as broken:
        broken.setattr(Delivery.objects, "bulk_create", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            alerts.look()
    assert (told("burst"), AlertRule.objects.get(pk="burst").position) == ([], 0)

    alerts.look()

    assert (told("burst"), Delivery.objects.count()) == ([("evil.example", 3)], 1)


def test_a_rule_that_is_off_forgets():
    rule("burst", number=3, on=False)
    flood(3)
    alerts.look()
    rule("burst", on=True)

    assert told("burst") == []

    flood(1)
    alerts.look()

    # What came while it was off tells nobody, but counts for what comes after.
    assert told("burst") == [("evil.example", 4)]


# --- Releases, returns --------------------------------------------------------------------


def test_a_release_of_what_others_quarantined_is_told_once():
    for name, by in (("a", "@anna:matrix.example"), ("b", "@ben:matrix.example"), ("c", ""), ("d", "system")):
        make_change(media_id=name, changed_by=by, seen_at=now() - 3 * A_MINUTE)
    for name in "abcd":
        make_change(media_id=name, changed_by="@ben:matrix.example", state=State.RELEASED, seen_at=now() - 2 * A_MINUTE)
    make_change(media_id="a", changed_by="", state=State.RELEASED, seen_at=now() - A_MINUTE)

    alerts.look()
    alerts.look()

    assert told("release") == [("@ben:matrix.example", 1)]
    assert "ben" not in str(message_of(Alert.objects.get()))


def test_files_that_are_back_are_one_alert():
    for number in range(3):
        Return.objects.create(origin="far.example", media_id=f"m{number}", sha256="a" * 64, seen_at=now())
    alerts.look()
    Return.objects.create(origin="far.example", media_id="m4", sha256="b" * 64, seen_at=now())

    alerts.look()

    assert told("back") == [("", 4)]


# --- What fails, sticks, is silent --------------------------------------------------------


def stop(action):
    Work.objects.filter(action=action).update(status=Work.Status.STOPPED, updated_at=datetime.now(UTC))


def test_what_fails_is_told_once_and_again_when_it_fails_again():
    first, second = make_action(), make_action()
    stop(first)
    Run.objects.create(kind="audit", status=Run.Status.FAILED, started_at=now(), updated_at=now())
    alerts.look()
    alerts.look()
    assert told("failed") == [("action", 1), ("run", 1)]

    stop(second)  # within the hour: the same incident
    alerts.look()
    assert told("failed") == [("action", 2), ("run", 1)]

    Alert.objects.update(last_at=now() - 3 * 60 * A_MINUTE)
    alerts.look()
    assert Alert.objects.going_on().count() == 0
    stop(first)  # resumed, and stopped again
    alerts.look()

    assert told("failed") == [("action", 2), ("run", 1), ("action", 1)]


def test_a_program_is_stuck_once_until_it_gets_on():
    flood(3, source=Source.BACKFILL)
    consumers.create("hma", scopes=[Scope.CHANGES])
    Consumer.objects.update(position=1, handed_out=3)
    rule("stuck", minutes=10)
    alerts.look()
    assert told("stuck") == []  # not for long enough

    rule("stuck", told={"hma": (now() - 11 * A_MINUTE).isoformat()})
    alerts.look()
    alerts.look()
    assert told("stuck") == [("hma", 1)]

    Consumer.objects.update(position=3, handed_out=0)
    alerts.look()

    assert Alert.objects.get().ended_at is not None


def test_a_silent_stream_is_told_once_until_it_is_heard():
    heard = now() - 6 * A_MINUTE
    make_ledger(feed_read_at=heard)
    alerts.look(watched=10)
    assert told("silent") == []  # the process that reads it has only just begun

    alerts.look()
    alerts.look()
    alerts.look(watched=10)  # another process, while it goes on
    assert (told("silent"), Alert.objects.get().since) == ([("", 1)], heard)

    make_ledger(feed_read_at=datetime.now(UTC))
    alerts.look()
    assert Alert.objects.get().ended_at is not None

    make_ledger(feed_read_at=now() - 7 * A_MINUTE)
    alerts.look()

    assert told("silent") == [("", 1), ("", 1)]


# --- What staff decide --------------------------------------------------------------------


def test_what_is_muted_is_recorded_and_told_when_that_is_over():
    admin = make_staff("root", role=Role.ADMIN)
    rule("burst", number=3)
    muted = alert_rules.mute(AlertKind.BURST, subject="evil.example", hours=1, staff=admin)
    flood(3)
    flood(3, origin="other.example")
    alerts.look()
    assert list(Delivery.objects.values_list("alert__subject", flat=True)) == ["other.example"]
    assert set(Alert.objects.values_list("subject", "muted")) == {("evil.example", True), ("other.example", False)}

    alert_rules.end_mute(muted, staff=admin)
    alerts.look()
    alerts.look()

    assert sorted(Delivery.objects.values_list("alert__subject", flat=True)) == ["evil.example", "other.example"]


def test_the_core_refuses_those_who_may_not():
    viewer, moderator = make_staff("v", role=Role.VIEWER), make_staff("m", role=Role.MODERATOR)
    alert = Alert.objects.create(kind="back", since=now(), last_at=now(), created_at=now())

    with pytest.raises(NotAllowedError):
        alert_rules.acknowledge(alert, note="", staff=viewer)
    with pytest.raises(NotAllowedError):
        alert_rules.mute(AlertKind.BACK, subject="", hours=1, staff=moderator)
    with pytest.raises(NotAllowedError):
        alert_rules.change_rule(AlertKind.BACK, on=False, number=1, minutes=1, staff=moderator)
    assert alert_rules.acknowledge(alert, note="mine", staff=moderator)
    assert not alert_rules.acknowledge(alert, note="too late", staff=moderator)
    assert Alert.objects.get().note == "mine"


# --- What is said -------------------------------------------------------------------------

HOSTILE = 'evil.example"><script>@room\r\nBcc: x@y.example https://z.example/' + "a" * 180


def test_strangers_put_nothing_but_a_name_into_a_message():
    said = message_of(Alert(pk=1, kind="burst", subject=HOSTILE, number=5, since=now(), last_at=now()))

    assert not {"<", ">", "@", "\r", "/", '"'} & set(said.title)
    assert len(said.title) < 200
    assert "script>" not in said.html
    assert said.link == "/alerts/1/"
    assert "https://z" not in said.text


@pytest.mark.parametrize("kind", AlertKind.values)
def test_the_link_leads_to_what_it_is_about(kind, settings):
    settings.PUBLIC_URL = "https://quarantine.example"
    make_change(origin="evil.example", media_id="wanted", seen_at=now(), state=State.QUARANTINED)
    make_change(origin="other.example", media_id="unwanted", seen_at=now())
    subject = {"burst": "evil.example", "failed": "action"}.get(kind, "")
    alert = Alert.objects.create(kind=kind, subject=subject, since=now(), last_at=now(), created_at=now())
    client = Client()
    client.force_login(make_staff("root", role=Role.ADMIN))

    link = message_of(alert).link
    page = client.get(link.removeprefix(settings.PUBLIC_URL))

    assert link.startswith("https://quarantine.example/")
    assert page.status_code == 200
    if kind == "burst":
        assert "wanted" in page.text
        assert "unwanted" not in page.text


# --- Bounds -------------------------------------------------------------------------------


def test_a_quiet_look_costs_few_statements(django_assert_max_num_queries):
    flood(30)
    alerts.look()

    with django_assert_max_num_queries(26):
        started = time.monotonic()
        alerts.look()
    assert time.monotonic() - started < 10


# --- Where it goes ------------------------------------------------------------------------


def ways_on_record():
    found = AccessEntry.objects.filter(what="alert-ways-changed").order_by("pk")
    return [(json.loads(entry.details)["ways"], entry.target) for entry in found]


def test_where_alerts_go_is_on_record_whenever_it_is_another_place(settings):
    settings.ALERT_EMAIL_TO = []
    note_ways()
    assert ways_on_record() == []  # there never was one

    for addresses in (["oncall@example.com"], ["oncall@example.com"], ["mallory@example.com"], []):
        settings.ALERT_EMAIL_TO = addresses
        note_ways()

    assert [ways for ways, _ in ways_on_record()] == [["email"], ["email"], []]
    assert len({mark for _, mark in ways_on_record()}) == 3
    assert "mallory" not in str(list(AccessEntry.objects.values()))
