"""Alerts in a room of a real Synapse: posted once, by an account that is no admin."""

import json
import secrets
import subprocess
import sys
import threading
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from quarantine.alerting import deliveries
from quarantine.alerting.alert_rules import rule_of
from quarantine.alerting.alerts import begin
from quarantine.alerting.configured import configured
from quarantine.models import AlertKind, Delivery
from tests.environment import ROOT, process_environ
from tests.factories import make_ledger

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # which ledger it is makes no difference to a room
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def bot(synapse_on_sqlite):
    return synapse_on_sqlite.register(f"alert-bot-{secrets.token_hex(4)}")


@pytest.fixture
def room(synapse_on_sqlite, bot, settings):
    """A new room, to which alerts go."""
    room = synapse_on_sqlite.post_in_room([], by=bot)
    settings.ALERT_MATRIX_URL, settings.ALERT_MATRIX_ROOM = synapse_on_sqlite.url, room
    settings.ALERT_MATRIX_TOKEN = bot.token
    return room


def messages(lab, room, *, by):
    path = f"/_matrix/client/v3/rooms/{quote(room)}/messages?dir=b&limit=50"
    events = lab.ask("GET", path, by=by)["chunk"]
    return [event["content"] for event in events if event["type"] == "m.room.message"]


def test_an_alert_sent_again_is_posted_once(synapse_on_sqlite, bot, room):
    make_ledger()
    begin(rule_of(AlertKind.BURST), "<b>@room evil.example", number=20, since=NOW, last_at=NOW)
    due = Delivery.objects.get()

    assert deliveries.deliver(stop=threading.Event()) == 1
    Delivery.objects.update(state="waiting")  # as a process finds it that was killed before it knew
    synapse_on_sqlite.stop()
    try:
        assert deliveries.deliver(stop=threading.Event()) == 0
        assert Delivery.objects.get().said == "127.0.0.1 can't be reached, or broke off."
    finally:
        synapse_on_sqlite.start()
    Delivery.objects.update(next_at=NOW)
    assert deliveries.deliver(stop=threading.Event()) == 1

    [posted] = messages(synapse_on_sqlite, room, by=bot)
    assert Delivery.objects.get().uuid == due.uuid
    assert posted["body"].startswith("[matrix.example] Files of ?b??room evil.example quarantined in a burst: 20\n")
    assert posted["formatted_body"].startswith("<strong>[matrix.example] Files of ?b??room evil.example")
    assert posted["m.mentions"] == {}


def test_a_refusal_is_said_without_the_token(bot, room, settings):
    make_ledger()
    begin(rule_of(AlertKind.SILENT), "", number=1, since=NOW, last_at=NOW)
    settings.ALERT_MATRIX_TOKEN = "syt_wrong"

    deliveries.deliver(stop=threading.Event())

    assert Delivery.objects.get().said == "127.0.0.1 answered 401."


def test_the_command_posts_a_test(synapse_on_sqlite, bot, room, tmp_path):
    token = tmp_path / "token"
    token.write_text(bot.token)
    environ = {"ALERT_MATRIX_URL": synapse_on_sqlite.url, "ALERT_MATRIX_ROOM": room}
    environ = process_environ(environ | {"ALERT_MATRIX_TOKEN_FILE": str(token)})

    command = [sys.executable, "manage.py", "alerts", "test"]
    run = subprocess.run(command, cwd=ROOT, env=environ, text=True, capture_output=True, check=False)

    assert (run.returncode, run.stdout) == (0, "Matrix room: sent.\n")
    assert "This is a test" in json.dumps(messages(synapse_on_sqlite, room, by=bot))
    assert configured() == ["matrix"]
