"""Alerts on their way, to real servers: tried until they arrive, signed, bounded, and never twice to whom ids tell."""

import email
import json
import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from email.policy import default

import pytest
from django.db.models import F

from quarantine import loops
from quarantine.alerting import alert_ways, deliveries
from quarantine.alerting.alert_rules import rule_of
from quarantine.alerting.alert_texts import test_message as a_message
from quarantine.alerting.alert_ways import NotSentError
from quarantine.alerting.alerts import begin
from quarantine.loops import keep_doing
from quarantine.models import Alert, AlertKind, Delivery, Way
from tests.environment import ROOT, settings_with
from tests.factories import make_ledger
from tests.receivers import drip, hold, mail_receiver, web_receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime.now(UTC)


@pytest.fixture
def receiver(settings):
    with web_receiver() as receiver:
        settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = receiver.url, SECRET
        yield receiver


@pytest.fixture
def mailbox(settings):
    with mail_receiver() as (box, port):
        chosen = settings_with({"EMAIL_URL": f"smtp://127.0.0.1:{port}", "ALERT_EMAIL_TO": "oncall@example.com"})
        settings.MAILERS, settings.ALERT_EMAIL_TO = chosen["MAILERS"], chosen["ALERT_EMAIL_TO"]
        settings.ALERT_EMAIL_FROM = "Quarantine <quarantine@example.com>"
        yield box


def alert(kind=AlertKind.BURST, subject="evil.example"):
    make_ledger()
    return begin(rule_of(kind), subject, number=20, since=NOW, last_at=NOW)


def deliver():
    return deliveries.deliver(stop=threading.Event())


def due_again():
    Delivery.objects.update(next_at=datetime.now(UTC) - timedelta(seconds=1))


def documented_verify():
    """The receiver's code in docs/alerts.md, as it stands there."""
    code = (ROOT / "docs" / "alerts.md").read_text().split("```python\n", 1)[1].split("```", 1)[0]
    names = {}
    exec(code, names)
    return names["verify"]


# --- The webhook --------------------------------------------------------------------------


@pytest.mark.django_db
def test_it_arrives_signed_as_the_document_says(receiver):
    alert()

    assert deliver() == 1
    assert deliver() == 0

    [(path, headers, body)] = receiver.received
    verify = documented_verify()
    assert path == "/hook?key=hush-hush"
    assert verify(headers, body, SECRET, now=time.time()) == str(Delivery.objects.get().uuid)
    assert json.loads(body)["data"]["subject"] == "evil.example"
    for wrong in (
        {"body": body + b" "},
        {"secret": "whsec_" + "A" * 32},
        {"now": time.time() + 600},
        {"headers": headers | {"webhook-id": "another"}},
    ):
        with pytest.raises(ValueError):
            verify(**{"headers": headers, "body": body, "secret": SECRET, "now": time.time()} | wrong)


@pytest.mark.django_db
@pytest.mark.parametrize("status", [500, 404, 302, 307, 429])
def test_what_does_not_arrive_is_tried_again_later_under_the_same_id(receiver, status, caplog):
    alert()
    receiver.status = status
    assert deliver() == 0
    assert deliver() == 0  # not due yet
    failed = Delivery.objects.get()
    assert (failed.state, failed.tries, f"answered {status}" in failed.said) == ("waiting", 1, True)
    assert timedelta(seconds=10) < failed.next_at - datetime.now(UTC) < timedelta(seconds=31)

    due_again()
    receiver.status = 204
    assert deliver() == 1

    assert [path for path, _, _ in receiver.received] == ["/hook?key=hush-hush"] * 2  # no redirect was followed
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 1
    assert "hush" not in caplog.text + failed.said


@pytest.mark.django_db
def test_it_is_given_up_after_so_many_tries(receiver):
    alert()
    receiver.status = 500
    for _ in range(deliveries.TRIES):
        due_again()
        deliver()

    due_again()
    deliver()

    assert len(receiver.received) == deliveries.TRIES
    assert Delivery.objects.values_list("state", "tries").get() == ("failed", deliveries.TRIES)


@pytest.mark.parametrize("slowly", [drip, hold])
def test_one_that_is_slow_is_let_go(receiver, slowly, monkeypatch):
    monkeypatch.setattr(alert_ways, "PATIENCE", 0.5)
    receiver.does = slowly(receiver)

    started = time.monotonic()
    with pytest.raises(NotSentError, match="did not answer"):
        alert_ways.send(Way.WEBHOOK, a_message(), identity=Delivery().uuid)

    assert time.monotonic() - started < 10


