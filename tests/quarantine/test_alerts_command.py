"""manage.py alerts; and manage.py follow, which looks and sends, killed in the midst of it."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured

from quarantine.alerting import alert_rules
from quarantine.models import Alert, AlertKind, AlertRule, Delivery
from tests.environment import ROOT, process_environ, settings_with
from tests.factories import make_change, make_ledger
from tests.quarantine.followers import eventually, follower
from tests.receivers import hold, mail_receiver, web_receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def manage(*words, **environ):
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=process_environ(environ), text=True, capture_output=True, check=False)


def test_the_test_says_what_came_of_each_way():
    with web_receiver() as receiver, mail_receiver() as (box, port):
        environ = {"ALERT_WEBHOOK_URL": receiver.url, "ALERT_WEBHOOK_SECRET": SECRET}
        environ |= {"EMAIL_URL": f"smtp://127.0.0.1:{port}", "ALERT_EMAIL_TO": "oncall@example.com"}
        fine = manage("alerts", "test", **environ)
        receiver.status = 503
        half = manage("alerts", "test", **environ)

    assert (fine.returncode, fine.stdout) == (0, "E-mail: sent.\nWebhook: sent.\n")
    assert (half.returncode, len(box.mails)) == (1, 2)
    assert half.stdout == "E-mail: sent.\nWebhook: not sent. 127.0.0.1 answered 503.\n"
    assert "hush" not in fine.stderr + half.stderr


def test_the_test_needs_a_way():
    answer = manage("alerts", "test")

    assert answer.returncode == 2
    assert "No way is set up" in answer.stderr


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_while_it_sends_loses_nothing_and_repeats_nothing(process_env):
    make_ledger(feed_read_at=datetime.now(UTC))
    for kind in AlertKind:
        alert_rules.rule_of(kind)
    AlertRule.objects.filter(pk="burst").update(number=3)
    for _ in range(3):
        make_change(origin="evil.example", seen_at=datetime.now(UTC))
    with web_receiver() as receiver:
        env = process_env(ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=SECRET)
        receiver.does = hold(receiver)
        with follower(env) as first:
            eventually(lambda: receiver.received)
            first.process.kill()
        receiver.does = None
        with follower(env) as second:
            eventually(lambda: Delivery.objects.filter(state="delivered").exists())
            assert second.stop() == 0

    ids = {headers["webhook-id"] for _, headers, _ in receiver.received}
    assert (Alert.objects.count(), Delivery.objects.count(), len(receiver.received)) == (1, 1, 2)
    assert ids == {str(Delivery.objects.get().uuid)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_check_looks_and_sends_once(process_env):
    make_ledger(feed_read_at=datetime.now(UTC) - timedelta(minutes=6))
    with web_receiver() as receiver:
        env = process_env(ALERT_WEBHOOK_URL=receiver.url, ALERT_WEBHOOK_SECRET=SECRET)
        answers = [manage("alerts", "check", **env).stdout for _ in range(2)]

    assert answers == ["Looked; 1 sent.\n", "Looked; 0 sent.\n"]
    assert len(receiver.received) == 1


# --- Settings -----------------------------------------------------------------------------

HOOK = {"ALERT_WEBHOOK_URL": "https://hooks.example.com/hush-hush", "ALERT_WEBHOOK_SECRET": SECRET}
ROOM = {"ALERT_MATRIX_ROOM": "!a:b.example", "ALERT_MATRIX_TOKEN": "hush", "ALERT_MATRIX_URL": "https://m.example"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"ALERT_WEBHOOK_URL": HOOK["ALERT_WEBHOOK_URL"]}, "ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET belong"),
        (HOOK | {"ALERT_WEBHOOK_SECRET": "hush-hush"}, "ALERT_WEBHOOK_SECRET must be whsec_"),
        (HOOK | {"ALERT_WEBHOOK_URL": "file:///hush"}, "ALERT_WEBHOOK_URL must be an address"),
        (ROOM | {"ALERT_MATRIX_TOKEN": ""}, "ALERT_MATRIX_ROOM and ALERT_MATRIX_TOKEN belong"),
        (ROOM | {"ALERT_MATRIX_URL": ""}, "ALERT_MATRIX_ROOM and ALERT_MATRIX_TOKEN belong"),
        ({"EMAIL_URL": "https://u:hush@mail.example.com"}, "EMAIL_URL must be smtps://"),
        ({"EMAIL_URL": "smtps://u:hush@mail.example.com:port"}, "EMAIL_URL is malformed"),
    ],
)
def test_settings_that_make_no_sense_stop_the_start(environ, named):
    with pytest.raises(ImproperlyConfigured, match=re.escape(named)) as refused:
        settings_with(environ)

    assert "hush" not in str(refused.value)


def test_a_mail_url_is_read_whole():
    options = settings_with({"EMAIL_URL": "smtp+starttls://a%40b:c%2Fd@mail.example.com"})["MAILERS"]["default"][
        "OPTIONS"
    ]

    wanted = {"host": "mail.example.com", "port": None, "username": "a@b", "password": "c/d", "use_tls": True}
    assert {name: options[name] for name in wanted} == wanted
