"""What staff do here: the action as it was asked for, the work of it, and what became of each media item."""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, gettext_lazy, gettext_noop, pgettext_lazy

from quarantine.fields import Sha256Field
from quarantine.models.chained import Chained, ChainedQuerySet
from quarantine.models.ledger import NAME_LENGTH, Cause, Staff
from quarantine.mxc import Mxc


class Verb(models.TextChoices):
    QUARANTINE = "quarantine", pgettext_lazy("verb", "Quarantine")
    RELEASE = "release", pgettext_lazy("verb", "Release")
    PROTECT = "protect", pgettext_lazy("verb", "Protect")
    UNPROTECT = "unprotect", pgettext_lazy("verb", "Remove protection")


# The kinds of reasons there are at first, and that are translated while nobody renames them.
AT_FIRST = (
    gettext_noop("Spam or scam"),
    gettext_noop("Abuse imagery"),
    gettext_noop("Harassment"),
    gettext_noop("Private data"),
    gettext_noop("Malware"),
    gettext_noop("Legal request"),
    gettext_noop("Other"),
)


class Category(models.Model):
    """A kind of reason. Leads edit these; what is retired is no longer offered, but stays on the record."""

    slug = models.SlugField(primary_key=True, max_length=64)
    label = models.CharField(max_length=64)
    order = models.IntegerField(default=0)
    retired = models.BooleanField(default=False)

    class Meta:
        ordering = ("order", "slug")

    def __str__(self) -> str:
        return self.label

    @property
    def words(self) -> str:
        """For who looks at it."""
        return self.in_words(self.label)

    @staticmethod
    def in_words(label: str) -> str:
        """Those that a ledger begins with are translated; what leads wrote is not."""
        return gettext(label) if label in AT_FIRST else label

    @classmethod
    def names(cls) -> dict[str, str]:
        """Of all there are, by slug."""
        return {category.slug: category.words for category in cls.objects.all()}


class Action(Chained):
    """Something staff asked for here: verb, target, reason. Append-only: what came of it is its Work's."""

    verb = models.CharField(max_length=16, choices=Verb)
    cause = models.CharField(max_length=16, choices=Cause, default=Cause.ITEM)  # what was aimed at
    target = models.TextField()  # mxc URI, user, room, hash, origin; of a list, its beginning
    category = models.CharField(max_length=64, blank=True)  # slug of a Category
    reason = models.TextField(blank=True)
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="actions")
    created_at = models.DateTimeField()
    undoes = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="undone_by")
    submission = models.CharField(max_length=64, null=True, unique=True)  # of its form: sent twice, it is done once

    PLAIN = ("verb", "cause", "category", "staff_id", "created_at", "undoes_id")
    PERSONAL = ("target", "reason")

    objects = ChainedQuerySet["Action"].as_manager()

    class Meta:
        indexes = [
            models.Index("verb", F("id").desc(), name="action_verb"),
            models.Index("staff", F("id").desc(), name="action_staff"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target}"


class Work(models.Model):
    """How far an action has got, and what came of it."""

    SILENCE = timedelta(minutes=2)  # of a process that lives; and no call takes the homeserver longer

    class Status(models.TextChoices):
        HELD = "held", gettext_lazy("Waiting for approval")  # by a second person; nobody takes it up
        WAITING = "waiting", gettext_lazy("Waiting to start")  # for the process that follows
        RUNNING = "running", gettext_lazy("Running")
        PAUSED = "paused", gettext_lazy("Paused")
        STOPPED = "stopped", gettext_lazy("Stopped")  # the homeserver refuses; may be resumed
        CANCELLED = "cancelled", gettext_lazy("Cancelled")
        FINISHED = "finished", gettext_lazy("Finished")

    class Wish(models.TextChoices):
        """What staff want of work under way; heeded between two calls."""

        NONE = "", gettext_lazy("Go on")
        PAUSE = "pause", gettext_lazy("Pause")
        CANCEL = "cancel", gettext_lazy("Cancel")

    action = models.OneToOneField(Action, on_delete=models.PROTECT, primary_key=True, related_name="work")
    status = models.CharField(max_length=16, choices=Status, default=Status.WAITING)
    wish = models.CharField(max_length=16, choices=Wish, default=Wish.NONE, blank=True)
    message = models.TextField(blank=True)  # why it waits or stopped, in a sentence
    total = models.IntegerField(default=0)  # media items asked for
    planned = models.IntegerField(null=True)  # media items that would change, copies too, when it was begun
    done = models.IntegerField(default=0)  # of them, settled one way or the other
    outcome = models.JSONField(default=dict)  # see quarantine.acting.actions.Outcome
    started_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index("action", name="work_due", condition=Q(status__in=["waiting", "running"])),
            models.Index("status", F("action").desc(), name="work_status"),
        ]

    def __str__(self) -> str:
        return f"{self.action_id}: {self.status} {self.done}/{self.total}"

    @property
    def over(self) -> bool:
        return self.status in {Work.Status.FINISHED, Work.Status.CANCELLED}

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0

    def is_silent(self, now: datetime) -> bool:
        """Whether it claims to run but has not been heard of: its process was killed. It is taken up again."""
        return self.status == Work.Status.RUNNING and now - self.updated_at > self.SILENCE


