"""Sessions that end by themselves: some time after the last thing a person did, and some time after signing in at the latest.

The database holds a digest of each key, so whoever reads it, or a backup of it, can use no session: the key is in
the cookie alone. The end is the row's `expire_date`, so whatever asks for living sessions (pages, streams, the list of
one's own) asks for both limits.
"""

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

BEGAN, SEEN = "began_at", "seen_at"  # seconds since 1970: signing in, and the last thing a person did
RENEWED = "renewed_at"  # when the provider of single sign-on last said again who this is, and what their role
BEFORE_SIGN_IN = 3600  # seconds kept of what a stranger began: the first of two steps, a trip to the provider
KEPT = 40  # characters of a digest: 160 bits, about as many as a key has


def stored(key: str) -> str:
    """What the database has instead of a session's key."""
    return hashlib.sha256(key.encode()).hexdigest()[:KEPT]


class SessionStore(db.SessionStore):
    """`session_key` is the key, as Django and the cookie know it; only what asks the database puts its digest in place."""

    def _get_session_from_db(self) -> Session | None:
        found = None
        if self.session_key:
            found = Session.objects.filter(pk=stored(self.session_key), expire_date__gt=timezone.now()).first()
        if found is None:
            self._session_key = None  # one that we did not give out is never taken up
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(stored(session_key))

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            super().delete(stored(key))

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        row = super().create_model_instance(data)
        row.session_key = stored(row.session_key)
        return row

    def save(self, must_create: bool = False) -> None:
        """Begin to count where somebody signed in with it; also where an earlier version did not count."""
        if not must_create and SESSION_KEY in self:
            now = time.time()
            self.setdefault(BEGAN, now)
            self.setdefault(SEEN, now)
        try:
            super().save(must_create)
        except UpdateError as error:
            # Django takes any trouble for a session that somebody ended meanwhile: a damaged request, 400.
            if isinstance(error.__context__, OperationalError):
                raise error.__context__ from error.__context__.__cause__
            raise

    def ends_at(self) -> float:
        if BEGAN not in self:
            return time.time() + BEFORE_SIGN_IN
        ends: list[float] = [self[BEGAN] + 3600 * settings.SESSION_MAX_HOURS]
        if settings.SESSION_IDLE_MINUTES:
            ends.append(self[SEEN] + 60 * settings.SESSION_IDLE_MINUTES)
        vouched = self.vouched_at()
        if vouched is not None and settings.OIDC_SESSION_MINUTES:
            ends.append(vouched + 60 * settings.OIDC_SESSION_MINUTES)
        return min(ends)

    def vouched_at(self) -> float | None:
        """When the provider of single sign-on last said who this is; None in a session that began another way."""
        records = [
            each for each in self.get(AUTHENTICATION_METHODS_SESSION_KEY, []) if each["method"] == "socialaccount"
        ]
        if not any("reauthenticated" not in each for each in records):
            return None
        return float(max(self.get(RENEWED, 0.0), *(each["at"] for each in records)))

    def get_expiry_age(self, **_kwargs: Any) -> int:
        return max(0, int(self.ends_at() - time.time()))

    def get_expiry_date(self, **_kwargs: Any) -> datetime:
        return datetime.fromtimestamp(self.ends_at(), tz=UTC)
