"""Runs over the homeserver's tables, and the programs that read from us."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

from quarantine.fields import Sha256Field
from quarantine.models.ledger import Staff


class RunQuerySet(models.QuerySet["Run"]):
    def unfinished(self) -> Self:
        return self.exclude(status__in=[Run.Status.FINISHED, Run.Status.ABANDONED])

    def resumable(self, *, kind: str, over: Sequence[str]) -> "Run | None":
        """The newest unfinished run of this kind, if it walks exactly these tables."""
        run = self.unfinished().filter(kind=kind).order_by("-pk").first()
        return run if run is not None and run.covers(over) else None


class Run(models.Model):
    """One backfill or audit. An unfinished one is resumed."""

    class Kind(models.TextChoices):
        BACKFILL = "backfill", gettext_lazy("Backfill")
        AUDIT = "audit", gettext_lazy("Audit")

    class Status(models.TextChoices):
        REQUESTED = "requested", gettext_lazy("Waiting to start")  # for the process that follows
        RUNNING = "running", gettext_lazy("Running")
        STOPPED = "stopped", gettext_lazy("Stopped")  # may be resumed
        FAILED = "failed", gettext_lazy("Failed")  # may be resumed
        FINISHED = "finished", gettext_lazy("Finished")
        ABANDONED = "abandoned", gettext_lazy("Abandoned")  # another was started in its place

    kind = models.CharField(max_length=16, choices=Kind)
    status = models.CharField(max_length=16, choices=Status, default=Status.RUNNING)
    message = models.TextField(blank=True)  # why it failed
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    pause_asked = models.BooleanField(default=False)  # from the backfill page
    staff = models.ForeignKey(
        Staff, on_delete=models.PROTECT, null=True, related_name="runs"
    )  # null: a terminal, or the night
    open_holes = models.IntegerField(default=0)
    seconds = models.FloatField(default=0)  # of work, without the breaks between resumptions

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("kind", F("id").desc(), name="run_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}: {self.status}"

    def is_silent(self, now: datetime) -> bool:
        """Whether it claims to run but has not been heard of: its process was killed. It can be resumed."""
        return self.status == Run.Status.RUNNING and now - self.updated_at > timedelta(minutes=2)

    def covers(self, over: Sequence[str]) -> bool:
        """Whether it walks exactly these tables."""
        return sorted(self.legs.values_list("over", flat=True)) == sorted(over)


class Leg(models.Model):
    """A run's walk over one table. Its position moves in the transaction that records what was found up to it."""

    class Over(models.TextChoices):
        LOCAL = "local", gettext_lazy("Local media")
        REMOTE = "remote", gettext_lazy("Remote media")
        HELD = "held", gettext_lazy("Media held as quarantined")  # the audit's other direction: the ledger's own list

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="legs")
    over = models.CharField(max_length=16, choices=Over)
    passes = models.IntegerField(default=1)  # the one under way, or the last
    position = models.BigIntegerField(default=0)  # page, rowid or number of items; exclusive: all below is done
    end = models.BigIntegerField(default=0)  # position at which the pass is complete
    identity = models.BigIntegerField(default=0)  # of the table's file: another one means that positions changed
    broken = models.BooleanField(default=False)  # this pass needed several snapshots: one further pass
    done = models.BooleanField(default=False)
    scanned = models.BigIntegerField(default=0)  # rows read
    found = models.BigIntegerField(default=0)  # quarantined media seen (audit of held media: that differed)
    recorded = models.BigIntegerField(default=0)
    already = models.BigIntegerField(default=0)  # held as quarantined before
    late = models.BigIntegerField(default=0)  # no longer so when looked at again
    longest_statement_ms = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "over"], name="leg_once")]

    def __str__(self) -> str:
        return f"{self.over} {self.position}/{self.end}"

    def percent(self) -> int:
        return 100 if self.done else 100 * self.position // self.end if self.end else 0


class Scope(models.TextChoices):
    """What a consumer's token opens."""

    CHANGES = "changes:read", gettext_lazy("Read the changes API")
    MEDIA = "media:read", gettext_lazy("Fetch quarantined media")
    METRICS = "metrics:read", gettext_lazy("Read the metrics")


class ConsumerQuerySet(models.QuerySet["Consumer"]):
    def usable(self, now: datetime) -> Self:
        """Those whose tokens open something."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class Consumer(models.Model):
    """A program that reads from us. Its token is shown once and stored as a digest."""

    name = models.CharField(max_length=150, unique=True)
    token_digest = Sha256Field(unique=True)
    scopes = models.JSONField(default=list)  # of Scope
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)  # null: never
    revoked_at = models.DateTimeField(null=True)
    # What it did, written every few seconds while it does something.
    last_seen_at = models.DateTimeField(null=True)
    requests = models.BigIntegerField(default=0)
    position = models.BigIntegerField(null=True)  # the `from` it last asked for
    handed_out = models.IntegerField(default=0)  # how often in a row it was given changes from that very position

    objects = ConsumerQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
