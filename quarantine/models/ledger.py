"""The ledger: what happened to media, in order, and how we know.

Rows of Change are never updated or deleted. Everything here but Staff is written by `ledger.append`.
"""

from datetime import datetime
from typing import Self
from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

from quarantine.fields import Sha256Field
from quarantine.models.access import Capability, Role, includes
from quarantine.mxc import Mxc

NAME_LENGTH = 255  # ids, types, users: a b-tree refuses long ones
FILE_NAME_LENGTH = 1024


class State(models.TextChoices):
    QUARANTINED = "quarantined", gettext_lazy("Quarantined")
    RELEASED = "released", gettext_lazy("Released")
    DELETED = "deleted", gettext_lazy("Deleted")  # removed from the homeserver while quarantined


class Source(models.TextChoices):
    """How we know."""

    ACTION = "action", gettext_lazy("Done here")
    FEED = "feed", gettext_lazy("Seen on the homeserver")
    AUDIT = "audit", gettext_lazy("Found by audit")
    BACKFILL = "backfill", gettext_lazy("Found already so")


class Cause(models.TextChoices):
    ITEM = "item", gettext_lazy("Single item")
    USER = "user", gettext_lazy("User sweep")
    ROOM = "room", gettext_lazy("Room sweep")
    HASH = "hash", gettext_lazy("Hash match")
    ORIGIN = "origin", gettext_lazy("Whole server")
    LIST = "list", gettext_lazy("Pasted list")
    UNKNOWN = "unknown", gettext_lazy("Not known")


class Staff(AbstractUser):
    """A person who signs in. A name can't be taken for a Matrix user (`@…`) or for `system`."""

    username = models.CharField(
        "name",
        max_length=150,
        unique=True,
        validators=[
            RegexValidator(
                r"\A(?!system\Z)[A-Za-z0-9][A-Za-z0-9._-]*\Z",
                gettext_lazy(
                    "Use letters, digits, '.', '_' and '-', starting with a letter or digit; 'system' is taken."
                ),
            )
        ],
        error_messages={"unique": gettext_lazy("An account of that name exists.")},
    )
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER)
    single_keys = models.BooleanField(default=True, db_default=True)  # shortcuts of one key (WCAG 2.1.4)
    previews = models.BooleanField(default=True, db_default=True)  # is offered to look at files
    language = models.CharField(max_length=16, default="", db_default="", blank=True)  # of the pages; "": the browser's
    local_times = models.BooleanField(default=False, db_default=False)  # in the browser's time zone, not in UTC

    def may(self, capability: Capability) -> bool:
        """Whether this account is active and its role includes this."""
        return self.is_active and includes(self.role, capability)


class Ledger(models.Model):
    """One row: which homeserver this is the ledger of, how far it has got, and its counters.

    `head` is the highest position given out (0: none). Positions have no gaps but those
    that a new generation of the ledger leaves, `left_out` in all.
    """

    identity = models.UUIDField(default=uuid4, editable=False)  # tells ledgers apart that have the same name
    homeserver_name = models.CharField(max_length=NAME_LENGTH)
    homeserver_kind = models.CharField(max_length=16)  # "sample" or "synapse"
    head = models.BigIntegerField(default=0)
    left_out = models.BigIntegerField(default=0, db_default=0)
    last_seen_at = models.DateTimeField(null=True)  # of the head; the clock of the ledger never runs backwards
    quarantined_local = models.BigIntegerField(default=0)
    quarantined_remote = models.BigIntegerField(default=0)
    repeats = models.BigIntegerField(default=0)  # entries that changed nothing: counted, not stored
    feed_generation = models.IntegerField(default=1)  # grows when the homeserver is restored from a backup
    feed_position = models.BigIntegerField(default=0)  # newest feed id taken in, inclusive
    feed_read_at = models.DateTimeField(null=True)  # when the feed was last read to its end, nothing held back
    review_due = models.BooleanField(default=False)  # the homeserver was restored: what we hold must be compared
    requarantine = models.BooleanField(default=False)  # what is back (Return) is quarantined without asking
    chain = models.BinaryField(max_length=32, null=True)  # of the newest sealed change (see quarantine.seals)
    chain_from = models.BigIntegerField(null=True)  # the first sealed position; null: none yet
    redactions = models.BigIntegerField(null=True)  # how often personal data was blanked; null: never

    @property
    def changes(self) -> int:
        """How many it holds."""
        return self.head - self.left_out

    @property
    def edition(self) -> str:
        """Names what the ledger holds now, and only that: also another ledger, or this one restored and gone on, is another."""
        return f"{self.identity}:{self.head}:{self.last_seen_at}:{self.redactions}"

    def __str__(self) -> str:
        return f"ledger of {self.homeserver_name} at {self.head}"


class OpenHole(models.Model):
    """A feed id that was passed before it was filled. Asked for again for a day."""

    pk = models.CompositePrimaryKey("generation", "feed_id")
    generation = models.IntegerField()
    feed_id = models.BigIntegerField()
    passed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.generation}:{self.feed_id}"


class ChangeQuerySet(models.QuerySet["Change"]):
    def older_than(self, position: int | None) -> Self:
        """Newest first, from just below `position` (exclusive); None starts at the head."""
        changes = self.order_by("-stream_id")
        return changes if position is None else changes.filter(stream_id__lt=position)

    def newer_than(self, position: int) -> Self:
        """Oldest first, from just above `position` (exclusive)."""
        return self.filter(stream_id__gt=position).order_by("stream_id")

    def first_position_at(self, moment: datetime) -> int | None:
        """The lowest position seen at or after `moment`; None when there is none yet.

        `seen_at` never goes backwards, so a range of time is a range of positions.
        """
        first = self.filter(seen_at__gte=moment).order_by("seen_at", "stream_id").values_list("stream_id", flat=True)
        return first.first()


