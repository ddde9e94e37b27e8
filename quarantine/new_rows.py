"""Rows on their way into the ledger's tables: what a model would hold, without what a model costs.

To make an instance of a model takes several times as long as to write it, and the gate makes two for each change
while everybody else waits for its lock. Names and order are the models' own (a test compares them).
"""

from dataclasses import dataclass, fields
from datetime import datetime

from quarantine.models import State
from quarantine.mxc import Mxc


@dataclass(slots=True, kw_only=True)
class NewChange:
    """A Change."""

    stream_id: int
    origin: str
    media_id: str
    local: bool
    quarantined: bool
    deleted: bool
    seen_at: datetime
    not_before: datetime | None
    changed_by: str
    source: str
    cause: str
    action_id: int | None
    feed_generation: int | None
    feed_id: int | None
    media_type: str
    media_class: str
    media_length: int | None
    upload_name: str
    uploader: str
    sha256: str | None
    cut: bool
    salts: bytes | None = None
    digest: bytes | None = None
    chain: bytes | None = None

    @property
    def mxc(self) -> Mxc:
        return Mxc(self.origin, self.media_id)


@dataclass(slots=True, kw_only=True)
class NewItem:
    """A MediaItem of which the ledger has not heard before."""

    origin: str
    media_id: str
    local: bool
    state: str = State.RELEASED
    stream_id: int = 0
    version: int = 0
    sha256: str | None = None
    uploader: str = ""
    cut: bool = False


CHANGE_FIELDS = tuple(field.name for field in fields(NewChange))
ITEM_FIELDS = tuple(field.name for field in fields(NewItem))
