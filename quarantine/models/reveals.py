"""Who looked at which file."""

from typing import Any, NoReturn

from django.db import models
from django.db.models import F

from quarantine.models.actions import AppendOnlyError
from quarantine.models.ledger import NAME_LENGTH, Staff
from quarantine.mxc import Mxc


class RevealQuerySet(models.QuerySet["Reveal"]):
    def update(self, **_: Any) -> NoReturn:
        raise AppendOnlyError

    def delete(self) -> NoReturn:
        raise AppendOnlyError


class Reveal(models.Model):
    """The bytes of a file were sent to somebody who asked to see it. Append-only."""

    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, related_name="reveals")
    origin = models.CharField(max_length=NAME_LENGTH)
    media_id = models.CharField(max_length=NAME_LENGTH)
    revealed_at = models.DateTimeField()

    objects = RevealQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("media_id", "origin", F("id").desc(), name="reveal_media")]

    def __str__(self) -> str:
        return f"{self.staff}: {self.mxc}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnlyError

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)
