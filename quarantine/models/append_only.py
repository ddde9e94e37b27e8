"""Records that nobody edits or deletes, by whatever way Django offers."""

from typing import Any, NoReturn

from django.db import models


class AppendOnlyError(Exception):
    """Somebody tried to change what was recorded."""


class AppendOnlyQuerySet[Record: models.Model](models.QuerySet[Record]):
    def update(self, **_: Any) -> NoReturn:
        raise AppendOnlyError

    def bulk_create(self, *args: Any, update_conflicts: bool = False, **kwargs: Any) -> list[Record]:
        if update_conflicts:
            raise AppendOnlyError
        return super().bulk_create(*args, **kwargs)

    def delete(self) -> NoReturn:
        raise AppendOnlyError


class AppendOnly(models.Model):
    """A base: rows are added and never touched again. Give it `objects` of an AppendOnlyQuerySet."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError
        super().save(*args, **kwargs)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnlyError
