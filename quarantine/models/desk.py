"""What staff keep here for their own work, and the record of who looked at what."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import F

from quarantine.models.actions import AppendOnlyError
from quarantine.models.ledger import NAME_LENGTH, Staff
from quarantine.mxc import Mxc

VIEW_NAME_LENGTH = 64


class SavedView(models.Model):
    """Filters under a name. `query` is a query string of the timeline's, in its canonical form."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="saved_views")
    name = models.CharField(max_length=VIEW_NAME_LENGTH)
    query = models.TextField()
    shared = models.BooleanField(default=False)  # everybody sees it
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["staff", "name"], name="saved_view_once")]
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name


class RevealQuerySet(models.QuerySet["Reveal"]):
    def update(self, **_: Any) -> NoReturn:
        raise AppendOnlyError

    def delete(self) -> NoReturn:
        raise AppendOnlyError


class Reveal(models.Model):
    """Somebody asked to see a file. Append-only, and committed before the file is fetched."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="reveals")
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    revealed_at = models.DateTimeField()

    objects = RevealQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("media_id", "origin", F("id").desc(), name="reveal_media")]

    def __str__(self) -> str:
        return f"{self.staff_id} asked to see {self.mxc}"

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnlyError
