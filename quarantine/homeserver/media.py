"""Reading media rows: what the homeserver says of them now. Bounded statements, by key or by hash."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from quarantine.homeserver.models import LocalMedia, RemoteMedia
from quarantine.homeserver.router import ALIAS
from quarantine.mxc import Mxc, Named

KEYS_PER_STATEMENT = 500
HASHES_PER_STATEMENT = 500


class HomeserverAwayError(Exception):
    """The homeserver's database can't be read, or didn't answer in time. Nothing is lost; try again."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn what a database raises that can't be read into HomeserverAwayError, and drop the connection.

    Unreachable, slow, a grant missing, a table not there during an upgrade, not a database at all:
    it is not ours, and may be mended while we wait.
    """
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        connections[ALIAS].close()
        raise HomeserverAwayError(str(error).strip().partition("\n")[0]) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One media row, as Synapse has it; texts are as strangers sent them, of any length."""

    mxc: Mxc
    local: bool
    quarantined_by: str | None  # None: not quarantined
    media_type: str | None
    media_length: int | None  # bytes
    upload_name: str | None
    uploader: str | None  # None for remote media
    sha256: str | None
    created_ts: int | None  # ms since the epoch
    last_access_ts: int | None
    protected: bool


LOCAL_COLUMNS = (
    "media_id", "media_type", "media_length", "created_ts", "upload_name", "user_id",
    "quarantined_by", "last_access_ts", "safe_from_quarantine", "sha256",
)  # fmt: skip
REMOTE_COLUMNS = (
    "media_origin", "media_id", "media_type", "media_length", "created_ts", "upload_name",
    "quarantined_by", "last_access_ts", "sha256",
)  # fmt: skip


def read(keys: Iterable[Mxc]) -> dict[Mxc, Media]:
    """The rows of these media; what isn't there isn't in the answer."""
    local, remote = by_table(keys)
    with reading():
        found = [
            *(media for some in batched(local, KEYS_PER_STATEMENT) for media in _local(Named(some, origin=None))),
            *(
                media
                for some in batched(remote, KEYS_PER_STATEMENT)
                for media in _remote(Named(some, origin="media_origin"))
            ),
        ]
    return {media.mxc: media for media in found}


def quarantined_of(keys: Iterable[Mxc]) -> set[Mxc]:
    """Which of these media are quarantined; no more is read of them."""
    local, remote = by_table(keys)
    with reading():
        ours = [
            Mxc(settings.HOMESERVER_NAME, media_id)
            for some in batched(local, KEYS_PER_STATEMENT)
            for media_id in LocalMedia.objects.quarantined()
            .filter(Named(some, origin=None))
            .values_list("media_id", flat=True)
        ]
        theirs = [
            Mxc(*names)
            for some in batched(remote, KEYS_PER_STATEMENT)
            for names in RemoteMedia.objects.quarantined()
            .filter(Named(some, origin="media_origin"))
            .values_list("media_origin", "media_id")
        ]
    return {*ours, *theirs}


def by_table(keys: Iterable[Mxc]) -> tuple[list[Mxc], list[Mxc]]:
    """Local media, and what is cached of other servers."""
    keys = list(keys)
    local = [key for key in keys if key.origin == settings.HOMESERVER_NAME]
    return local, [key for key in keys if key.origin != settings.HOMESERVER_NAME]


def with_hashes(hashes: Sequence[str], *, limit: int | None = None) -> list[Media]:
    """Every local and remote row with one of these sha256 (64 lower-case hex); both tables index it.

    `limit`: at most so many of each table, for each 500 hashes.
    """
    with reading():
        return [
            media
            for some in batched(hashes, HASHES_PER_STATEMENT)
            for media in (*_local(limit=limit, sha256__in=some), *_remote(limit=limit, sha256__in=some))
        ]


def copies(sha256: str, *, limit: int) -> list[Media]:
    """Rows with this hash, local ones first; a popular sticker has more copies than anyone wants to see."""
    with reading():
        local = _local(limit=limit, sha256=sha256)
        return [*local, *_remote(limit=limit - len(local), sha256=sha256)]


def uploaded_by(user_id: str, *, quarantined: bool | None, limit: int) -> list[Media]:
    """What a local user uploaded, oldest first; only what is quarantined, or is not, unless None."""
    with reading():
        return _local(limit=limit, order=("user_id", "created_ts"), user_id=user_id, **being(quarantined))


def of_origin(origin: str, *, quarantined: bool | None, limit: int) -> list[Media]:
    """What is cached here of another server's media, by id; only what is quarantined, or is not, unless None."""
    with reading():
        return _remote(limit=limit, order=("media_origin", "media_id"), media_origin=origin, **being(quarantined))


def being(quarantined: bool | None) -> dict[str, bool]:
    return {} if quarantined is None else {"quarantined_by__isnull": not quarantined}


def _local(*conditions: Named, limit: int | None = None, order: Sequence[str] = (), **lookup: object) -> list[Media]:
    rows = LocalMedia.objects.filter(*conditions, **lookup).order_by(*order).values_list(*LOCAL_COLUMNS)[:limit]
    return [
        Media(
            mxc=Mxc(settings.HOMESERVER_NAME, media_id),
            local=True,
            quarantined_by=quarantined_by,
            media_type=media_type,
            media_length=media_length,
            upload_name=upload_name,
            uploader=user_id,
            sha256=sha256,
            created_ts=created_ts,
            last_access_ts=last_access_ts,
            protected=protected,
        )
        for (
            media_id, media_type, media_length, created_ts, upload_name, user_id, quarantined_by, last_access_ts,
            protected, sha256,
        ) in rows
    ]  # fmt: skip


def _remote(*conditions: Named, limit: int | None = None, order: Sequence[str] = (), **lookup: object) -> list[Media]:
    rows = RemoteMedia.objects.filter(*conditions, **lookup).order_by(*order).values_list(*REMOTE_COLUMNS)[:limit]
    return [
        Media(
            mxc=Mxc(media_origin, media_id),
            local=False,
            quarantined_by=quarantined_by,
            media_type=media_type,
            media_length=media_length,
            upload_name=upload_name,
            uploader=None,
            sha256=sha256,
            created_ts=created_ts,
            last_access_ts=last_access_ts,
            protected=False,
        )
        for (
            media_origin, media_id, media_type, media_length, created_ts, upload_name, quarantined_by, last_access_ts,
            sha256,
        ) in rows
    ]  # fmt: skip
