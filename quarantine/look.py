"""Looking at the homeserver: what differs from the ledger now is recorded.

An old look must never overrule a newer fact, so what the ledger holds of a media item is noted
before it is read there, and the gate drops the entry if the ledger has heard of the media since.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import batched
from typing import Any

from quarantine import ledger
from quarantine.entries import Entry, clean_mxc
from quarantine.homeserver import media
from quarantine.homeserver.media import Media
from quarantine.ledger import Appended, BlankedMeanwhileError, Cursor
from quarantine.models import Cause, Change, Ledger, MediaItem, Source, State
from quarantine.mxc import Mxc, Named

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
    """Read these media and append what differs from the ledger, as found by a look; anew where that is too old."""
    entries = compare(keys, settle=settle, rows=rows)
    if not entries and cursor is None:
        return Appended(head=ledger.current().head)
    try:
        return ledger.append(entries, cursor=cursor)
    except BlankedMeanwhileError:
        return record(keys, cursor=cursor, settle=settle, rows=rows)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of some media, and what the ledger held of them before."""

    names: dict[Mxc, Mxc]  # the homeserver's name of each -> the ledger's
    items: dict[Mxc, MediaItem]  # by the ledger's names
    found: dict[Mxc, Media]
    blanked: int  # as of Entry
    already: int = 0  # were passed over, for the ledger holds them as quarantined

    @property
    def differing(self) -> list[Mxc]:
        """Where the ledger says otherwise; in the order of their names."""
        return [key for key in sorted(self.names) if self.differs(key)]

    def differs(self, key: Mxc) -> bool:
        return differs(self.items.get(self.names[key]), quarantined=is_quarantined(self.found.get(key)))


def look_at(keys: Collection[Mxc], *, lacking: bool = False) -> Looked:
    """Note what the ledger holds of these media, then read them; `lacking`: but for those it holds as quarantined."""
    names, blanked = {key: clean_mxc(key) for key in keys}, ledger.times_blanked()
    items = ledger.fetch_items(names.values())
    passed = {key for key, name in names.items() if lacking and differs(items.get(name), quarantined=False)}
    names = {key: name for key, name in names.items() if key not in passed and askable(key)}
    return Looked(names, items, media.read(names), blanked, already=len(passed))


def compare(
    keys: Collection[Mxc],
    *,
    settle: Callable[[], None] | None = None,
    rows: Mapping[Mxc, FeedRow] | None = None,
    source: Source = Source.AUDIT,
) -> list[Entry]:
    """What the homeserver says of these media now, where the ledger says otherwise; in the order of their names."""
    return entries_of(look_at(keys), settle=settle, rows=rows, source=source)


def entries_of(
    looked: Looked,
    *,
    settle: Callable[[], None] | None = None,
    rows: Mapping[Mxc, FeedRow] | None = None,
    source: Source = Source.AUDIT,
) -> list[Entry]:
    """What is to be recorded after a look.

    `settle` runs now that it is over: it should follow the feed to its end, so that what the feed
    tells is recorded as the feed's. `rows` are feed rows that say the same, if so.
    """
    names, items, found, differing = looked.names, looked.items, looked.found, looked.differing
    if settle is not None and differing:
        settle()
    gone = last_changes([items[names[key]] for key in differing if key not in found])
    versions = {key: items[names[key]].version if names[key] in items else 0 for key in differing}
    return [
        told_by(
            (rows or {}).get(key),
            to_entry(
                key,
                found.get(key),
                gone.get(names[key]),
                expected=versions[key],
                blanked=looked.blanked,
                source=source,
            ),
        )
        for key in differing
    ]


def review(*, generation: int) -> None:
    """After the homeserver was restored: compare everything the ledger holds as quarantined, then call it done.

    Safe to repeat: a crash half-way leaves it due, and so does another restoration meanwhile.
    """
    for held in all_held(above=0, up_to=ledger.current().head):
        record(held.keys)
    Ledger.objects.filter(feed_generation=generation).update(review_due=False)


@dataclass(frozen=True, slots=True)
class Held:
    """Media the ledger holds as quarantined, up to a position (inclusive)."""

    keys: list[Mxc]
    position: int


def all_held(*, above: int, up_to: int) -> Iterator[Held]:
    """Everything held as quarantined whose newest change lies above a position (exclusive), to another (inclusive).

    But for media whose name was cut: the homeserver can't be asked for it.
    """
    quarantined = MediaItem.objects.filter(state=State.QUARANTINED, stream_id__lte=up_to, cut=False)
    rows = quarantined.order_by("stream_id").values_list("stream_id", "origin", "media_id")
    while above < up_to:
        some = list(rows.filter(stream_id__gt=above)[:BATCH])
        above = some[-1][0] if len(some) == BATCH else up_to
        yield Held([Mxc(origin, media_id) for _, origin, media_id in some], above)


def askable(key: Mxc) -> bool:
    """Whether a row of that name can be asked for: one that wasn't UTF-8 has lost its name on the way."""
    return "\ufffd" not in key.origin + key.media_id


def differs(item: MediaItem | None, *, quarantined: bool) -> bool:
    """Whether what the ledger holds is something else; unknown counts as not quarantined."""
    return quarantined != (item is not None and item.state == State.QUARANTINED)


def is_quarantined(found: Media | None) -> bool:
    return found is not None and found.quarantined_by is not None


def to_entry(
    mxc: Mxc,
    found: Media | None,
    last: Change | None,
    *,
    expected: int,
    blanked: int | None = None,
    source: Source = Source.AUDIT,
) -> Entry:
    """What the look says: quarantined, released, or no longer there."""
    if found is None:
        gone = {name: getattr(last, name) for name in SNAPSHOT} if last else {}
        return Entry(
            **gone, mxc=mxc, quarantined=False, deleted=True, source=source, expected=expected, blanked=blanked
        )
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
        blanked=blanked,
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
    names = {clean_mxc(key): key for key in keys}
    quarantined = MediaItem.objects.filter(state=State.QUARANTINED).values_list("origin", "media_id")
    return {
        names[Mxc(origin, media_id)]
        for some in batched(names, BATCH)
        for origin, media_id in quarantined.filter(Named(some))
    }


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
