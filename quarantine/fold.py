"""Folding entries over what the ledger holds: what is recorded, what is dropped, and why.

No database here: the gate (`ledger.append`) reads everything first and writes everything after.
"""

from dataclasses import dataclass, field
from datetime import datetime

from quarantine.entries import Entry
from quarantine.models import Intent, Ledger, MediaItem, Source, State, Verb
from quarantine.mxc import Mxc
from quarantine.new_rows import NewChange, NewItem


class LedgerError(Exception):
    """The ledger refuses. The message is a sentence for the person who asked."""


@dataclass(slots=True)
class Batch:
    """The work of one transaction."""

    ledger: Ledger
    now: datetime
    items: dict[Mxc, MediaItem | NewItem]
    known_feed_ids: set[tuple[int, int]]
    intents: list[Intent]
    fulfilled: set[tuple[int, Mxc]] = field(default_factory=set)  # what an action did already, by its id
    changes: list[NewChange] = field(default_factory=list)
    touched: set[Mxc] = field(default_factory=set)
    repeated: int = 0
    stale: int = 0
    duplicate: int = 0


def take(batch: Batch, entry: Entry) -> None:
    """Fold one entry: record it, or count why not."""
    item = batch.items.get(entry.mxc)
    if entry.feed_id is not None and (entry.feed_generation, entry.feed_id) in batch.known_feed_ids:
        batch.duplicate += 1
    elif entry.expected is not None and entry.expected != (item.version if item else 0):
        batch.stale += 1
    elif not changes_state(item, entry.state):
        batch.repeated += 1
        if entry.feed_id is not None:
            # Whoever looked before this row was read must not overrule it.
            touch(batch, entry, stream_id=item.stream_id if item else 0)
    else:
        record(batch, entry)


def changes_state(item: MediaItem | NewItem | None, state: State) -> bool:
    """Unknown counts as not quarantined; only quarantined media is released or deleted."""
    quarantined = item is not None and item.state == State.QUARANTINED
    return quarantined != (state is State.QUARANTINED)


def record(batch: Batch, entry: Entry) -> None:
    ledger, item = batch.ledger, batch.items.get(entry.mxc)
    ledger.head += 1
    count(ledger, entry, 1 if entry.quarantined else -1)
    change = to_change(entry, ledger=ledger, intent=intent_of(batch, entry), seen_at=seen_at(batch, entry))
    if item is not None:  # its row may be gone; what it held is not forgotten
        change.sha256 = change.sha256 or item.sha256
        change.uploader = change.uploader or item.uploader
    batch.changes.append(change)
    if change.action_id is not None:
        batch.fulfilled.add((change.action_id, entry.mxc))
    if entry.feed_id is not None:
        batch.known_feed_ids.add((entry.feed_generation or 0, entry.feed_id))
    touch(batch, entry, stream_id=ledger.head)


def seen_at(batch: Batch, entry: Entry) -> datetime:
    """Now; or, for the sample homeserver's history, what the entry says. Never before the last row."""
    if entry.seen_at is not None and batch.ledger.homeserver_kind != "sample":
        msg = "Only the sample homeserver's history may say when it was seen."
        raise LedgerError(msg)
    last = batch.changes[-1].seen_at if batch.changes else batch.ledger.last_seen_at
    moment = milliseconds(entry.seen_at or batch.now)
    return max(moment, last or moment)


def count(ledger: Ledger, entry: Entry, by: int) -> None:
    if entry.mxc.origin == ledger.homeserver_name:
        ledger.quarantined_local += by
    else:
        ledger.quarantined_remote += by


def touch(batch: Batch, entry: Entry, *, stream_id: int) -> None:
    """Move the media item on: its version always, its state as far as the entry changes it."""
    item = batch.items.get(entry.mxc)
    if item is None:
        local = entry.mxc.origin == batch.ledger.homeserver_name
        item = NewItem(origin=entry.mxc.origin, media_id=entry.mxc.media_id, local=local)
        batch.items[entry.mxc] = item
    item.version += 1
    item.cut = entry.id_cut
    if item.stream_id != stream_id:
        item.state = entry.state
        item.stream_id = stream_id
    item.sha256 = entry.sha256 or item.sha256
    item.uploader = entry.uploader or item.uploader
    batch.touched.add(entry.mxc)


def intent_of(batch: Batch, entry: Entry) -> Intent | None:
    """The intent this feed row fulfils, whoever reads it first. An action changes each media item once."""
    if entry.feed_id is None or entry.deleted:
        return None
    verb = Verb.QUARANTINE if entry.quarantined else Verb.RELEASE
    for intent in batch.intents:
        if (intent.action_id, entry.mxc) in batch.fulfilled:
            continue
        same_media = (intent.origin, intent.media_id) == (entry.mxc.origin, entry.mxc.media_id)
        same_hash = intent.sha256 is not None and intent.sha256 == entry.sha256
        ours = not entry.quarantined or entry.quarantined_by == intent.matrix_user
        if (same_media or same_hash) and ours and intent.action.verb == verb and in_window(intent, entry):
            return intent
    return None


def in_window(intent: Intent, entry: Entry) -> bool:
    """Whether the row came after the intent was committed, and before its call was known to be over."""
    if intent.feed_generation != entry.feed_generation or entry.feed_id is None or intent.feed_head is None:
        return False
    return intent.feed_head < entry.feed_id and (intent.feed_until is None or entry.feed_id <= intent.feed_until)


def to_change(entry: Entry, *, ledger: Ledger, intent: Intent | None, seen_at: datetime) -> NewChange:
    """The row at the ledger's head."""
    action = intent.action if intent else None
    return NewChange(
        stream_id=ledger.head,
        origin=entry.mxc.origin,
        media_id=entry.mxc.media_id,
        local=entry.mxc.origin == ledger.homeserver_name,
        quarantined=entry.quarantined,
        deleted=entry.deleted,
        seen_at=seen_at,
        not_before=min(entry.not_before, seen_at) if entry.not_before else None,
        changed_by=action.staff.username if action else entry.changed_by,
        source=Source.ACTION if action else entry.source,
        cause=action.cause if action else entry.cause,
        action_id=action.pk if action else entry.action_id,
        feed_generation=entry.feed_generation,
        feed_id=entry.feed_id,
        media_type=entry.media_type,
        media_class=entry.media_class,
        media_length=entry.media_length,
        upload_name=entry.upload_name,
        uploader=entry.uploader,
        sha256=entry.sha256,
        cut=entry.cut,
    )


def milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
