"""The homeserver's stream, carried into the ledger: nothing lost, nothing twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from quarantine import ledger, look
from quarantine.entries import Entry
from quarantine.homeserver import feed as stream
from quarantine.homeserver import media
from quarantine.homeserver.feed import Prefix, Reader
from quarantine.homeserver.media import Media
from quarantine.homeserver.models import LocalMedia
from quarantine.ledger import Appended, CursorMovedError
from quarantine.look import FeedRow
from quarantine.models import Cause, Ledger, OpenHole, Source
from quarantine.mxc import Mxc

ROWS = 500  # a step: the ledger's lock is held for one step's rows
HOLES_ASKED = 500  # the newest open holes, in one statement
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
        now = datetime.now(UTC)
        passed = [OpenHole(generation=self.generation, feed_id=hole, passed_at=now) for hole in self.holes]
        OpenHole.objects.bulk_create(passed)
        OpenHole.objects.filter(generation=self.generation, feed_id__in=self.filled).delete()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """The homeserver was restored from a backup: its ids start again, and all we hold must be compared with it."""

    generation: int
    before: int

    def move(self, held: Ledger, done: Appended) -> None:
        FeedCursor(generation=self.generation, before=self.before, after=0).move(held, done)
        held.feed_generation += 1
        held.review_due = True


def catch_up(reader: Reader, *, limit: int = ROWS) -> Caught:
    """Carry what the homeserver has safely committed into the ledger, oldest first: one step of at most `limit` rows.

    The feed cursor moves in the same transaction as the changes, so a crash anywhere neither
    loses a row nor records one twice. Raises HomeserverAwayError or CursorMovedError; then
    nothing has changed.
    """
    held = ledger.current()
    looked_at = ledger.clock()
    late = take_late(held)
    prefix = reader.read(after=held.feed_position, limit=limit)
    if prefix.restored:
        ledger.append([], cursor=NewGeneration(generation=held.feed_generation, before=held.feed_position))
        return Caught(late=late, restored=True, more=True)
    done = take_in(held, prefix) if prefix.rows else Appended(head=held.head)
    if not prefix.held_back and not prefix.full:
        Ledger.objects.filter(pk=held.pk).update(feed_read_at=looked_at)
        if held.review_due:
            look.review()
    return Caught(
        recorded=done.recorded,
        repeated=done.repeated,
        late=late,
        position=prefix.rows[-1].feed_id if prefix.rows else held.feed_position,
        head=done.head,
        more=prefix.full and bool(prefix.rows),
        held_back=prefix.held_back,
    )


def catch_up_fully(reader: Reader) -> None:
    """Step until nothing more may be taken in. Rows behind a hole stay for later."""
    while catch_up(reader).more:
        pass


def take_in(held: Ledger, prefix: Prefix) -> Appended:
    """Append the rows; in a restored feed they are old news, so their media is looked at instead."""
    before, after = held.feed_position, prefix.rows[-1].feed_id
    cursor = FeedCursor(generation=held.feed_generation, before=before, after=after, holes=tuple(prefix.holes))
    concerned = {row.mxc for row in prefix.rows}
    if held.review_due:
        return look.record(concerned, cursor=cursor)
    found = media.read(concerned)
    done = ledger.append(to_entries(held, prefix, found), cursor=cursor)
    # Deletion leaves no row: what is not there any more is told apart from what is still quarantined.
    look.record(concerned - set(found))
    return done


def to_entries(held: Ledger, prefix: Prefix, found: dict[Mxc, Media]) -> list[Entry]:
    """The rows with what the media tables said of their media, read after the rows.

    Synapse keeps the last actor alone, and none for releases, so only a media item's newest
    row can know its actor.
    """
    with media.reading():
        beyond = stream.fetch_rows(at_or_above=prefix.rows[-1].feed_id + 1, limit=ROWS)
    newest = {row.mxc: row.feed_id for row in (*prefix.rows, *beyond)}
    entries = []
    for row in prefix.rows:
        known = found.get(row.mxc)
        actor = (known.quarantined_by if known and row.quarantined and newest[row.mxc] == row.feed_id else None) or ""
        entries.append(
            Entry(
                **look.facts(known),
                mxc=row.mxc,
                quarantined=row.quarantined,
                source=Source.FEED,
                cause=Cause.HASH if actor == look.SYSTEM else Cause.UNKNOWN,
                changed_by=actor,
                quarantined_by=actor,
                not_before=held.feed_read_at,
                feed_generation=held.feed_generation,
                feed_id=row.feed_id,
            )
        )
    return entries


def take_late(held: Ledger) -> int:
    """Rows that turned up in open holes. Never applied by themselves: their media is read again,
    and recorded only where the homeserver now differs from the ledger.
    """
    holes = OpenHole.objects.filter(generation=held.feed_generation)
    asked = list(holes.order_by("-feed_id").values_list("feed_id", flat=True)[:HOLES_ASKED])
    late = stream.fetch_ids(asked) if asked else []
    if late:
        at, filled = held.feed_position, tuple(row.feed_id for row in late)
        cursor = FeedCursor(generation=held.feed_generation, before=at, after=at, filled=filled)
        rows = {row.mxc: FeedRow(held.feed_generation, row.feed_id, row.quarantined) for row in late}
        look.record(set(rows), cursor=cursor, rows=rows)
    if asked:
        holes.filter(passed_at__lt=datetime.now(UTC) - HOLE_MEMORY).delete()
    return len(late)


def check_homeserver_name() -> None:
    """Refuse to record under a wrong name: local uploaders say which homeserver this is."""
    with media.reading():
        uploaders = LocalMedia.objects.filter(user_id__isnull=False).order_by("user_id", "created_ts")
        user = uploaders.values_list("user_id", flat=True).first()
    domain = (user or "").partition(":")[2]
    if domain and domain != settings.HOMESERVER_NAME:
        msg = f"HOMESERVER_NAME is {settings.HOMESERVER_NAME}, but this homeserver's users are of {domain}. Correct it."
        raise ledger.WrongHomeserverError(msg)