class Change(models.Model):
    """One change of state of one media item. Time is an interval: after `not_before`, by `seen_at`."""

    stream_id = models.BigIntegerField(primary_key=True)  # position: rises in commit order
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    local = models.BooleanField()  # origin is our homeserver
    quarantined = models.BooleanField()
    deleted = models.BooleanField(default=False)  # then `quarantined` is false
    seen_at = models.DateTimeField()  # when the ledger learned it, to the millisecond
    not_before = models.DateTimeField(null=True)  # earliest it can have happened; null: unknown
    changed_by = models.CharField(max_length=NAME_LENGTH, blank=True)  # staff, Matrix user, "system"; "": not known
    source = models.CharField(max_length=16, choices=Source)
    cause = models.CharField(max_length=16, choices=Cause, default=Cause.UNKNOWN)
    action = models.ForeignKey(
        "quarantine.Action", on_delete=models.PROTECT, null=True, related_name="changes", db_index=False
    )
    feed_generation = models.IntegerField(null=True)
    feed_id = models.BigIntegerField(null=True)
    # The media as it was: its row may be gone tomorrow.
    media_type = models.CharField(max_length=NAME_LENGTH, blank=True)
    media_class = models.CharField(max_length=32, blank=True)  # "image" of "image/png", lower case
    media_length = models.BigIntegerField(null=True)  # bytes
    upload_name = models.CharField(max_length=FILE_NAME_LENGTH, blank=True)
    uploader = models.CharField(max_length=NAME_LENGTH, blank=True)  # empty for remote media: Synapse keeps none
    sha256 = Sha256Field(null=True)
    cut = models.BooleanField(default=False)  # a text was too long or held what no database stores
    # What shows that the row is as it was recorded (quarantine.seals); null where that was before there were seals.
    salts = models.BinaryField(null=True)
    digest = models.BinaryField(max_length=32, null=True)  # of PLAIN and PERSONAL
    chain = models.BinaryField(max_length=32, null=True)  # of the row before, position, seen_at and digest

    PLAIN = (
        "origin", "media_id", "local", "quarantined", "deleted", "not_before", "source", "cause", "action_id",
        "feed_generation", "feed_id", "media_type", "media_class", "media_length", "sha256", "cut",
    )  # fmt: skip
    PERSONAL = ("changed_by", "upload_name", "uploader")

    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feed_generation", "feed_id"], name="change_feed_once", condition=Q(feed_id__isnull=False)
            ),
            models.CheckConstraint(
                condition=~Q(deleted=True, quarantined=True), name="change_deleted_is_not_quarantined"
            ),
        ]
        indexes = [
            models.Index("seen_at", "stream_id", name="change_seen_at"),
            models.Index("local", F("stream_id").desc(), name="change_local"),
            models.Index("origin", F("stream_id").desc(), name="change_origin"),
            models.Index("changed_by", F("stream_id").desc(), name="change_changed_by"),
            models.Index("source", F("stream_id").desc(), name="change_source"),
            models.Index("cause", F("stream_id").desc(), name="change_cause"),
            models.Index("media_type", F("stream_id").desc(), name="change_media_type"),
            models.Index("media_class", F("stream_id").desc(), name="change_media_class"),
            models.Index("media_id", F("stream_id").desc(), name="change_media_id"),
            models.Index("uploader", F("stream_id").desc(), name="change_uploader"),
            models.Index("sha256", F("stream_id").desc(), name="change_sha256", condition=Q(sha256__isnull=False)),
            models.Index("action", F("stream_id").desc(), name="change_action", condition=Q(action__isnull=False)),
            models.Index(F("stream_id").desc(), name="change_not_quarantined", condition=Q(quarantined=False)),
            models.Index(F("stream_id").desc(), name="change_deleted", condition=Q(deleted=True)),
        ]

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.mxc} {self.state}"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)

    @property
    def state(self) -> State:
        if self.deleted:
            return State.DELETED
        return State.QUARANTINED if self.quarantined else State.RELEASED


class MediaItem(models.Model):
    """What the ledger holds of one media item: the fold of its changes.

    `version` grows with each change recorded and each feed row read of this media, also one
    that changed nothing; whoever looks at the homeserver notes it first (see `ledger.Entry.expected`).
    """

    pk = models.CompositePrimaryKey("origin", "media_id")
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    local = models.BooleanField()
    state = models.CharField(max_length=16, choices=State)
    stream_id = models.BigIntegerField(default=0)  # of its newest change; 0: only repeats were ever heard of it
    version = models.BigIntegerField(default=0)
    sha256 = Sha256Field(null=True)  # the last one known: remembered when the media is deleted
    uploader = models.CharField(max_length=NAME_LENGTH, blank=True)
    cut = models.BooleanField(default=False)  # its id was cut, so the homeserver can't be asked for it

    class Meta:
        indexes = [
            models.Index("sha256", F("stream_id").desc(), name="media_sha256", condition=Q(sha256__isnull=False)),
            models.Index("uploader", F("stream_id").desc(), name="media_uploader", condition=~Q(uploader="")),
            # Newest first, the hashes the sweep looks for.
            models.Index(
                F("stream_id").desc(),
                name="media_known_hash",
                condition=Q(sha256__isnull=False) & ~Q(state=State.RELEASED),
            ),
            models.Index(F("stream_id").desc(), name="media_quarantined", condition=Q(state=State.QUARANTINED)),
        ]

    def __str__(self) -> str:
        return f"{self.mxc} {self.state}"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)
