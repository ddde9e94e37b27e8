"""Synapse over its Admin API.

A token goes into the Authorization header and nowhere else. Redirects are not followed, answers are
bounded, and a call is repeated only where Synapse surely has not begun with it: each quarantine, also
of what is quarantined already, appends rows to its feed.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import quote

import httpx

from quarantine.homeserver import media
from quarantine.homeserver.gateway import (
    Download,
    HomeserverError,
    SetupError,
    TooLargeError,
    UnavailableError,
    UnknownMediaError,
)
from quarantine.homeserver.media import Media
from quarantine.mxc import Mxc, shown

ADMIN = "/_synapse/admin/v1"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
SWEEP_TIMEOUT = httpx.Timeout(120.0, connect=5.0)  # a user with ten thousand files takes its time
MOST_BYTES = 16_000_000  # of an answer: the media of a large room are many names
TRIES = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.3, 10.0  # seconds
BUSY = {429, 502, 503, 504}  # said by Synapse or its proxy before anything was begun
CHUNK = 65_536
REFUSALS = {
    401: "The homeserver doesn't know our access token: it was revoked. Set a new HOMESERVER_TOKEN.",
    403: "Our access token is not of a server admin. Make its user one, or set another HOMESERVER_TOKEN.",
}


class NotBegunError(UnavailableError):
    """Synapse has surely not begun with the call, which may be repeated."""

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after  # seconds to wait at least


class SynapseHomeserver:
    """A Homeserver (gateway.py). May be used by several threads."""

    def __init__(
        self, url: str, token: str, *, pause: Callable[[float], None] = time.sleep, timeout: httpx.Timeout = TIMEOUT
    ) -> None:
        self.url = url.rstrip("/")
        self.pause = pause
        self.client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=timeout, follow_redirects=False, trust_env=False
        )

    def __repr__(self) -> str:
        return f"SynapseHomeserver({self.url})"

    def close(self) -> None:
        self.client.close()

    @cached_property
    def user_id(self) -> str:
        return str(self.ask("GET", "/_matrix/client/v3/account/whoami").get("user_id", ""))

    def media(self, mxc: Mxc) -> Media | None:
        try:
            told = self.ask("GET", f"{ADMIN}/media/{part(mxc.origin)}/{part(mxc.media_id)}")
        except UnknownMediaError:
            return None
        return to_media(mxc, told.get("media_info") or {})

    def quarantine(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/quarantine/{part(mxc.origin)}/{part(mxc.media_id)}")

    def release(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/unquarantine/{part(mxc.origin)}/{part(mxc.media_id)}")

    def quarantine_user(self, user_id: str) -> int:
        told = self.ask("POST", f"{ADMIN}/user/{part(user_id)}/media/quarantine", timeout=SWEEP_TIMEOUT)
        return int(told.get("num_quarantined", 0))

    def quarantine_room(self, room_id: str) -> int:
        told = self.ask("POST", f"{ADMIN}/room/{part(room_id)}/media/quarantine", timeout=SWEEP_TIMEOUT)
        return int(told.get("num_quarantined", 0))

    def room_media(self, room_id: str) -> list[Mxc]:
        told = self.ask("GET", f"{ADMIN}/room/{part(room_id)}/media", timeout=SWEEP_TIMEOUT)
        return [Mxc.of_row(str(uri)) for uri in [*told.get("local", []), *told.get("remote", [])]]

    def protect(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/protect/{part(self.local_id(mxc))}")

    def unprotect(self, mxc: Mxc) -> None:
        self.ask("POST", f"{ADMIN}/media/unprotect/{part(self.local_id(mxc))}")

    def local_id(self, mxc: Mxc) -> str:
        """Synapse protects by id alone: asked for remote media it would protect local media of the same id."""
        if mxc.origin != self.user_id.partition(":")[2]:
            msg = f"Only local media can be protected; {mxc} is of another server."
            raise UnknownMediaError(msg)
        return mxc.media_id

    @contextmanager
    def download(self, mxc: Mxc, *, limit: int) -> Iterator[Download]:
        if mxc not in media.read([mxc]):  # else Synapse would go and fetch harmful media from its server again
            msg = f"{mxc} is not on this server."
            raise UnknownMediaError(msg)
        path = f"/_matrix/client/v1/media/download/{part(mxc.origin)}/{part(mxc.media_id)}"
        request = self.client.build_request("GET", self.url + path, params={"admin_unsafely_bypass_quarantine": "true"})
        response = self.send(request)
        try:
            if response.status_code != httpx.codes.OK:
                raise problem(response, read_json(response))
            yield to_download(response, limit=limit)
        finally:
            response.close()

    # --- HTTP -----------------------------------------------------------------------------

    def ask(self, method: str, path: str, *, timeout: httpx.Timeout | None = None) -> dict[str, Any]:
        """The answer's JSON object; repeated, with growing pauses, only while Synapse has not begun."""
        for number in range(TRIES):
            try:
                return self.ask_once(method, path, timeout=timeout)
            except NotBegunError as error:
                if number == TRIES - 1:
                    raise
                backoff = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number) * random.uniform(0.5, 1.5)  # noqa: S311 - a jitter
                self.pause(max(backoff, error.after))
        raise AssertionError

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
        except httpx.TimeoutException as error:
            msg = "The homeserver took too long to answer."
            raise UnavailableError(msg) from error
        except httpx.TransportError as error:
            msg = "The connection to the homeserver broke."
            raise UnavailableError(msg) from error


