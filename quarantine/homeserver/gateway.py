"""What can be asked of a homeserver, whichever it is: Synapse over its Admin API, or the sample one.

Success means little: Synapse answers `200 {}` also for media it does not have, for protected
media (which it skips) and for media already so. Who wants to know what happened looks afterwards.
"""

from typing import Protocol

from quarantine.homeserver.media import Media
from quarantine.mxc import Mxc


class HomeserverError(Exception):
    """The homeserver refused, or can't do this."""


class UnknownMediaError(HomeserverError):
    """There is no such local media. Raised only where the homeserver itself says so."""


class Homeserver(Protocol):
    @property
    def user_id(self) -> str:
        """The Matrix user on whose behalf all this is done; what `quarantined_by` will say."""

    def media(self, mxc: Mxc) -> Media | None:
        """The facts of one media item as they are now; None if the homeserver does not have it."""

    def quarantine(self, mxc: Mxc) -> None:
        """Quarantine it and every copy with its sha256, local and remote. Protected local media is skipped."""

    def release(self, mxc: Mxc) -> None:
        """Release it and every copy with its sha256, local and remote, protected or not."""

    def quarantine_user(self, user_id: str) -> int:
        """Quarantine what this local user uploaded and is not yet, with all copies; how many items it were."""

    def quarantine_room(self, room_id: str) -> int:
        """Quarantine all media posted in this room, once more where already so; how many items it were."""

    def protect(self, mxc: Mxc) -> None:
        """Keep local media from being quarantined from now on. Raises UnknownMediaError."""

    def unprotect(self, mxc: Mxc) -> None:
        """Raises UnknownMediaError."""
