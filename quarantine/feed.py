"""The homeserver's stream, carried into the ledger: nothing lost, nothing twice."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from quarantine import ledger, look
from quarantine.entries import Entry, clean_mxc
from quarantine.homeserver import feed as stream
from quarantine.homeserver import media
from quarantine.homeserver.feed import Prefix, Reader, Row
from quarantine.homeserver.media import Media
from quarantine.homeserver.models import LocalMedia
from quarantine.ledger import Appended, CursorMovedError
from quarantine.look import FeedRow
from quarantine.models import Cause, Change, Ledger, MediaItem, OpenHole, Source
from quarantine.mxc import Mxc

ROWS = 500  # a step: the ledger's lock is held for one step's rows
HOLES_KEPT = 500  # the newest open holes: asked for again and again, in one statement
HOLE_MEMORY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caught:
    """What one step did."""

    recorded: int = 0
    repeated: int = 0
    late: int = 0  # rows that turned up in an open hole
    position: int = 0  # newest feed id taken in, inclusive
    head: int = 0  # of the ledger
    more: bool = False  # call again at once
    held_back: bool = False  # rows wait behind a hole
    restored: bool = False  # a new generation has begun


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedCursor:
    """From where to where the feed was read. `holes` are remembered in the same transaction, `filled` forgotten."""

    generation: int
    before: int
    after: int
    holes: tuple[int, ...] = ()
    filled: tuple[int, ...] = ()

    def move(self, held: Ledger, done: Appended) -> None:
        if (held.feed_generation, held.feed_position) != (self.generation, self.before):
            msg = f"The feed was read on to {held.feed_generation}:{held.feed_position} by another process."
            raise CursorMovedError(msg)
        held.feed_position = self.after
        holes = OpenHole.objects.filter(generation=self.generation)
        if self.filled:
            holes.filter(feed_id__in=self.filled).delete()
        if self.holes:
            now = datetime.now(UTC)
            OpenHole.objects.bulk_create(
                [OpenHole(generation=self.generation, feed_id=hole, passed_at=now) for hole in self.holes]
            )
            surplus = holes.order_by("-feed_id").values_list("feed_id", flat=True)[HOLES_KEPT : HOLES_KEPT + 1]
            holes.filter(feed_id__lte=max(surplus, default=0)).delete()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """The homeserver was restored from a backup: its ids start again, and all we hold must be compared with it."""

    generation: int
    before: int

    def move(self, held: Ledger, done: Appended) -> None:
        FeedCursor(generation=self.generation, before=self.before, after=0).move(held, done)
        held.feed_generation += 1
        held.review_due = True
        OpenHole.objects.filter(generation__lt=held.feed_generation).delete()


def catch_up(reader: Reader, *, limit: int = ROWS) -> Caught:
    """Carry what the homeserver has safely committed into the ledger, oldest first: one step of at most `limit` rows.

    The feed cursor moves in the same transaction as the changes, so a crash anywhere neither
    loses a row nor records one twice. Raises HomeserverAwayError, CursorMovedError or BlankedMeanwhileError; then
    nothing has changed, or only rows that were late are in.
    """
    held = ledger.current()
    looked_at = ledger.clock()
    prefix = reader.read(after=held.feed_position, limit=limit)
    if prefix.restored or rewritten(held):
        reader.begin()
        ledger.append([], cursor=NewGeneration(generation=held.feed_generation, before=held.feed_position))
        return Caught(restored=True, more=True)
    done = take_in(held, prefix, reader) if prefix.rows else Appended(head=held.head)
    position = prefix.rows[-1].feed_id if prefix.rows else held.feed_position
    more = prefix.full and bool(prefix.rows)
    late = Late(head=done.head) if more else take_late(held.feed_generation, position, head=done.head)
    if not prefix.held_back and not prefix.full:
        Ledger.objects.filter(pk=held.pk).update(feed_read_at=looked_at)
        if held.review_due:
            look.review(generation=held.feed_generation)
    return Caught(
        recorded=done.recorded + late.recorded,
        repeated=done.repeated,
        late=late.rows,
        position=position,
        head=late.head,
        more=more,
        held_back=prefix.held_back,
    )


def rewritten(held: Ledger) -> bool:
    """Whether the newest row we recorded says something else now: restored, and gone on past our cursor since."""
    recorded = Change.objects.filter(feed_generation=held.feed_generation, feed_id__isnull=False)
    newest = recorded.order_by("-feed_id").first()
    if newest is None or newest.feed_id is None:
        return False
    told = [(clean_mxc(row.mxc), row.quarantined) for row in stream.fetch_ids([newest.feed_id])]
    return told != [(newest.mxc, newest.quarantined)]


def take_in(held: Ledger, prefix: Prefix, reader: Reader) -> Appended:
    """Append the rows; in a restored feed they are old news, so their media is looked at instead."""
    before, after = held.feed_position, prefix.rows[-1].feed_id
    cursor = FeedCursor(generation=held.feed_generation, before=before, after=after, holes=tuple(prefix.holes))
    concerned = {row.mxc for row in prefix.rows}
    if held.review_due:
        return look.record(concerned, cursor=cursor)
    items = ledger.fetch_items(clean_mxc(mxc) for mxc in concerned)
    found = media.read(concerned)
    reader.ahead.look(prefix.rows)
    newest = {row.mxc: row for row in prefix.rows if reader.ahead.is_newest(row)}
    entries = [to_entry(row, found.get(row.mxc), held=held, newest=newest.get(row.mxc) is row) for row in prefix.rows]
    gone = {mxc for mxc, row in newest.items() if row.quarantined and mxc not in found and look.askable(mxc)}
    times = Counter(row.mxc for row in prefix.rows)
    return ledger.append(entries + farewells({mxc: times[mxc] for mxc in gone}, items, held=held), cursor=cursor)


def to_entry(row: Row, known: Media | None, *, held: Ledger, newest: bool) -> Entry:
    """The row with what the media tables said of its media, read after the row.

    Synapse keeps the last actor alone, and none for releases, so only a media item's newest
    row can know its actor.
    """
    actor = (known.quarantined_by if known and row.quarantined and newest else None) or ""
    return Entry(
        **look.facts(known),
        mxc=row.mxc,
        quarantined=row.quarantined,
        source=Source.FEED,
        cause=Cause.HASH if actor == look.SYSTEM else Cause.UNKNOWN,
        changed_by=actor,
        quarantined_by=actor,
        not_before=held.feed_read_at,
        blanked=held.redactions or 0,
        feed_generation=held.feed_generation,
        feed_id=row.feed_id,
    )


def farewells(told: Mapping[Mxc, int], items: Mapping[Mxc, MediaItem], *, held: Ledger) -> list[Entry]:
    """Deletion leaves no row: media whose newest row quarantines it, and that isn't there, was deleted since.

    `told` is how many rows of it go in first; `items` what the ledger held before anyone looked.
    """
    known = {mxc: items.get(clean_mxc(mxc)) for mxc in told}
    last = look.last_changes([item for item in known.values() if item])
    return [
        look.to_entry(
            mxc,
            None,
            last.get(clean_mxc(mxc)),
            expected=told[mxc] + (item.version if item is not None else 0),
            blanked=held.redactions or 0,
        )
        for mxc, item in sorted(known.items())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What became of the rows that turned up in open holes."""

    head: int
    rows: int = 0
    recorded: int = 0


