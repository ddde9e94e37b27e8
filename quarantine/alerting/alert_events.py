"""What happened that alerts may be made of, read in bounded statements.

Two sorts. *Events* are rows that came after a position; they are counted by what they are of. *States* hold or
don't: for them the question is since when.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from quarantine import ledger
from quarantine.models import AlertKind, AlertRule, Change, ChangeQuerySet, Consumer, Return, Run, Source, Work

BATCH = 1_000  # positions at once
HISTORY = 20_000  # positions before them that are looked at again: what came shortly before counts too
LASTING = 1_000  # of what is stopped or stuck
NOBODY = ("", "system")  # in Change.changed_by: not known, and the homeserver itself


@dataclass(frozen=True, slots=True)
class Event:
    subject: str
    at: datetime
    fresh: bool  # after the position; the others were counted before


@dataclass(frozen=True, slots=True)
class Events:
    """In order, and the position they were read up to (inclusive)."""

    events: list[Event]
    position: int
    complete: bool  # up to the end there is


def after(rule: AlertRule) -> Events:
    """The next events of a rule that counts."""
    if rule.kind == AlertKind.BACK:
        return returns_after(rule)
    head = ledger.current().head
    position = max(rule.position, min(head, rule.position + BATCH))
    rows = window(rule, until=position)
    find = bursts if rule.kind == AlertKind.BURST else releases
    return Events(find(rows, after=rule.position), position, complete=position >= head)


def window(rule: AlertRule, *, until: int) -> ChangeQuerySet:
    """The changes after the rule's position, and those before that were seen at most its minutes earlier."""
    first = Change.objects.newer_than(rule.position).values_list("seen_at", flat=True).first()
    lowest = max(0, rule.position - HISTORY)
    rows = Change.objects.filter(stream_id__gt=lowest, stream_id__lte=until).order_by("stream_id")
    return rows.filter(seen_at__gte=first - timedelta(minutes=rule.minutes)) if first else rows.none()


def bursts(rows: ChangeQuerySet, *, after: int) -> list[Event]:
    """By origin. What a backfill found, and the first read of the homeserver's stream, happened nobody knows when."""
    found = rows.filter(quarantined=True, not_before__isnull=False).exclude(source=Source.BACKFILL)
    return [
        Event(origin, at, position > after) for position, origin, at in found.values_list("pk", "origin", "seen_at")
    ]


def releases(rows: ChangeQuerySet, *, after: int) -> list[Event]:
    """By whoever released. Who that was, or who had quarantined it, is not always known: then it is none of these."""
    before = Change.objects.filter(
        media_id=OuterRef("media_id"), origin=OuterRef("origin"), stream_id__lt=OuterRef("stream_id"), quarantined=True
    ).order_by("-stream_id")
    known = rows.filter(quarantined=False, deleted=False).exclude(changed_by__in=NOBODY)
    told = known.annotate(theirs=Subquery(before.values("changed_by")[:1]))
    found = told.values_list("pk", "changed_by", "seen_at", "theirs")
    return [Event(by, at, pk > after) for pk, by, at, theirs in found if theirs not in {None, by, *NOBODY}]


def returns_after(rule: AlertRule) -> Events:
    """All together: a wave of copies is one incident. Ids may be committed out of order, but one process makes them."""
    rows = list(Return.objects.filter(pk__gt=rule.position).order_by("pk").values_list("pk", "seen_at")[:BATCH])
    if not rows:
        return Events([], rule.position, complete=True)
    earlier = Return.objects.filter(pk__lte=rule.position, seen_at__gte=rows[0][1] - timedelta(minutes=rule.minutes))
    counted = sorted(earlier.order_by("-pk").values_list("seen_at", flat=True)[:BATCH])
    events = [Event("", at, fresh=False) for at in counted] + [Event("", at, fresh=True) for _, at in rows]
    return Events(events, rows[-1][0], complete=len(rows) < BATCH)


# --- What lasts ---------------------------------------------------------------------------


def failing() -> dict[str, str]:
    """Actions and runs that somebody has to see to -> when they came to that."""
    works = Work.objects.filter(status=Work.Status.STOPPED).order_by("-action")
    runs = Run.objects.filter(status=Run.Status.FAILED).order_by("-pk")
    found = {f"action {pk}": at.isoformat() for pk, at in works.values_list("pk", "updated_at")[:LASTING]}
    return found | {f"run {pk}": at.isoformat() for pk, at in runs.values_list("pk", "updated_at")[:LASTING]}


def lasting(rule: AlertRule, now: datetime) -> dict[str, datetime]:
    """What a state is of -> since when it holds."""
    if rule.kind == AlertKind.SILENT:
        heard = ledger.current().feed_read_at
        return {} if heard is None else {"": heard}
    known = {name: datetime.fromisoformat(since) for name, since in rule.told.items()}
    return {name: known.get(name, now) for name in stuck(rule.number)}


def stuck(times: int) -> list[str]:
    """Programs that were given the same changes so often and came back for them."""
    jammed = Consumer.objects.usable(timezone.now()).filter(
        Q(position__lt=ledger.current().head), handed_out__gte=times
    )
    return list(jammed.order_by("name").values_list("name", flat=True)[:LASTING])