def part(text: str) -> str:
    """One segment of a path. Ids come from strangers; these two would lead somewhere else."""
    if text in {"", ".", ".."} or "\ufffd" in text:
        msg = f"{shown(text)} can't be asked for by its name."
        raise HomeserverError(msg)
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def read_json(response: httpx.Response) -> dict[str, Any] | None:
    """The answer, if it is a JSON object of a sane size."""
    body = b""
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return None
    except httpx.TimeoutException as error:
        msg = "The homeserver took too long to answer."
        raise UnavailableError(msg) from error
    except httpx.TransportError as error:
        msg = "The connection to the homeserver broke."
        raise UnavailableError(msg) from error
    except httpx.DecodingError:
        return None
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def problem(response: httpx.Response, told: dict[str, Any] | None) -> HomeserverError:
    """The error behind an answer that is not 200."""
    status, code = response.status_code, str((told or {}).get("errcode", ""))
    said = shown(str((told or {}).get("error", ""))) if told else f"status {status}"
    if status in REFUSALS:
        return SetupError(REFUSALS[status])
    if status in BUSY:
        return NotBegunError(f"The homeserver is busy or starting ({status}).", after=wait_asked_for(response, told))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return UnavailableError(f"The homeserver is in trouble ({said}).")
    if told is None or code == "M_UNRECOGNIZED":
        return SetupError(no_synapse(str(response.request.url.copy_with(path="/", query=None)).rstrip("/")))
    kind = UnknownMediaError if status == httpx.codes.NOT_FOUND else HomeserverError
    return kind(f"The homeserver refused: {said}.")


def no_synapse(url: str) -> str:
    return (
        f"What answers at {url} does not serve Synapse's Admin API. HOMESERVER_URL must lead to Synapse's main process, "
        "or to a worker or proxy that serves /_synapse/admin."
    )


def unreachable(url: str, error: Exception) -> HomeserverError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLCertVerificationError):
            return SetupError(f"The certificate of {url} is not valid ({cause.verify_message}).")
        cause = cause.__cause__ or cause.__context__
    return NotBegunError(f"The homeserver can't be reached at {url}.")


def wait_asked_for(response: httpx.Response, told: dict[str, Any] | None) -> float:
    """Seconds, as the header or Synapse's older field says; bounded, 0 where neither makes sense."""
    after = response.headers.get("Retry-After", "")
    ms = (told or {}).get("retry_after_ms")
    seconds = float(after) if after.isdigit() else ms / 1000 if isinstance(ms, (int, float)) else 0.0
    return max(0.0, min(LONGEST_PAUSE, seconds))


def to_media(mxc: Mxc, info: dict[str, Any]) -> Media:
    """Synapse on SQLite answers 1 for true."""
    return Media(
        mxc=mxc,
        local=info.get("media_origin") is None,
        quarantined_by=info.get("quarantined_by"),
        media_type=info.get("media_type"),
        media_length=info.get("media_length"),
        upload_name=info.get("upload_name"),
        uploader=info.get("user_id"),
        sha256=info.get("sha256"),
        created_ts=info.get("created_ts"),
        last_access_ts=info.get("last_access_ts"),
        protected=bool(info.get("safe_from_quarantine")),
    )


def to_download(response: httpx.Response, *, limit: int) -> Download:
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > limit:
        raise too_large(limit)
    return Download(
        media_type=response.headers.get("Content-Type", ""),
        length=int(length) if length.isdigit() else None,
        chunks=bounded(response, limit=limit),
    )


def bounded(response: httpx.Response, *, limit: int) -> Iterator[bytes]:
    sent = 0
    try:
        for chunk in response.iter_bytes(CHUNK):
            sent += len(chunk)
            if sent > limit:
                raise too_large(limit)
            yield chunk
    except httpx.TransportError as error:
        msg = "The connection to the homeserver broke."
        raise UnavailableError(msg) from error


def too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The file is larger than {limit:,} bytes.")