def take_late(generation: int, position: int, *, head: int) -> Late:
    """Rows that turned up in open holes. Never applied by themselves: their media is read again,
    and recorded only where the homeserver now differs from the ledger.
    """
    holes = OpenHole.objects.filter(generation=generation)
    asked = dict(holes.order_by("-feed_id").values_list("feed_id", "passed_at")[:HOLES_KEPT])
    found = stream.fetch_ids(list(asked)) if asked else []
    long_ago = datetime.now(UTC) - HOLE_MEMORY
    if any(passed_at < long_ago for passed_at in asked.values()):
        holes.filter(passed_at__lt=long_ago).delete()
    if not found:
        return Late(head=head)
    filled = tuple(row.feed_id for row in found)
    cursor = FeedCursor(generation=generation, before=position, after=position, filled=filled)
    rows = {row.mxc: FeedRow(generation, row.feed_id, row.quarantined) for row in found}
    done = look.record(set(rows), cursor=cursor, rows=rows)
    if done.stale:  # somebody recorded an older look meanwhile; the holes are forgotten, so look again
        again = look.record(set(rows), rows=rows)
        return Late(head=again.head, rows=len(found), recorded=done.recorded + again.recorded)
    return Late(head=done.head, rows=len(found), recorded=done.recorded)


def check_homeserver_name() -> None:
    """Refuse to record under a wrong name: local uploaders say which homeserver this is."""
    with media.reading():
        uploaders = LocalMedia.objects.filter(user_id__isnull=False).order_by("user_id", "created_ts")
        user = uploaders.values_list("user_id", flat=True).first()
    domain = (user or "").partition(":")[2]
    if domain and domain != settings.HOMESERVER_NAME:
        msg = f"HOMESERVER_NAME is {settings.HOMESERVER_NAME}, but this homeserver's users are of {domain}. Correct it."
        raise ledger.WrongHomeserverError(msg)
