"""What people are to be told, by which ways, and what came of it."""

from datetime import datetime
from typing import Self
from uuid import uuid4

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from quarantine.models.ledger import NAME_LENGTH, Staff


class AlertKind(models.TextChoices):
    """What can be alerted of; each has its rule."""

    BURST = "burst", _("Burst from one server")
    RELEASE = "release", _("Released what others quarantined")
    BACK = "back", _("Quarantined files are back")
    FAILED = "failed", _("Action or run failed")
    STUCK = "stuck", _("Program stuck")
    SILENT = "silent", _("Homeserver's stream silent")


class AlertRule(models.Model):
    """How one kind is watched, and how far. The defaults are those of quarantine.alerting.alert_rules."""

    kind = models.CharField(max_length=16, choices=AlertKind, primary_key=True)
    on = models.BooleanField(default=True)
    number = models.IntegerField()  # so many
    minutes = models.IntegerField()  # within so many minutes; of what lasts: for so long
    position = models.BigIntegerField(default=0)  # looked at up to here, inclusive; moves with the alerts it gave
    told = models.JSONField(default=dict)  # of what lasts: what is so now -> since when
    changed_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="+")

    def __str__(self) -> str:
        return self.kind


class AlertQuerySet(models.QuerySet["Alert"]):
    def going_on(self) -> Self:
        """Incidents that are not over."""
        return self.filter(ended_at=None)

    def unanswered(self) -> Self:
        """Those that somebody should look at."""
        return self.filter(acknowledged_at=None, muted=False)


class Alert(models.Model):
    """One incident: however much of it comes, one row with a count. Never deleted."""

    kind = models.CharField(max_length=16, choices=AlertKind)
    subject = models.CharField(max_length=NAME_LENGTH, blank=True)  # the origin, the actor, the program: what it is of
    number = models.BigIntegerField(default=1)  # how much there was of it
    since = models.DateTimeField()
    last_at = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)  # the incident is over; the next one is another alert
    muted = models.BooleanField(default=False)  # nobody was told
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="alerts")
    note = models.TextField(blank=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject"], name="alert_once", condition=Q(ended_at=None))
        ]
        indexes = [
            models.Index(
                F("id").desc(), name="alert_unanswered", condition=Q(acknowledged_at__isnull=True, muted=False)
            ),
            models.Index(F("id").desc(), name="alert_acknowledged", condition=Q(acknowledged_at__isnull=False)),
            models.Index(F("id").desc(), name="alert_muted", condition=Q(muted=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: {self.number}"


class MuteQuerySet(models.QuerySet["Mute"]):
    def holding(self, now: datetime) -> Self:
        return self.filter(ended_at=None, until__gt=now)


class Mute(models.Model):
    """Until then nobody is told of alerts of this kind, or of this subject alone. They are recorded all the same."""

    kind = models.CharField(max_length=16, choices=AlertKind)
    subject = models.CharField(max_length=NAME_LENGTH, blank=True)  # empty: all of that kind
    until = models.DateTimeField()
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="mutes")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)  # somebody ended it before its time
    ended_by = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="+")

    objects = MuteQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("kind", "until", name="mute_holding", condition=Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} until {self.until}"


class Way(models.TextChoices):
    EMAIL = "email", _("E-mail")
    WEBHOOK = "webhook", _("Webhook")
    MATRIX = "matrix", _("Matrix room")


class Delivery(models.Model):
    """One alert on one way. Made with the alert; tried until it arrived, or often enough."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Given up")

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="deliveries", db_index=False)
    way = models.CharField(max_length=16, choices=Way)
    # The receiver's own means against receiving twice: webhook-id, transaction id, Message-ID.
    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    tries = models.IntegerField(default=0)
    said = models.TextField(blank=True)  # why the last try failed, in a sentence of ours
    next_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alert", "way"], name="delivery_once")]
        indexes = [models.Index("next_at", name="delivery_due", condition=Q(state="waiting"))]

    def __str__(self) -> str:
        return f"{self.alert_id} by {self.way}: {self.state}"
