"""What can be asked of a homeserver, whichever it is: Synapse over its Admin API, or the sample one.

Success means little: Synapse answers `200 {}` also for media it does not have, for protected
media (which it skips) and for media already so. Who wants to know what happened looks afterwards.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from quarantine.homeserver.media import Media
from quarantine.mxc import Mxc


class HomeserverError(Exception):
    """The homeserver refused, or can't do this; the text is a sentence for staff.

    `retry`: it may work later, by itself. `fatal`: nothing will work until somebody mends something.
    """

    retry = False
    fatal = False


class UnknownMediaError(HomeserverError):
    """There is no such media. Raised only where the homeserver itself, or its database, says so."""


class UnavailableError(HomeserverError):
    """It can't be reached, takes too long, or is in trouble. The call may have been carried out all the same.

    `after`: seconds it asked us to wait, 0 where it didn't say.
    """

    retry = True

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class TroubleError(UnavailableError):
    """It failed at this call, having begun. Others may work."""


class SetupError(HomeserverError):
    """The address, the token or the certificate is wrong: somebody has to mend it."""

    fatal = True


class WatchOnlyError(SetupError):
    """Attached without an address and a token to act through."""


class TooLargeError(HomeserverError):
    """The file is larger than was asked for."""


MOST_DOWNLOAD = 200_000_000  # bytes; nobody is made to wait for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file on its way. Type and name are what its uploader said, of any length: not to be believed."""

    content_type: str  # such as "image/png"; may be empty
    length: int | None  # bytes; None: not said
    upload_name: str  # empty: none
    chunks: Iterator[bytes]  # of 64 KiB at most; raises TooLargeError and UnavailableError


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

    def room_media(self, room_id: str) -> list[Mxc]:
        """The media posted in this room, as far as the homeserver can read it: not in an encrypted one."""

    def protect(self, mxc: Mxc) -> None:
        """Keep local media from being quarantined from now on. Raises UnknownMediaError."""

    def unprotect(self, mxc: Mxc) -> None:
        """Raises UnknownMediaError."""

    def download(self, mxc: Mxc, *, limit: int = MOST_DOWNLOAD) -> AbstractContextManager[Download]:
        """The file, quarantined or not, while the block lasts. Never asked for where only another server has it.

        Raises UnknownMediaError where it can't be had (not cached, deleted, its file lost), TooLargeError
        beyond `limit` bytes, and what else a call may raise.
        """