def test_nobody_there_is_said_without_the_address(settings):
    settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = "http://127.0.0.1:1/hush-hush", SECRET

    with pytest.raises(NotSentError) as refused:
        alert_ways.send(Way.WEBHOOK, a_message(), identity=Delivery().uuid)

    assert str(refused.value) == "127.0.0.1 can't be reached, or broke off."


@pytest.mark.django_db
def test_a_storm_of_failures_does_not_come_back_at_once(receiver):
    receiver.status = 500
    for number in range(5):
        alert(subject=f"{number}.example")

    for tried in range(1, 6):
        deliver()
        assert Delivery.objects.filter(tries=1).count() == tried  # one a turn: the way is down

    assert len(set(Delivery.objects.values_list("next_at", flat=True))) == 5
    assert max(deliveries.pause_after(tries) for tries in range(1, 13)) <= timedelta(hours=2)


# --- Killed -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_killed_before_it_knew_it_arrived_it_sends_the_same_again(receiver, monkeypatch):
    alert()
    with monkeypatch.context() as killed:
        killed.setattr(deliveries, "settle", lambda *_, **__: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            deliver()

    assert deliver() == 1

    ids = [headers["webhook-id"] for _, headers, _ in receiver.received]
    assert (len(ids), len(set(ids))) == (2, 1)


# --- E-mail -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_mail_says_what_where_and_what_to_do(mailbox, settings):
    settings.PUBLIC_URL = "https://quarantine.example"
    alert(subject="evil.example\r\nBcc: victim@example.com")

    assert deliver() == 1

    mail = email.message_from_bytes(mailbox.mails[0], policy=default)
    assert (mail["To"], mail["Bcc"]) == ("oncall@example.com", None)
    assert (
        mail["Subject"] == "[matrix.example] Files of evil.example??Bcc: victim?example.com quarantined in a burst: 20"
    )
    assert mail["Message-ID"] == f"<{Delivery.objects.get().uuid}@example.com>"
    assert mail.get_content_type() == "text/plain"
    assert f"https://quarantine.example/alerts/{Alert.objects.get().pk}/" in mail.get_content()
    assert "quarantine the whole server if it is an attack" in mail.get_content()


@pytest.mark.django_db
def test_a_mail_server_that_refuses_is_asked_again(mailbox):
    alert()
    mailbox.answer = "451 hush-hush, later"
    deliver()
    assert Delivery.objects.get().said == "The mail server answered 451."

    mailbox.answer = "250 Taken"
    due_again()

    assert (deliver(), len(mailbox.mails)) == (1, 1)


@pytest.mark.django_db
def test_what_a_library_chokes_on_holds_up_no_other_way(mailbox, receiver, settings):
    settings.ALERT_EMAIL_TO = ["\xf6ncall@example.com"]
    alert()

    with pytest.raises(ValueError):
        deliver()
    assert deliver() == 1

    assert dict(Delivery.objects.values_list("way", "state")) == {"email": "waiting", "webhook": "delivered"}
    assert Delivery.objects.get(way="email").said == deliveries.BROKEN


def test_what_nobody_foresaw_does_not_end_the_thread(caplog, monkeypatch):
    monkeypatch.setattr(loops, "LONGEST_PAUSE", 0.01)
    stop, turns = threading.Event(), []

    def work():
        turns.append(1)
        if len(turns) == 1:
            raise ValueError
        stop.set()

    keep_doing(work, name="alerts", stop=stop, every=0.01).join(timeout=10)

    assert len(turns) == 2
    assert "No alerts for now" in caplog.text


# --- Both ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_one_way_that_fails_leaves_the_other_alone(mailbox, receiver):
    alert()
    receiver.status = 500

    deliver()

    assert dict(Delivery.objects.values_list("way", "state")) == {"email": "delivered", "webhook": "waiting"}
    assert len(mailbox.mails) == 1


@pytest.mark.django_db
def test_a_way_that_was_taken_away_is_given_up_in_the_end(receiver, settings):
    alert()
    settings.ALERT_WEBHOOK_URL = ""
    Delivery.objects.update(tries=F("tries") + deliveries.TRIES - 1)

    deliver()

    assert Delivery.objects.values_list("state", "said").get() == ("failed", "This way is not set up any more.")


def test_no_address_is_logged_by_the_library_we_send_with(receiver, caplog):
    caplog.set_level(logging.INFO)

    alert_ways.send(Way.WEBHOOK, a_message(), identity=Delivery().uuid)

    assert "hush" not in caplog.text
