"""Sessions that end by themselves: some time after the last thing a person did, and some time after signing in at the latest.

The end is the row's `expire_date`, so whatever asks for living sessions (pages, streams, the list of
one's own) asks for both limits.
"""

import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends import db

BEGAN, SEEN = "began_at", "seen_at"  # seconds since 1970: signing in, and the last thing a person did
BEFORE_SIGN_IN = 3600  # seconds kept of what a stranger began: the first of two steps, a trip to the provider


class SessionStore(db.SessionStore):
    def save(self, must_create: bool = False) -> None:
        """Begin to count where somebody signed in with it; also where an earlier version did not count."""
        if not must_create and SESSION_KEY in self:
            now = time.time()
            self.setdefault(BEGAN, now)
            self.setdefault(SEEN, now)
        super().save(must_create)

    def ends_at(self) -> float:
        if BEGAN not in self:
            return time.time() + BEFORE_SIGN_IN
        idle, most = 60 * settings.SESSION_IDLE_MINUTES, 3600 * settings.SESSION_MAX_HOURS
        latest: float = self[BEGAN] + most
        return min(latest, self[SEEN] + idle) if idle else latest

    def get_expiry_age(self, **_kwargs: Any) -> int:
        return max(0, int(self.ends_at() - time.time()))

    def get_expiry_date(self, **_kwargs: Any) -> datetime:
        return datetime.fromtimestamp(self.ends_at(), tz=UTC)
