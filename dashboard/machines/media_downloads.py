"""Files on their way from the homeserver to a program or a person: bounded in size, time and number, never cached.

What can't be had is 404, so that one dead item does not hold up whoever waits for it. What may be had
later is 503 (the homeserver is starting, too many at once) or 429 (too many of one token): skipping it would lose it.
"""

import re
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack

from django.http import StreamingHttpResponse

from dashboard.machines.bearer import RefusedError
from quarantine.homeserver.gateway import (
    Download,
    HomeserverError,
    SetupError,
    TooLargeError,
    UnavailableError,
    UnknownMediaError,
)
from quarantine.homeserver.media import HomeserverAwayError

AT_ONCE = 4
LONGEST = 300.0  # seconds from the first byte to the last
TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")  # RFC 6838; nothing after it is passed on


def new_slots() -> threading.BoundedSemaphore:
    """For AT_ONCE downloads of one purpose: programs and people don't wait for each other."""
    return threading.BoundedSemaphore(AT_ONCE)


class OpenDownload:
    """A file that has begun to come. `chunks` must be closed, read or not: that ends it."""

    def __init__(self, download: Download, held: ExitStack) -> None:
        found = TYPE.match(download.content_type)
        self.content_type = found[0].lower() if found else "application/octet-stream"
        self.length = download.length
        self.held = held
        self.chunks = self.read(download.chunks)
        next(self.chunks)  # from now on closing it runs what is below

    def read(self, chunks: Iterator[bytes]) -> Generator[bytes]:
        """First nothing, then the file. An error breaks the answer off, which its length gives away."""
        end = time.monotonic() + LONGEST
        with self.held:
            yield b""
            for chunk in chunks:
                if time.monotonic() > end:
                    msg = "The download took too long."
                    raise UnavailableError(msg)
                yield chunk


class DownloadOpening(StreamingHttpResponse):
    """A file that may be sent. Under the ASGI composition its chunks are sent natively."""

    def __init__(self, opened: OpenDownload, *, headers: Mapping[str, str]) -> None:
        self.chunks = opened.chunks
        super().__init__(self.chunks, content_type=opened.content_type, headers=dict(headers))

    def may_go_on(self) -> bool:
        """A file lasts five minutes at most: whose token is revoked may have the rest of it."""
        return True


def open_download(coming: AbstractContextManager[Download], *, slots: threading.BoundedSemaphore) -> OpenDownload:
    """Ask the homeserver for a file, which entering `coming` does. Raises RefusedError."""
    with ExitStack() as held:
        if not slots.acquire(blocking=False):
            raise later(f"{AT_ONCE} downloads are running already.", after=2)
        held.callback(slots.release)
        try:
            download = held.enter_context(coming)
        except (UnknownMediaError, TooLargeError) as error:
            raise RefusedError(404, "M_NOT_FOUND", str(error)) from error
        except (UnavailableError, HomeserverAwayError) as error:
            raise later("The homeserver can't be asked now.", after=10) from error
        except SetupError as error:
            raise RefusedError(
                502, "M_UNKNOWN", "The homeserver can't be asked: its operator has to mend something."
            ) from error
        except HomeserverError as error:
            raise RefusedError(404, "M_NOT_FOUND", str(error)) from error
        return OpenDownload(download, held.pop_all())


def later(error: str, *, after: int) -> RefusedError:
    return RefusedError(503, "M_UNKNOWN", error, headers={"Retry-After": str(after)})
