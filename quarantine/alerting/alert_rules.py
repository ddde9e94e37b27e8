"""What is watched and how closely, who is to be spared, and who has seen to it: all that staff decide about alerts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import transaction
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import require
from quarantine.entries import UNSTORABLE
from quarantine.models import NAME_LENGTH, Access, Alert, AlertKind, AlertRule, Capability, Change, Mute, Return, Staff

MOST_NUMBER = 10_000
MOST_MINUTES = 1_440
NOTE_LENGTH = 1_000
LONGEST_MUTE = 30 * 24  # hours


class AlertError(Exception):
    """What was asked makes no sense; the text is a sentence for whoever asked."""


@dataclass(frozen=True, slots=True)
class Default:
    number: int
    minutes: int
    counted: bool = True  # whether the number can be chosen


DEFAULTS = {
    AlertKind.BURST: Default(20, 10),
    AlertKind.RELEASE: Default(1, 60),
    AlertKind.BACK: Default(1, 60),
    AlertKind.FAILED: Default(1, 60, counted=False),
    AlertKind.STUCK: Default(3, 10),
    AlertKind.SILENT: Default(1, 5, counted=False),
}


def rule_of(kind: AlertKind) -> AlertRule:
    """Its rule; made when first asked for, at the end there is then: nobody is told of what is history."""
    found = AlertRule.objects.filter(pk=kind).first()
    if found is None:
        fresh = default_rule(kind)
        chosen = {"number": fresh.number, "minutes": fresh.minutes, "position": beginning(kind)}
        found, _ = AlertRule.objects.get_or_create(kind=kind, defaults=chosen)
    return found


def default_rule(kind: AlertKind) -> AlertRule:
    """Not saved."""
    return AlertRule(kind=kind, number=DEFAULTS[kind].number, minutes=DEFAULTS[kind].minutes)


def beginning(kind: AlertKind) -> int:
    if kind is AlertKind.BACK:
        return Return.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return Change.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def rules() -> list[AlertRule]:
    """Each as it holds; to look at them makes none."""
    held = {rule.kind: rule for rule in AlertRule.objects.select_related("changed_by")}
    return [held.get(kind) or default_rule(kind) for kind in DEFAULTS]


def change_rule(kind: AlertKind, *, on: bool, number: int, minutes: int, staff: Staff) -> None:
    """Admins only: NotAllowedError. Raises AlertError."""
    require(staff, Capability.MANAGE_SETTINGS)
    if not (1 <= number <= MOST_NUMBER and 1 <= minutes <= MOST_MINUTES):
        words = gettext("The number goes from 1 to {numbers}, the minutes from 1 to {minutes}.")
        msg = words.format(numbers=intcomma(MOST_NUMBER), minutes=intcomma(MOST_MINUTES))
        raise AlertError(msg)
    if not DEFAULTS[kind].counted:
        number = DEFAULTS[kind].number
    rule_of(kind)
    chosen = {"on": on, "number": number, "minutes": minutes}
    with transaction.atomic():
        held = AlertRule.objects.select_for_update().get(pk=kind)
        before = {name: getattr(held, name) for name in chosen}
        AlertRule.objects.filter(pk=kind).update(**chosen, changed_at=datetime.now(UTC), changed_by=staff)
        record(Access.ALERT_RULE_CHANGED, by=staff, target=kind, before=before, after=chosen)


def acknowledge(alert: Alert, *, note: str, staff: Staff) -> bool:
    """Say that somebody sees to it; False if somebody else had. For who may act on media: NotAllowedError."""
    require(staff, Capability.ACT)
    note = UNSTORABLE.sub("\ufffd", note).strip()
    if len(note) > NOTE_LENGTH:
        msg = gettext("A note has at most {number} characters.").format(number=intcomma(NOTE_LENGTH))
        raise AlertError(msg)
    mine = Alert.objects.filter(pk=alert.pk, acknowledged_at=None)
    with transaction.atomic():
        first = bool(mine.update(acknowledged_at=datetime.now(UTC), acknowledged_by=staff, note=note))
        if first:
            record(Access.ALERT_ACKNOWLEDGED, by=staff, target=alert.pk, rule=alert.kind)
    return first


def mute(kind: AlertKind, *, subject: str, hours: int, staff: Staff) -> Mute:
    """For so long nobody is told of this kind, or of this subject alone. Admins only: NotAllowedError."""
    require(staff, Capability.MANAGE_SETTINGS)
    if not 1 <= hours <= LONGEST_MUTE:
        msg = gettext("Mute it for 1 to {number} hours.").format(number=intcomma(LONGEST_MUTE))
        raise AlertError(msg)
    if len(subject) > NAME_LENGTH or UNSTORABLE.search(subject):
        msg = gettext("A name has at most {number} characters, and none that can't be stored.").format(
            number=NAME_LENGTH
        )
        raise AlertError(msg)
    now = datetime.now(UTC)
    until = now + timedelta(hours=hours)
    with transaction.atomic():
        muted = Mute.objects.create(kind=kind, subject=subject, until=until, staff=staff, created_at=now)
        record(Access.ALERTS_MUTED, by=staff, target=subject, rule=kind, hours=hours)
    return muted


def end_mute(muted: Mute, *, staff: Staff) -> None:
    """Admins only: NotAllowedError. Safe to repeat."""
    require(staff, Capability.MANAGE_SETTINGS)
    with transaction.atomic():
        if Mute.objects.filter(pk=muted.pk, ended_at=None).update(ended_at=datetime.now(UTC), ended_by=staff):
            record(Access.ALERTS_UNMUTED, by=staff, target=muted.subject, rule=muted.kind)


def is_muted(kind: str, subject: str, now: datetime) -> bool:
    return Mute.objects.holding(now).filter(kind=kind, subject__in=["", subject]).exists()
