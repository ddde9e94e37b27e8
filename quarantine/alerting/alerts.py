"""Making alerts: what is watched is looked at every other second, beside the follower.

A rule's position, or what it told last, moves in the transaction that records the alerts and their deliveries:
killed anywhere, nothing is lost and nothing told twice. An incident is one alert: while it goes on its count
grows, and the next alert of the same subject is made only when it is over.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import transaction

from quarantine.alerting import alert_events
from quarantine.alerting.alert_events import Event
from quarantine.alerting.alert_rules import is_muted, rule_of
from quarantine.alerting.configured import configured
from quarantine.models import Alert, AlertKind, AlertRule, Delivery

LOOK_EVERY = 2.0  # seconds
QUIET = timedelta(minutes=1)  # beyond a rule's minutes, before an incident counts as over
COUNTED = (AlertKind.BURST, AlertKind.RELEASE, AlertKind.BACK)
LASTING = (AlertKind.STUCK, AlertKind.SILENT)
SETTLED_AT_ONCE = 200  # alerts


def look(*, stop: Callable[[], bool] = lambda: False, watched: float = float("inf")) -> None:
    """Look at everything there is by now, rule by rule. `watched`: for how many seconds this process has lived."""
    for kind in COUNTED:
        while not stop() and not look_at_events(kind):
            pass
    look_at_failures()
    for kind in LASTING:
        look_at_states(kind, watched=watched)
    tell_unmuted()


# --- What is counted ----------------------------------------------------------------------


def look_at_events(kind: AlertKind) -> bool:
    """One batch; whether it reached the end. The events are read before the transaction: it holds up nobody."""
    rule = rule_of(kind)
    found = alert_events.after(rule)
    if not found.events and found.position == rule.position and not has_quiet_ones(rule):
        return True
    with transaction.atomic():
        held = AlertRule.objects.select_for_update().get(pk=kind)
        if held.position != rule.position:  # another process was quicker
            return False
        if rule.on:
            count(rule, found.events)
        if found.complete:
            end_quiet(rule, datetime.now(UTC))
        held.position = found.position
        held.save(update_fields=["position"])
    return found.complete


def count(rule: AlertRule, events: Sequence[Event]) -> None:
    """Over the events in order: an incident begins, grows, ends, and may begin again."""
    span = timedelta(minutes=rule.minutes)
    recent: dict[str, deque[datetime]] = defaultdict(deque)
    fresh = {each.subject for each in events if each.fresh}
    alerts = {each.subject: each for each in Alert.objects.going_on().filter(kind=rule.kind, subject__in=fresh)}
    for event in events:
        times = recent[event.subject]
        times.append(event.at)
        while event.at - times[0] > span:
            times.popleft()
        if event.fresh:
            take(rule, event, times, alerts)
    for alert in alerts.values():
        alert.save(update_fields=["number", "last_at"])  # no more: somebody may acknowledge it meanwhile


def take(rule: AlertRule, event: Event, times: deque[datetime], alerts: dict[str, Alert]) -> None:
    alert = alerts.get(event.subject)
    if alert and event.at - alert.last_at > timedelta(minutes=rule.minutes):
        alert.ended_at = alert.last_at
        alerts.pop(event.subject).save(update_fields=["number", "last_at", "ended_at"])
        alert = None
    if alert:
        alert.number += 1
        alert.last_at = event.at
    elif len(times) >= rule.number:
        alerts[event.subject] = begin(rule, event.subject, number=len(times), since=times[0], last_at=event.at)


def quiet_ones(rule: AlertRule, now: datetime) -> list[Alert]:
    edge = now - timedelta(minutes=rule.minutes) - QUIET
    return list(Alert.objects.going_on().filter(kind=rule.kind, last_at__lt=edge).order_by("pk")[:SETTLED_AT_ONCE])


def has_quiet_ones(rule: AlertRule) -> bool:
    return bool(quiet_ones(rule, datetime.now(UTC)))


def end_quiet(rule: AlertRule, now: datetime) -> None:
    for alert in quiet_ones(rule, now):
        alert.ended_at = alert.last_at
        alert.save(update_fields=["ended_at"])


# --- What fails, and what lasts -----------------------------------------------------------


def look_at_failures() -> None:
    """Each thing that failed counts once; all of an hour are one alert."""
    rule = rule_of(AlertKind.FAILED)
    if alert_events.failing() == rule.told and not has_quiet_ones(rule):
        return
    with transaction.atomic():
        held = AlertRule.objects.select_for_update().get(pk=rule.pk)
        now, failing = datetime.now(UTC), alert_events.failing()  # read again: only now nobody else tells of them
        new = [name.partition(" ")[0] for name, at in failing.items() if held.told.get(name) != at]
        if held.on:
            count(held, [Event(name, now, fresh=True) for name in new])
        end_quiet(held, now)
        held.told = failing
        held.save(update_fields=["told"])


def look_at_states(kind: AlertKind, *, watched: float = float("inf")) -> None:
    """One alert from when it has lasted too long until it is over."""
    rule, now = rule_of(kind), datetime.now(UTC)
    begins = watched >= 60 * rule.minutes
    since = alert_events.lasting(rule, now)
    if told(kind, since) == rule.told and open_subjects(kind) == too_long(rule, since, now).keys():
        return
    with transaction.atomic():
        held = AlertRule.objects.select_for_update().get(pk=kind)
        since = alert_events.lasting(held, now)
        begun, going_on = too_long(held, since, now), open_subjects(kind)
        over = Alert.objects.going_on().filter(kind=kind, subject__in=going_on - begun.keys())
        over.update(ended_at=now, last_at=now)
        for name in sorted(begun.keys() - going_on) if begins else ():
            begin(held, name, number=1, since=begun[name], last_at=now)
        held.told = told(kind, since)
        held.save(update_fields=["told"])


def too_long(rule: AlertRule, since: dict[str, datetime], now: datetime) -> dict[str, datetime]:
    """Those that have lasted for the rule's minutes."""
    edge = now - timedelta(minutes=rule.minutes)
    return {name: at for name, at in since.items() if rule.on and at <= edge}


