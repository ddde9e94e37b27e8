"""Synapse over its Admin API.

A token goes into the Authorization header and nowhere else. Redirects are not followed, answers are
bounded, and what changes something is repeated only where Synapse surely has not begun with it: each
quarantine, also of what is quarantined already, appends rows to its feed.
"""

import random
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote

import certifi
import httpx

from quarantine.homeserver import media
from quarantine.homeserver.answers import (
    NotBegunError,
    SlowError,
    broken,
    download_problem,
    no_synapse,
    not_here,
    number,
    problem,
    read_json,
    to_download,
    to_media,
    unreachable,
)
from quarantine.homeserver.gateway import (
    MOST_DOWNLOAD,
    Download,
    HomeserverError,
    SetupError,
    UnavailableError,
    UnknownMediaError,
)
from quarantine.homeserver.media import Media
from quarantine.homeserver.sentences import NAMELESS, NOT_LOCAL
from quarantine.mxc import Mxc, MxcError, shown

ADMIN = "/_synapse/admin/v1"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
SWEEP_TIMEOUT = httpx.Timeout(120.0, connect=5.0)  # a user with ten thousand files takes its time
TRIES = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.3, 10.0  # seconds; who is asked to wait longer lets go, and comes back then
# No waiting for a file whose upload was only announced.
BYPASS = {"admin_unsafely_bypass_quarantine": "true", "timeout_ms": "0"}


class SynapseHomeserver:
    """A Homeserver (gateway.py). May be used by several threads."""

    def __init__(
        self, url: str, token: str, *, pause: Callable[[float], None] = time.sleep, timeout: httpx.Timeout = TIMEOUT
    ) -> None:
        self.url = url.rstrip("/")
        self.pause = pause
        self.client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            verify=trusted(),
        )

    def __repr__(self) -> str:
        return f"SynapseHomeserver({self.url})"

    def close(self) -> None:
        self.client.close()

    @cached_property
    def user_id(self) -> str:
        found = self.ask("GET", "/_matrix/client/v3/account/whoami").get("user_id")
        if not isinstance(found, str) or not found.startswith("@"):
            raise SetupError(no_synapse(self.url))
        return found

    def media(self, mxc: Mxc) -> Media | None:
        try:
            told = self.ask("GET", f"{ADMIN}/media/{part(mxc.origin)}/{part(mxc.media_id)}")
        except UnknownMediaError:
            return None
        return to_media(mxc, told)

    def quarantine(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/quarantine/{part(mxc.origin)}/{part(mxc.media_id)}")

    def release(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/unquarantine/{part(mxc.origin)}/{part(mxc.media_id)}")

    def quarantine_user(self, user_id: str) -> int:
        told = self.ask("POST", f"{ADMIN}/user/{part(user_id)}/media/quarantine", timeout=SWEEP_TIMEOUT)
        return number(told, "num_quarantined")

    def quarantine_room(self, room_id: str) -> int:
        told = self.ask("POST", f"{ADMIN}/room/{part(room_id)}/media/quarantine", timeout=SWEEP_TIMEOUT)
        return number(told, "num_quarantined")

    def room_media(self, room_id: str) -> list[Mxc]:
        told = self.ask("GET", f"{ADMIN}/room/{part(room_id)}/media", timeout=SWEEP_TIMEOUT)
        return list(names(told))

    def protect(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/protect/{part(self.local_id(mxc))}")

    def unprotect(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/unprotect/{part(self.local_id(mxc))}")

    def local_id(self, mxc: Mxc) -> str:
        """Synapse protects by id alone: asked for remote media it would protect local media of the same id."""
        if mxc.origin != self.user_id.partition(":")[2]:
            raise UnknownMediaError(NOT_LOCAL.format(media=mxc))
        return mxc.media_id

    @contextmanager
    def download(self, mxc: Mxc, *, limit: int = MOST_DOWNLOAD) -> Iterator[Download]:
        row = media.read([mxc]).get(mxc)
        if row is None:  # else Synapse would go and fetch harmful media from its server again
            raise not_here(mxc)
        path = f"/_matrix/client/v1/media/download/{part(mxc.origin)}/{part(mxc.media_id)}"
        request = self.client.build_request(
            "GET", self.url + path, params=BYPASS, headers={"Accept-Encoding": "identity"}
        )
        response = self.send(request)
        try:
            if response.status_code != httpx.codes.OK:
                raise download_problem(response, row)
            yield to_download(response, row, limit=limit)
        finally:
            response.close()

    # --- HTTP -----------------------------------------------------------------------------

    def ask(self, method: str, path: str, *, timeout: httpx.Timeout | None = None) -> dict[str, Any]:
        """The answer's JSON object. Asked again, with growing pauses, where that changes nothing: after a
        question, and while Synapse has not begun.
        """
        harmless = UnavailableError if method == "GET" else NotBegunError
        for turn in range(TRIES - 1):
            try:
                return self.ask_once(method, path, timeout=timeout)
            except harmless as error:
                if isinstance(error, SlowError) or error.after > LONGEST_PAUSE:
                    raise
                backoff = FIRST_PAUSE * 2**turn * random.uniform(0.5, 1)  # noqa: S311 - a jitter
                self.pause(max(backoff, error.after))
        return self.ask_once(method, path, timeout=timeout)

    def ask_once(self, method: str, path: str, *, timeout: httpx.Timeout | None) -> dict[str, Any]:
        # Synapse wants a JSON object with a POST, if an empty one.
        content = b"{}" if method == "POST" else None
        request = self.client.build_request(method, self.url + path, content=content)
        if timeout is not None:
            request.extensions["timeout"] = timeout.as_dict()
        response = self.send(request)
        try:
            told = read_json(response)
        finally:
            response.close()
        if response.status_code != httpx.codes.OK:
            raise problem(response, told)
        if told is None:
            raise SetupError(no_synapse(self.url))
        return told

    def send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self.client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise unreachable(self.url, error) from error
        except httpx.TransportError as error:
            raise broken(error) from error


def part(text: str) -> str:
    """One segment of a path. Ids come from strangers; these two would lead somewhere else."""
    if text in {"", ".", ".."} or "\ufffd" in text:
        raise HomeserverError(NAMELESS.format(text=shown(text)))
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def trusted() -> ssl.SSLContext:
    """Who may vouch for a homeserver: the system's authorities (SSL_CERT_FILE), and those that come with us."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def names(told: dict[str, Any]) -> Iterator[Mxc]:
    """The media of a room; what makes no sense is left out: people write what they like in their messages."""
    for uris in (told.get("local"), told.get("remote")):
        for uri in uris if isinstance(uris, list) else []:
            try:
                yield Mxc.of_row(str(uri))
            except MxcError:
                continue
