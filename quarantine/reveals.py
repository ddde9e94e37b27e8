"""Looking at a file: only on purpose, only by those who may, and never without a record of it.

What its uploader called the type is not believed: the first bytes say what it is, and only pictures and
films that browsers draw without running anything are handed on. Never SVG, HTML or anything else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import NotAllowedError, require
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import Download
from quarantine.models import NAME_LENGTH, Access, Capability, Reveal, Staff
from quarantine.mxc import Mxc

LARGEST = 50_000_000  # bytes
ENOUGH = 16  # first bytes that tell what it is
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"\x1a\x45\xdf\xa3": "video/webm",
}
# The major brand of an ISO file (ISO/IEC 14496-12, 4.3). Not HEIC, which browsers don't draw; no sound by itself.
BRANDS = dict.fromkeys((b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1"), "video/mp4")
BRANDS |= dict.fromkeys((b"M4V ", b"dash", b"3gp4", b"3gp5", b"3gp6", b"qt  "), "video/mp4")
BRANDS |= dict.fromkeys((b"avif", b"avis"), "image/avif")


class NotShowableError(Exception):
    """The file is none of the kinds that are shown."""


def may_reveal(staff: Staff) -> bool:
    """Whether files are shown at all, here and to this person."""
    watch_only = settings.HOMESERVER_ATTACHED and not settings.HOMESERVER_URL
    return bool(settings.MEDIA_PREVIEWS) and not watch_only and staff.previews and staff.may(Capability.PREVIEW)


@contextmanager
def reveal(mxc: Mxc, *, staff: Staff) -> Iterator[Download]:
    """The file while the block lasts, of a type that can be believed. That it was sent is recorded beforehand.

    Raises NotAllowedError, NotShowableError, or HomeserverError where it can't be had: then nothing was
    sent and nothing is recorded. Remote media that is not cached is never fetched anew.
    """
    require(staff, Capability.PREVIEW)
    if not may_reveal(staff):
        msg = "Previews are turned off."
        raise NotAllowedError(msg)
    with gateway().download(mxc, limit=LARGEST) as file:
        beginning = b""
        while len(beginning) < ENOUGH and (chunk := next(file.chunks, b"")):
            beginning += chunk
        kind = sniffed(beginning)
        if kind is None:
            msg = gettext("This is no picture or film that can be shown safely.")
            raise NotShowableError(msg)
        with transaction.atomic():
            Reveal.objects.create(staff=staff, **names(mxc), revealed_at=timezone.now())
            record(Access.REVEAL, by=staff, target=mxc)
        yield replace(file, content_type=kind, chunks=chain([beginning], file.chunks))


def reveals(mxc: Mxc, *, most: int) -> list[Reveal]:
    """Who looked at it, newest first."""
    return list(Reveal.objects.filter(**names(mxc)).select_related("staff").order_by("-pk")[:most])


def names(mxc: Mxc) -> dict[str, str]:
    """As long as the ledger keeps them."""
    return {"origin": mxc.origin[:NAME_LENGTH], "media_id": mxc.media_id[:NAME_LENGTH]}


def sniffed(beginning: bytes) -> str | None:
    """The type of a picture or film, from its first bytes; None for everything else."""
    if beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP":
        return "image/webp"
    if beginning[4:8] == b"ftyp":
        return BRANDS.get(beginning[8:12])
    return next((kind for start, kind in BEGINNINGS.items() if beginning.startswith(start)), None)