def told(kind: AlertKind, since: dict[str, datetime]) -> dict[str, str]:
    """What has to be remembered: since when a program is stuck is written nowhere else."""
    return {name: at.isoformat() for name, at in since.items()} if kind == AlertKind.STUCK else {}


def open_subjects(kind: AlertKind) -> set[str]:
    return set(Alert.objects.going_on().filter(kind=kind).values_list("subject", flat=True))


# --- The alert ----------------------------------------------------------------------------


def begin(rule: AlertRule, subject: str, *, number: int, since: datetime, last_at: datetime) -> Alert:
    """Record it and, unless it is muted, whom to tell; in the transaction of whoever calls."""
    now = datetime.now(UTC)
    muted = is_muted(rule.kind, subject, now)
    alert = Alert.objects.create(
        kind=rule.kind, subject=subject, number=number, since=since, last_at=last_at, created_at=now, muted=muted
    )
    if not muted:
        Delivery.objects.bulk_create([Delivery(alert=alert, way=way, next_at=now) for way in configured()])
    return alert


def tell_unmuted() -> None:
    """What was muted when it began and still goes on when that is over is told then."""
    now = datetime.now(UTC)
    for alert in Alert.objects.going_on().filter(muted=True).order_by("pk")[:SETTLED_AT_ONCE]:
        if is_muted(alert.kind, alert.subject, now):
            continue
        with transaction.atomic():
            if Alert.objects.filter(pk=alert.pk, muted=True).update(muted=False):
                Delivery.objects.bulk_create([Delivery(alert=alert, way=way, next_at=now) for way in configured()])


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks again and again. One that has just begun leaves the stream time to be read before it calls it silent."""

    stop: threading.Event
    began: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        look(stop=self.stop.is_set, watched=time.monotonic() - self.began)
