"""Who looked at which file."""

from django.db import models
from django.db.models import F

from quarantine.models.chained import Chained, ChainedQuerySet
from quarantine.models.ledger import NAME_LENGTH, Staff
from quarantine.mxc import Mxc


class Reveal(Chained):
    """The bytes of a file were sent to somebody who asked to see it. Append-only."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="reveals")
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    revealed_at = models.DateTimeField()

    PLAIN = ("staff_id", "origin", "media_id", "revealed_at")

    objects = ChainedQuerySet["Reveal"].as_manager()

    class Meta:
        indexes = [models.Index("media_id", "origin", F("id").desc(), name="reveal_media")]

    def __str__(self) -> str:
        return f"{self.staff}: {self.mxc}"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)
