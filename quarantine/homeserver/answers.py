"""What Synapse answers, read: its JSON, its files, and the sentence behind each refusal."""

import json
from collections.abc import Iterator
from ssl import SSLCertVerificationError, SSLEOFError, SSLError
from typing import Any

import httpx

from quarantine.homeserver.gateway import (
    Download,
    HomeserverError,
    SetupError,
    TooLargeError,
    TroubleError,
    UnavailableError,
    UnknownMediaError,
)
from quarantine.homeserver.media import Media
from quarantine.homeserver.sentences import (
    BAD_CERTIFICATE,
    BUSY,
    CUT_OFF,
    LARGER,
    NO_INFO,
    NO_SYNAPSE,
    NO_TLS,
    NOT_HERE,
    REFUSALS,
    REFUSED,
    SLOW,
    TROUBLE,
    UNREACHABLE,
    WRITERS,
)
from quarantine.mxc import Mxc, shown

MOST_BYTES = 16_000_000  # of an answer: the media of a large room are many names
CHUNK = 65_536
LONGEST_WAIT = 3600.0  # seconds: a longer Retry-After is nonsense
NOT_BEGUN = {429, 503}  # said by Synapse or its proxy before anything was begun
IN_DOUBT = {502, 504}  # said by a proxy that lost Synapse, perhaps half-way


class NotBegunError(UnavailableError):
    """Synapse has surely not begun with the call, which may be repeated."""


class SlowError(UnavailableError):
    """It took too long; asking again would take as long again."""


def read_json(response: httpx.Response) -> dict[str, Any] | None:
    """The answer, if it is a JSON object of a sane size."""
    body = bytearray()
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                return None
        told = json.loads(body)
    except httpx.TransportError as error:
        raise broken(error) from error
    except (httpx.DecodingError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def number(told: dict[str, Any], name: str) -> int:
    found = told.get(name)
    return found if isinstance(found, int) else 0


def problem(response: httpx.Response, told: dict[str, Any] | None) -> HomeserverError:
    """The error behind an answer that is not 200."""
    status, code = response.status_code, str((told or {}).get("errcode", ""))
    said = shown(str((told or {}).get("error", ""))) if told else f"status {status}"
    if status in REFUSALS:
        return SetupError(REFUSALS[status])
    if status in NOT_BEGUN | IN_DOUBT:
        kind = NotBegunError if status in NOT_BEGUN else UnavailableError
        return kind(BUSY.format(status=status), after=wait_asked_for(response, told))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return TroubleError(f"{TROUBLE.format(said=said)} {WRITERS}")
    if told is None or code == "M_UNRECOGNIZED":
        return SetupError(no_synapse(str(response.request.url.copy_with(path="/", query=None)).rstrip("/")))
    refusal = UnknownMediaError if status == httpx.codes.NOT_FOUND else HomeserverError
    return refusal(REFUSED.format(said=said))


def download_problem(response: httpx.Response, row: Media) -> HomeserverError:
    """The error behind a download that is not 200.

    Where Synapse has the row and has lost the file it goes and asks the other server: 502 when that
    fails, 403 when it may not. 504: the upload was only announced. A proxy's 502 is no JSON.
    """
    told = read_json(response)
    status, code = response.status_code, str((told or {}).get("errcode", ""))
    if status == httpx.codes.BAD_REQUEST and "server admin" in str((told or {}).get("error", "")):
        return SetupError(REFUSALS[403])
    elsewhere = not row.local and status in {httpx.codes.FORBIDDEN, httpx.codes.BAD_GATEWAY} and code
    if elsewhere or code in {"M_NOT_FOUND", "M_NOT_YET_UPLOADED"}:
        return not_here(row.mxc)
    return problem(response, told)


def not_here(mxc: Mxc) -> UnknownMediaError:
    return UnknownMediaError(NOT_HERE.format(media=mxc))


def no_synapse(url: str) -> str:
    return NO_SYNAPSE.format(url=url)


def unreachable(url: str, error: Exception) -> HomeserverError:
    """The sentence behind a connection that could not be made."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SSLCertVerificationError):
            return SetupError(BAD_CERTIFICATE.format(url=url, reason=cause.verify_message))
        if isinstance(cause, SSLError) and not isinstance(cause, SSLEOFError):
            return SetupError(NO_TLS.format(url=url, reason=cause.reason))
        cause = cause.__cause__ or cause.__context__
    return NotBegunError(UNREACHABLE.format(url=url))


def broken(error: httpx.TransportError | httpx.DecodingError) -> UnavailableError:
    if isinstance(error, httpx.TimeoutException):
        return SlowError(SLOW)
    return UnavailableError(CUT_OFF)


def wait_asked_for(response: httpx.Response, told: dict[str, Any] | None) -> float:
    """Seconds, as the header or Synapse's older field says; bounded, 0 where neither makes sense."""
    after = response.headers.get("Retry-After", "")
    ms = (told or {}).get("retry_after_ms")
    if after.isdecimal():
        return min(LONGEST_WAIT, float(after[:9]))
    return max(0.0, min(LONGEST_WAIT * 1000, ms) / 1000) if isinstance(ms, (int, float)) else 0.0


def to_media(mxc: Mxc, told: dict[str, Any]) -> Media:
    """Synapse on SQLite answers 1 for true."""
    info = told.get("media_info")
    if not isinstance(info, dict):
        raise SetupError(NO_INFO)
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


def to_download(response: httpx.Response, row: Media, *, limit: int) -> Download:
    length = response.headers.get("Content-Length", "")
    known = length.isdecimal() and "Content-Encoding" not in response.headers  # else it is of the packed file
    if known and int(length[:19]) > limit:
        raise too_large(limit)
    return Download(
        content_type=response.headers.get("Content-Type", ""),
        length=int(length) if known else None,
        upload_name=row.upload_name or "",
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
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise broken(error) from error


def too_large(limit: int) -> TooLargeError:
    return TooLargeError(LARGER.format(limit=f"{limit:,}"))
