"""The gate's seals: contents are digested before the lock, positions and times are chained under it."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

from quarantine.entries import Entry
from quarantine.models import Change, Ledger
from quarantine.new_rows import NewChange
from quarantine.seals import Seal, genesis, micros
from quarantine.seals import link as link_of
from quarantine.seals import seal as seal_of

NAME = Change._meta.db_table
FIELDS = (*Change.PLAIN, *Change.PERSONAL)
OPEN = len(Change.PLAIN)
content_of_change = attrgetter(*FIELDS)
content_of_entry = attrgetter(
    *(f"mxc.{name}" if name in {"origin", "media_id"} else name for name in FIELDS if name != "local")
)

type Content = tuple[Any, ...]


def draft(entries: Iterable[Entry], *, home: str) -> dict[Content, Seal]:
    """Seals of what the gate will nearly always make of these entries, by content."""
    drafts = {}
    for entry in entries:
        origin, media_id, *rest = content_of_entry(entry)
        content = (origin, media_id, origin == home, *rest)
        drafts[content] = seal(content)
    return drafts


def seal(content: Content) -> Seal:
    return seal_of(content[:OPEN], content[OPEN:])


def seal_changes(changes: Iterable[NewChange], drafts: dict[Content, Seal]) -> None:
    """Give each its salts and digest; a draft serves once, and what came out otherwise is digested now."""
    for change in changes:
        content = content_of_change(change)
        sealed = drafts.pop(content, None) or seal(content)
        change.salts, change.digest = sealed.salts, sealed.digest


def chained(changes: Iterable[NewChange], previous: bytes) -> Iterator[NewChange]:
    """Link each to the one before, the first to `previous`: while they are written, so that the database has work meanwhile."""
    for change in changes:
        if change.digest is None:
            seal_changes([change], {})
        change.chain = previous = link(previous, change.stream_id, change.seen_at, change.digest or b"")
        yield change


def last_link(ledger: Ledger) -> bytes:
    """The chain value that the next change is linked to."""
    return bytes(ledger.chain or genesis(NAME))


def link(previous: bytes, position: int, seen_at: Any, digest: bytes) -> bytes:
    return link_of(previous, position, micros(seen_at), digest=digest)
