"""Looking at the homeserver: what differs from the ledger now is recorded.

An old look must never overrule a newer fact, so a media item's version is noted before it is
read, and the gate drops the entry if the ledger has heard of the media since.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import batched
from typing import Any

from django.db.models import QuerySet

from quarantine import ledger
from quarantine.entries import Entry, clean_mxc
from quarantine.homeserver import media
from quarantine.homeserver.media import Media
from quarantine.ledger import Appended, Cursor
from quarantine.models import Cause, Change, Ledger, MediaItem, Source, State
from quarantine.mxc import Mxc

SYSTEM = "system"  # Synapse's actor when a hash matches
BATCH = 500
SNAPSHOT = ("media_type", "media_length", "upload_name", "uploader", "sha256", "cut")


@dataclass(frozen=True, slots=True)
class FeedRow:
    """The row of the feed that made us look."""

    generation: int
    feed_id: int
    quarantined: bool


def record(
    keys: Collection[Mxc],
    *,
    cursor: Cursor | None = None,
    settle: Callable[[], None] | None = None,
    rows: Mapping[Mxc, FeedRow] | None = None,
) -> Appended:
    """Read these media and append what differs from the ledger, as found by a look."""
    entries = compare(keys, settle=settle, rows=rows)
    if not entries and cursor is None:
        return Appended(head=ledger.current().head)
    return ledger.append(entries, cursor=cursor)


def compare(
    keys: Collection[Mxc],
    *,
    settle: Callable[[], None] | None = None,
    rows: Mapping[Mxc, FeedRow] | None = None,
    source: Source = Source.AUDIT,
) -> list[Entry]:
    """What the homeserver says of these media now, where the ledger says otherwise; in the order of their names.

    `settle` runs after the look: it should follow the feed to its end, so that what the feed
    tells is recorded as the feed's. `rows` are feed rows that say the same, if so.
    """
    held = {key: clean_mxc(key) for key in keys if askable(key)}
    versions = ledger.versions(held.values())
    found = media.read(held)
    items = ledger.fetch_items(held.values())
    differing = [key for key in sorted(held) if differs(items.get(held[key]), found.get(key))]
    if settle is not None and differing:
        settle()
    gone = last_changes([items[held[key]] for key in differing if key not in found])
    return [
        told_by(
            (rows or {}).get(key),
            to_entry(key, found.get(key), gone.get(held[key]), expected=versions[held[key]], source=source),
        )
        for key in differing
    ]


def review(*, generation: int) -> None:
    """After the homeserver was restored: compare everything the ledger holds as quarantined, then call it done.

    Safe to repeat: a crash half-way leaves it due, and so does another restoration meanwhile.
    """
    below: int | None = None
    while batch := list(quarantined_below(below)[:BATCH]):
        record([item.mxc for item in batch if not item.cut])
        below = batch[-1].stream_id
    Ledger.objects.filter(feed_generation=generation).update(review_due=False)


def quarantined_below(position: int | None) -> QuerySet[MediaItem]:
    items = MediaItem.objects.filter(state=State.QUARANTINED).order_by("-stream_id")
    return items if position is None else items.filter(stream_id__lt=position)


def askable(key: Mxc) -> bool:
    """Whether a row of that name can be asked for: one that wasn't UTF-8 has lost its name on the way."""
    return "\ufffd" not in key.origin + key.media_id


def differs(item: MediaItem | None, found: Media | None) -> bool:
    held = item is not None and item.state == State.QUARANTINED
    return held != (found is not None and found.quarantined_by is not None)


def to_entry(
    mxc: Mxc, found: Media | None, last: Change | None, *, expected: int, source: Source = Source.AUDIT
) -> Entry:
    """What the look says: quarantined, released, or no longer there."""
    if found is None:
        gone = {name: getattr(last, name) for name in SNAPSHOT} if last else {}
        return Entry(**gone, mxc=mxc, quarantined=False, deleted=True, source=source, expected=expected)
    actor = found.quarantined_by or ""
    return Entry(
        **facts(found),
        mxc=mxc,
        quarantined=found.quarantined_by is not None,
        source=source,
        cause=Cause.HASH if actor == SYSTEM else Cause.UNKNOWN,
        changed_by=actor,
        quarantined_by=actor,
        not_before=uploaded_at(found) if found.quarantined_by is not None else None,
        expected=expected,
    )


def told_by(row: FeedRow | None, entry: Entry) -> Entry:
    """The entry as the feed's, where a row of the feed says the same."""
    if row is None or entry.deleted or row.quarantined != entry.quarantined:
        return entry
    return replace(entry, source=Source.FEED, feed_generation=row.generation, feed_id=row.feed_id)


def facts(found: Media | None) -> dict[str, Any]:
    """The snapshot fields of an Entry, as the homeserver has them."""
    if found is None:
        return {}
    return {
        "media_type": found.media_type or "",
        "media_length": found.media_length,
        "upload_name": found.upload_name or "",
        "uploader": found.uploader or "",
        "sha256": found.sha256,
    }


def held_as_quarantined(keys: Iterable[Mxc]) -> set[Mxc]:
    """Which of these media, by the homeserver's names, the ledger holds as quarantined."""
    named = {clean_mxc(key): key for key in keys}
    items = ledger.fetch_items(named)
    return {named[ours] for ours, item in items.items() if item.state == State.QUARANTINED}


def last_changes(items: list[MediaItem]) -> dict[Mxc, Change]:
    positions = [item.stream_id for item in items]
    return {
        change.mxc: change for some in batched(positions, BATCH) for change in Change.objects.filter(stream_id__in=some)
    }


def uploaded_at(found: Media) -> datetime | None:
    """When it was uploaded, or cached here; None where the homeserver's number is no time."""
    try:
        return datetime.fromtimestamp((found.created_ts or 0) / 1000, UTC) if found.created_ts else None
    except (ValueError, OverflowError, OSError):
        return None
