"""The sample homeserver: Synapse's media and quarantine semantics on tables of our own, for trying things out.

The same tests run against this and against real Synapse (tests/synapse/test_contract.py).
"""

import hashlib
import secrets
import string
import struct
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from django.conf import settings
from django.db import transaction

from quarantine.homeserver import media
from quarantine.homeserver.feed import FIRST, STREAM
from quarantine.homeserver.gateway import MOST_DOWNLOAD, Download, HomeserverError, TooLargeError, UnknownMediaError
from quarantine.homeserver.media import Media
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS, HomeserverReadOnlyError
from quarantine.mxc import Mxc, Named

INSTANCE = "master"
SYSTEM = "system"  # who quarantines an upload whose hash is quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What somebody uploads; the sample homeserver keeps its facts, not its bytes."""

    sha256: str | None  # None: as before Synapse 1.128
    media_type: str = "image/png"
    media_length: int = 0  # bytes
    upload_name: str | None = None


@dataclass(frozen=True)
class SampleHomeserver:
    """A Homeserver (gateway.py), and what its users and its owner do there besides.

    `rooms` says what was posted where: unlike Synapse, the sample homeserver keeps no messages.
    Each call is one transaction, so media and feed never disagree. Refuses when attached.
    """

    user_id: str
    rooms: Mapping[str, Collection[Mxc]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if settings.HOMESERVER_ATTACHED:
            msg = "A homeserver is attached; the sample homeserver is not in use."
            raise HomeserverReadOnlyError(msg)

    # --- What staff do --------------------------------------------------------------------

    def media(self, mxc: Mxc) -> Media | None:
        return media.read([mxc]).get(mxc)

    def quarantine(self, mxc: Mxc) -> None:
        self._set_quarantined([mxc], by=self.user_id)

    def release(self, mxc: Mxc) -> None:
        self._set_quarantined([mxc], by=None)

    def quarantine_user(self, user_id: str) -> int:
        with transaction.atomic(using=ALIAS):
            ids = LocalMedia.objects.filter(user_id=user_id, quarantined_by=None).values_list("media_id", flat=True)
            return self._set_quarantined([Mxc(settings.HOMESERVER_NAME, media_id) for media_id in ids], by=self.user_id)

    def quarantine_room(self, room_id: str) -> int:
        return self._set_quarantined(self.rooms.get(room_id, ()), by=self.user_id)

    def room_media(self, room_id: str) -> list[Mxc]:
        return list(self.rooms.get(room_id, ()))

    @contextmanager
    def download(self, mxc: Mxc, *, limit: int = MOST_DOWNLOAD) -> Iterator[Download]:
        """Something made up: the sample homeserver keeps no bytes. A picture for an image, else a text."""
        row = self.media(mxc)
        if row is None:
            msg = f"The file of {mxc} is not on this server."
            raise UnknownMediaError(msg)
        image = (row.media_type or "").startswith("image/")
        content = picture(str(mxc)) if image else f"{mxc}\n".encode("utf-8", "surrogatepass")
        if len(content) > limit:
            msg = f"The file is larger than {limit:,} bytes."
            raise TooLargeError(msg)
        yield Download(
            content_type="image/png" if image else "text/plain",
            length=len(content),
            upload_name=row.upload_name or "",
            chunks=iter([content]),
        )

    def protect(self, mxc: Mxc) -> None:
        self._set_protected(mxc, protected=True)

    def unprotect(self, mxc: Mxc) -> None:
        self._set_protected(mxc, protected=False)

    # --- What users and the owner do ------------------------------------------------------

    def upload(self, file: File, *, uploader: str, media_id: str | None = None, created_ts: int | None = None) -> Mxc:
        """Add local media. If its hash is quarantined it is too, at once and without a row in the feed (#19672)."""
        with transaction.atomic(using=ALIAS):
            known = file.sha256 is not None and any(found.quarantined_by for found in media.with_hashes([file.sha256]))
            row = LocalMedia.objects.create(
                media_id=media_id or new_id(),
                **facts(file, created_ts),
                user_id=uploader,
                quarantined_by=SYSTEM if known else None,
            )
        return Mxc(settings.HOMESERVER_NAME, row.media_id)

    def cache_remote(self, file: File, *, mxc: Mxc, created_ts: int | None = None) -> None:
        """Fetch media of another server. Never quarantined by this, whatever its hash."""
        row = RemoteMedia(media_origin=mxc.origin, media_id=mxc.media_id, **facts(file, created_ts))
        row.filesystem_id = new_id()
        row.last_access_ts = row.created_ts
        row.save(force_insert=True)

    def delete(self, mxc: Mxc) -> None:
        """Delete local media, without a word in the feed. Raises HomeserverError for remote media, like Synapse."""
        if mxc.origin != settings.HOMESERVER_NAME:
            msg = "Can only delete local media"
            raise HomeserverError(msg)
        if not LocalMedia.objects.filter(media_id=mxc.media_id).delete()[0]:
            msg = f"Unknown media: {mxc}"
            raise UnknownMediaError(msg)

    def purge_remote_cache(self, *, before_ts: int) -> int:
        """Forget remote media last used before that time (ms, exclusive) unless quarantined; how many."""
        old = RemoteMedia.objects.filter(last_access_ts__lt=before_ts, quarantined_by=None)
        return old.delete()[0]

    # --- How it works ---------------------------------------------------------------------

    def _set_protected(self, mxc: Mxc, *, protected: bool) -> None:
        ours = LocalMedia.objects.filter(media_id=mxc.media_id)
        if mxc.origin != settings.HOMESERVER_NAME or not ours.update(safe_from_quarantine=protected):
            msg = f"Unknown media: {mxc}"
            raise UnknownMediaError(msg)

    def _set_quarantined(self, asked: Iterable[Mxc], *, by: str | None) -> int:
        """Quarantine (or, `by` nobody, release) these and every copy; a row in the feed for each, local ones first."""
        with transaction.atomic(using=ALIAS):
            rows = [row for row in media.read(asked).values() if concerns(row, by)]
            hashes = list(dict.fromkeys(row.sha256 for row in rows if row.sha256))
            copies = [row for row in media.with_hashes(hashes) if concerns(row, by)]
            met = sorted([row for row in rows if not row.sha256] + copies, key=lambda row: not row.local)
            for some in batched(met, media.KEYS_PER_STATEMENT):
                self._mark(some, by=by)
            self._append(met, quarantined=by is not None)
        return len(met)

    def _mark(self, some: Collection[Media], *, by: str | None) -> None:
        local = [row.mxc.media_id for row in some if row.local]
        remote = [row.mxc for row in some if not row.local]
        LocalMedia.objects.filter(media_id__in=local).update(quarantined_by=by)
        if remote:
            RemoteMedia.objects.filter(Named(remote, origin="media_origin")).update(quarantined_by=by)

    def _append(self, met: list[Media], *, quarantined: bool) -> None:
        """Take the next ids, in this order. The transaction began IMMEDIATE: nobody else takes them."""
        if not met:
            return
        newest = FeedChange.objects.order_by("-stream_id").values_list("stream_id", flat=True).first()
        rows = [
            FeedChange(
                stream_id=stream_id,
                instance_name=INSTANCE,
                origin=None if row.local else row.mxc.origin,
                media_id=row.mxc.media_id,
                quarantined=quarantined,
            )
            for stream_id, row in enumerate(met, FIRST if newest is None else newest + 1)
        ]
        FeedChange.objects.bulk_create(rows)
        position = {"stream_id": rows[-1].stream_id}
        StreamPosition.objects.update_or_create(stream_name=STREAM, instance_name=INSTANCE, defaults=position)


def concerns(row: Media, by: str | None) -> bool:
    """Protection keeps media from being quarantined, not from being released."""
    return by is None or not row.protected


def facts(file: File, created_ts: int | None) -> dict[str, Any]:
    """The columns that local and remote media share."""
    return {
        "media_type": file.media_type,
        "media_length": file.media_length,
        "upload_name": file.upload_name,
        "sha256": file.sha256,
        "created_ts": int(time.time() * 1000) if created_ts is None else created_ts,
        "authenticated": True,
    }


def picture(seed: str) -> bytes:
    """A PNG of sixty-four coloured squares, always the same for the same seed."""
    colours = hashlib.shake_128(seed.encode("utf-8", "surrogatepass")).digest(3 * 64)
    squares = [[colours[3 * (8 * y + x) : 3 * (8 * y + x) + 3] * 16 for x in range(8)] for y in range(8)]
    lines = b"".join((b"\0" + b"".join(row)) * 16 for row in squares)
    header = struct.pack(">IIBBBBB", 128, 128, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def new_id() -> str:
    return "".join(secrets.choice(string.ascii_letters) for _ in range(24))