class Fate(models.TextChoices):
    """What is to become, or became, of one media item of an action."""

    PENDING = "pending", gettext_lazy("Waiting")
    CALLED = "called", gettext_lazy("Under way")
    CHANGED = "changed", gettext_lazy("Changed")
    ALREADY = "already", gettext_lazy("Already so")
    PROTECTED = "protected", gettext_lazy("Protected: skipped")
    ABSENT = "absent", gettext_lazy("Not on this server")
    LEFT = (
        "left",
        gettext_lazy("Not changed"),
    )  # called, and yet it is not so: the homeserver did nothing, or somebody undid it
    FAILED = "failed", gettext_lazy("Failed")


class Intent(models.Model):
    """One media item of an action. Committed as CALLED, with the feed's end, before the homeserver is called.

    A feed row in (feed_head, feed_until] with the action's verb, of this media or this sha256, is the action's.
    """

    action = models.ForeignKey(Action, on_delete=models.PROTECT, related_name="intents", db_index=False)
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    sha256 = Sha256Field(null=True)
    fate = models.CharField(max_length=16, choices=Fate, default=Fate.PENDING)
    error = models.TextField(blank=True)  # why it failed
    feed_generation = models.IntegerField(null=True)  # null: not called yet
    feed_head = models.BigIntegerField(null=True)  # newest feed id before the call, exclusive
    feed_until = models.BigIntegerField(null=True)  # newest feed id after the call, inclusive; null: not answered yet
    matrix_user = models.CharField(max_length=NAME_LENGTH, blank=True)  # whose token acts: Synapse's quarantined_by

    class Meta:
        constraints = [models.UniqueConstraint(fields=["action", "origin", "media_id"], name="intent_once")]
        indexes = [
            models.Index(fields=["action", "fate", "id"], name="intent_fate"),
            models.Index(fields=["media_id", "origin"], name="intent_media"),
            models.Index(fields=["sha256"], name="intent_sha256", condition=Q(sha256__isnull=False)),
            models.Index(fields=["feed_until"], name="intent_window"),
            models.Index(
                fields=["action"], name="intent_open", condition=Q(feed_head__isnull=False, feed_until__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.origin}/{self.media_id}: {self.fate}"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)

    @property
    def kind(self) -> Fate:
        return Fate(self.fate)


class Return(models.Model):
    """Media whose file was quarantined before, and that people can fetch: it is back."""

    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    sha256 = Sha256Field()
    seen_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)  # quarantined, protected or gone since

    class Meta:
        constraints = [models.UniqueConstraint(fields=["media_id", "origin"], name="return_once")]
        indexes = [models.Index(fields=["id"], name="return_open", condition=Q(settled_at=None))]

    def __str__(self) -> str:
        return f"{self.origin}/{self.media_id} is back"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)
