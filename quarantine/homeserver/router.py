"""Which database a model lives in. No query ever crosses from one to the other."""

from typing import Any

from django.conf import settings
from django.db.models import Model

ALIAS = "homeserver"


class HomeserverReadOnlyError(Exception):
    """Something tried to write to an attached homeserver's tables."""


class HomeserverRouter:
    def db_for_read(self, model: type[Model], **_hints: Any) -> str | None:
        return ALIAS if model._meta.app_label == ALIAS else None

    def db_for_write(self, model: type[Model], **_hints: Any) -> str | None:
        """Refuse before the connection does: Synapse's workers keep positions in memory that an outside write corrupts."""
        if model._meta.app_label != ALIAS:
            return None
        if settings.HOMESERVER_ATTACHED:
            msg = "The homeserver's database is attached read-only; changes go through its Admin API."
            raise HomeserverReadOnlyError(msg)
        return ALIAS

    def allow_relation(self, left: Model, right: Model, **_hints: Any) -> bool | None:
        if ALIAS in {left._meta.app_label, right._meta.app_label}:
            return left._meta.app_label == right._meta.app_label
        return None

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        """Only the sample homeserver's tables are ours to create."""
        if app_label == ALIAS:
            return db == ALIAS and not settings.HOMESERVER_ATTACHED
        return False if db == ALIAS else None
