"""What somebody wants the ledger to record, made safe to store.

Texts come unbounded from strangers: here they are cut to the ledger's lengths, what no
database stores (NUL, lone surrogates) becomes U+FFFD, and `cut` says that it happened.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime

from quarantine.fields import SHA256
from quarantine.models import FILE_NAME_LENGTH, NAME_LENGTH, Cause, Source, State
from quarantine.mxc import Mxc

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
CLASS_LENGTH = 32
DIGEST_LENGTH = 32  # hex digits: strangers choose ids, and 64 bits are few enough to find two that collide
CUT_ID = re.compile(rf"~[0-9a-f]{{{DIGEST_LENGTH}}}\Z")
BIGGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One observed or intended change of one media item.

    `expected` is the MediaItem's version when the observer looked (0: none yet); if the media
    has moved since, the gate drops the entry. None: a row of the feed, true whatever came before.
    `blanked` is how often personal data had been blanked before its facts were read (`ledger.times_blanked`); if that was
    done again since, the gate refuses. None: its facts were read nowhere.
    `seen_at` is for history of the sample homeserver alone; otherwise the gate's clock decides.
    """

    mxc: Mxc
    quarantined: bool
    source: Source
    deleted: bool = False
    cause: Cause = Cause.UNKNOWN
    changed_by: str = ""
    quarantined_by: str = ""  # what the media row says now, to tell our own actions from others'
    not_before: datetime | None = None
    seen_at: datetime | None = None
    expected: int | None = None
    blanked: int | None = None
    action_id: int | None = None
    feed_generation: int | None = None
    feed_id: int | None = None
    media_type: str = ""
    media_length: int | None = None
    upload_name: str = ""
    uploader: str = ""
    sha256: str | None = None
    cut: bool = False
    id_cut: bool = False  # the ledger's name of the media is not the homeserver's

    @property
    def state(self) -> State:
        if self.deleted:
            return State.DELETED
        return State.QUARANTINED if self.quarantined else State.RELEASED

    @property
    def media_class(self) -> str:
        """The kind of file: "image" of "image/png"."""
        return self.media_type.partition("/")[0].strip().lower()[:CLASS_LENGTH]


def clean(entry: Entry) -> Entry:
    """The entry with every text storable and of bounded length; `cut` if one had to change."""
    if is_clean(entry):
        return entry
    safe = replace(
        entry,
        mxc=clean_mxc(entry.mxc),
        changed_by=clean_text(entry.changed_by, NAME_LENGTH),
        quarantined_by=clean_text(entry.quarantined_by, NAME_LENGTH),
        media_type=clean_text(entry.media_type, NAME_LENGTH),
        upload_name=clean_text(entry.upload_name, FILE_NAME_LENGTH),
        uploader=clean_text(entry.uploader, NAME_LENGTH),
        sha256=entry.sha256 if entry.sha256 and SHA256.fullmatch(entry.sha256) else None,
        media_length=entry.media_length if 0 <= (entry.media_length or 0) <= BIGGEST else None,
    )
    return safe if safe == entry else replace(safe, cut=True, id_cut=safe.mxc != entry.mxc)


def is_clean(entry: Entry) -> bool:
    """Whether it is plain ASCII within all bounds, as nearly all are: that is told for a fifth of what cleaning takes."""
    names = (*entry.mxc, entry.changed_by, entry.quarantined_by, entry.media_type, entry.uploader)
    return (
        max(map(len, names)) <= NAME_LENGTH
        and len(entry.upload_name) <= FILE_NAME_LENGTH
        and is_plain("".join((*names, entry.upload_name)))
        and "~" not in entry.mxc.origin
        and "~" not in entry.mxc.media_id
        and (entry.sha256 is None or SHA256.fullmatch(entry.sha256) is not None)
        and (entry.media_length is None or 0 <= entry.media_length <= BIGGEST)
    )


def is_plain(text: str) -> bool:
    return text.isascii() and "\x00" not in text


def clean_mxc(mxc: Mxc) -> Mxc:
    """The name the ledger gives to media of this name; nearly always the same."""
    return Mxc(clean_id(mxc.origin), clean_id(mxc.media_id))


def clean_text(text: str, length: int) -> str:
    return UNSTORABLE.sub("\ufffd", text)[:length]


def clean_id(text: str) -> str:
    """Like `clean_text`, but two different ids stay different: a changed one ends in a digest of the original.

    So does one that looks changed already, or a server could name one media item so that it hides
    behind another. What comes out must therefore not be put in again.
    """
    if len(text) <= NAME_LENGTH and is_plain(text) and "~" not in text:
        return text
    short = clean_text(text, NAME_LENGTH)
    if short == text and not CUT_ID.search(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_LENGTH]
    return f"{short[: NAME_LENGTH - DIGEST_LENGTH - 1]}~{digest}"
