"""What a Prometheus server scrapes: how this server answers, and how the ledger and its work stand.

Nothing here tells a person, a media item or a search: labels are kinds and states, and the names of consumers, which
admins chose. Still it needs a token: how much is quarantined is nobody else's business.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from dashboard.configuration.environment import shared_metrics
from dashboard.serving.wire import Application, Message, Receive, Scope, Send
from quarantine.consumer_board import STUCK_AFTER
from quarantine.models import Alert, Consumer, Delivery, Ledger, Return, Run, Work

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

here = CollectorRegistry()  # of this process
ANSWERS = Histogram(
    "quarantine_http_request_seconds",
    "From a request to the end of its answer, without streams of live events.",
    ("kind", "status"),
    buckets=BUCKETS,
    registry=here,
)
READERS = Gauge("quarantine_live_readers", "Open streams of live events.", registry=here, multiprocess_mode="livesum")


def measured(application: Application, kind: str) -> Application:
    """The same, with its answers counted and timed."""

    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await application(scope, receive, noting)
        finally:
            ANSWERS.labels(kind, f"{status // 100}xx").observe(time.perf_counter() - began)

    return timed


def exposition() -> bytes:
    """Everything, in Prometheus' text format. Raises DatabaseError when the ledger can't be read."""
    everything = CollectorRegistry()
    everything.register(LedgerCollector())
    return generate_latest(processes()) + generate_latest(everything)


def processes() -> CollectorRegistry:
    """What this process counted, or all processes that share a port."""
    folder = shared_metrics()
    if folder is None:
        return here
    for file in folder.glob("gauge_live*_*.db"):
        if not is_alive(pid := int(file.stem.rpartition("_")[2])):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has no types
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # as above
    return together


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, 0)
        return True
    return False


class LedgerCollector(Collector):
    """From the database, at the moment it is asked: every process would say the same."""

    def collect(self) -> Iterator[Metric]:
        held = Ledger.objects.filter(pk=1).first()
        if held is not None:
            yield from of_ledger(held)
        yield states("quarantine_actions", "Actions that are not over, by state.", Work, over=("finished", "cancelled"))
        yield states("quarantine_runs", "Backfills and audits by state.", Run, over=("finished", "abandoned"))
        back = GaugeMetricFamily(
            "quarantine_media_back", "Media with a quarantined file that are there again, unsettled."
        )
        back.add_metric([], Return.objects.filter(settled_at=None).count())
        yield back
        yield from of_alerts()
        yield from of_consumers(held.head if held else 0)


def of_alerts() -> Iterator[Metric]:
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING).count()
    for name, about, number in (
        ("quarantine_alerts_open", "Alerts that nobody has acknowledged.", Alert.objects.unanswered().count()),
        ("quarantine_alert_deliveries_waiting", "Alerts that have not arrived yet, once a way.", waiting),
    ):
        family = GaugeMetricFamily(name, about)
        family.add_metric([], number)
        yield family


def of_consumers(head: int) -> Iterator[Metric]:
    """Of those that have read changes and still may."""
    behind = GaugeMetricFamily("quarantine_consumer_behind_changes", "Changes not asked past.", labels=["consumer"])
    stuck = GaugeMetricFamily(
        "quarantine_consumer_stuck", "1: it comes back for the same changes.", labels=["consumer"]
    )
    for consumer in Consumer.objects.usable(timezone.now()).exclude(position=None):
        number = max(0, head - (consumer.position or 0))
        behind.add_metric([consumer.name], number)
        stuck.add_metric([consumer.name], int(number > 0 and consumer.handed_out >= STUCK_AFTER))
    yield behind
    yield stuck


def of_ledger(held: Ledger) -> Iterator[Metric]:
    changes = CounterMetricFamily("quarantine_changes", "Changes recorded: the ledger's head.")
    changes.add_metric([], held.head)
    yield changes
    media = GaugeMetricFamily("quarantine_media_quarantined", "Media quarantined now.", labels=["scope"])
    media.add_metric(["local"], held.quarantined_local)
    media.add_metric(["remote"], held.quarantined_remote)
    yield media
    if held.feed_read_at is not None:
        read = GaugeMetricFamily(
            "quarantine_feed_read_timestamp_seconds", "When the homeserver's stream was last read."
        )
        read.add_metric([], held.feed_read_at.timestamp())
        yield read
    position = GaugeMetricFamily("quarantine_feed_position", "Up to where the homeserver's stream is recorded.")
    position.add_metric([], held.feed_position)
    yield position


def states(name: str, about: str, model: type[Work] | type[Run], *, over: tuple[str, ...]) -> GaugeMetricFamily:
    """How many there are in each state that is not the end; a state without any is there too, as 0."""
    going_on = [state for state in model.Status.values if state not in over]
    found = model._default_manager.filter(status__in=going_on).order_by().values("status")
    numbers = dict(found.annotate(number=Count("pk")).values_list("status", "number"))
    family = GaugeMetricFamily(name, about, labels=["state"])
    for state in going_on:
        family.add_metric([state], numbers.get(state, 0))
    return family
