"""What Prometheus scrapes: who may, and whether the figures are true."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quarantine import consumers, ledger
from quarantine.models import Consumer, Role, Scope, State
from tests.dashboard.test_live import cookie_of
from tests.environment import ROOT
from tests.factories import BEGINNING, make_change, make_ledger, make_staff
from tests.quarantine.followers import eventually
from tests.servers import running_server

METRICS = "/metrics"


def scraped(text):
    """{(name, labels): value}, as a Prometheus server reads it."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@pytest.mark.django_db
def test_only_a_token_of_that_scope_may_look(client):
    make_ledger()
    other = consumers.create("hma", scopes=[Scope.CHANGES])
    client.force_login(make_staff(role=Role.ADMIN))

    assert client.get(METRICS).status_code == 401
    assert client.get(METRICS, headers={"Authorization": f"Bearer {other}"}).status_code == 403


@pytest.mark.django_db
def test_it_tells_how_the_ledger_stands(client):
    make_ledger(feed_position=7)
    for name in "abc":
        make_change(media_id=name)
    make_change(media_id="a", state=State.RELEASED)
    make_ledger(quarantined_local=2, quarantined_remote=1)
    token = consumers.create("prometheus", scopes=[Scope.METRICS])
    consumers.create("hma", scopes=[Scope.CHANGES])
    Consumer.objects.filter(name="hma").update(position=1, handed_out=3)

    answer = client.get(METRICS, headers={"Authorization": f"Bearer {token}"})
    found = scraped(answer.content.decode())

    assert answer["Content-Type"].startswith("text/plain; version=")
    assert found["quarantine_changes_total",] == 4
    assert (found["quarantine_media_quarantined", "local"], found["quarantine_media_quarantined", "remote"]) == (2, 1)
    assert found["quarantine_feed_position",] == 7
    assert (found["quarantine_consumer_behind_changes", "hma"], found["quarantine_consumer_stuck", "hma"]) == (3, 1)
    assert found["quarantine_actions", "stopped"] == 0
    assert found["quarantine_alerts_open",] == found["quarantine_alert_deliveries_waiting",] == 0
    assert "mxc://" not in answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("document", ["deploy.md", "deploy/quarantine-alerts.yml", "deploy/grafana-dashboard.json"])
def test_no_document_names_a_metric_that_is_not_there(client, document):
    make_ledger(feed_read_at=BEGINNING)
    token = consumers.create("prometheus", scopes=[Scope.METRICS])
    answer = client.get(METRICS, headers={"Authorization": f"Bearer {token}"})
    families = set(re.findall(r"^# TYPE (\w+)", answer.content.decode(), re.MULTILINE))
    known = families | {f"{name}_{part}" for name in families for part in ("count", "bucket")}
    text = (ROOT / "docs" / document).read_text()

    named = set(re.findall(r"\bquarantine_(?:[a-z]+_)*[a-z]+\b", text)) - {"quarantine_changes", "quarantine_dashboard"}

    assert named
    assert named - known == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_processes_that_share_a_port_add_up_what_they_count(process_env):
    ledger.bind()
    token = consumers.create("prometheus", scopes=[Scope.METRICS])
    headers = {"Authorization": f"Bearer {token}"}
    with running_server(process_env(), "--workers", "2") as server:
        eventually(lambda: len(server.logged("startup complete")) == 2, seconds=120)
        for _ in range(20):  # each on a connection of its own, whichever process takes it
            assert server.request("GET", "/login/").status == 200
        assert server.request("GET", "/nowhere/").status == 404
        asked = []

        def counted(status):
            asked.append(status)
            found = scraped(server.request("GET", METRICS, headers=headers).body.decode())
            return found.get(("quarantine_http_request_seconds_count", "page", status))

        # An answer is counted when it has been sent: somebody else may be told of the figures before that.
        eventually(lambda: counted("4xx") == 1)
        eventually(lambda: counted("2xx") == 20 + len(asked) - 1)  # those who asked for figures, but for the last
        server.stop()  # killed instead, the parent would leave its processes behind


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
def test_streams_are_counted_while_they_are_open(process_env):
    ledger.bind()
    token = consumers.create("prometheus", scopes=[Scope.METRICS])
    cookie = cookie_of(make_staff())
    with running_server(process_env()) as server:

        def readers():
            answer = server.request("GET", METRICS, headers={"Authorization": f"Bearer {token}"})
            return scraped(answer.body.decode())["quarantine_live_readers",]

        with server.stream(cookie=cookie):
            eventually(lambda: readers() == 1)
        eventually(lambda: readers() == 0)
