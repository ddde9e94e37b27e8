"""append(): the only way into the ledger.

Positions handed out by a sequence become visible out of order, and a reader holding a cursor
then skips rows for ever (5-72 % of them, measured with 4-16 writers). So one lock spans reading
the head, writing the rows and committing: commit order is position order, without gaps.
Everything slow happens before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from typing import Protocol

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from quarantine.entries import Entry, clean
from quarantine.fold import Batch, LedgerError, milliseconds, take
from quarantine.inserting import write_changes, write_items
from quarantine.models import Change, Intent, Ledger, MediaItem
from quarantine.mxc import Mxc, Named
from quarantine.sealing import draft, seal_changes

LOCK = 0x51_7A_12_A7_E0_01  # any number nobody else uses in this database
CHANNEL = "ledger"
ROWS_PER_STATEMENT = 500
JUMP = 1_000_000  # positions left out by a new generation of the ledger: more than a standby can be behind
GATE_FIELDS = (  # feed_read_at is not among them: the follower sets it without the lock
    "head",
    "last_seen_at",
    "quarantined_local",
    "quarantined_remote",
    "repeats",
    "feed_generation",
    "feed_position",
    "review_due",
    "chain",
    "chain_from",
)
UNBOUND = "The ledger is not bound to a homeserver yet. Run: manage.py prepare"


class WrongHomeserverError(LedgerError):
    """This ledger is of another homeserver."""


class CursorMovedError(LedgerError):
    """Somebody else has read on meanwhile; read again from the stored cursor."""


class BlankedMeanwhileError(LedgerError):
    """Personal data was blanked since facts of these entries were read, and may be among them: read them again."""


class Cursor(Protocol):
    """How far a reader has got. Moves in the transaction that records what it read."""

    def move(self, held: Ledger, done: "Appended") -> None:
        """Compare with what is stored, under the lock, and set; raises CursorMovedError, and nothing has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """What became of the entries: recorded + repeated + stale + duplicate is their number."""

    head: int
    recorded: int = 0
    repeated: int = 0  # changed nothing
    stale: int = 0  # the media had moved since somebody looked
    duplicate: int = 0  # that feed row is in the ledger already

    def then(self, later: "Appended") -> "Appended":
        """Both together."""
        return Appended(
            head=later.head,
            recorded=self.recorded + later.recorded,
            repeated=self.repeated + later.repeated,
            stale=self.stale + later.stale,
            duplicate=self.duplicate + later.duplicate,
        )


def bind() -> Ledger:
    """The ledger's own row; made if this is a new ledger. Raises WrongHomeserverError for another homeserver's."""
    ours = {"homeserver_name": settings.HOMESERVER_NAME, "homeserver_kind": settings.HOMESERVER_KIND}
    ledger, _ = Ledger.objects.get_or_create(pk=1, defaults=ours)
    return check(ledger)


def current() -> Ledger:
    """The ledger's own row as it is now; raises LedgerError when there is none or it is another homeserver's."""
    ledger = Ledger.objects.filter(pk=1).first()
    if ledger is None:
        raise LedgerError(UNBOUND)
    return check(ledger)


def check(ledger: Ledger) -> Ledger:
    check_homeserver(ledger.homeserver_name, ledger.homeserver_kind)
    return ledger


def check_homeserver(name: str, kind: str) -> None:
    """Of a ledger; raises WrongHomeserverError."""
    if (name, kind) == (settings.HOMESERVER_NAME, settings.HOMESERVER_KIND):
        return
    msg = (
        f"This ledger records {name} ({kind}), not {settings.HOMESERVER_NAME} ({settings.HOMESERVER_KIND}). "
        "Use another DATABASE_URL or DATA_DIR for another homeserver."
    )
    raise WrongHomeserverError(msg)


def append(entries: Sequence[Entry], *, cursor: Cursor | None = None) -> Appended:
    """Record what changes the state of its media, in this order, all or nothing.

    Entries that change nothing are counted, not stored. The cursor moves in the same
    transaction, so a crash anywhere neither loses a row nor records one twice. Raises
    BlankedMeanwhileError, or what the cursor raises; then nothing has happened.
    """
    safe = [clean(entry) for entry in entries]
    drafts = draft(safe, home=settings.HOMESERVER_NAME)
    with transaction.atomic():
        lock()
        ledger = current()
        check_blanked(ledger, safe)
        batch = prepare(ledger, safe)
        for entry in safe:
            take(batch, entry)
        if batch.changes:
            seal_changes(batch.changes, drafts)
            write_changes(batch.changes, ledger)
            ledger.last_seen_at = batch.changes[-1].seen_at
            notify(ledger.head)
        write_items([item for mxc, item in batch.items.items() if mxc in batch.touched])
        ledger.repeats += batch.repeated
        done = Appended(
            head=ledger.head,
            recorded=len(batch.changes),
            repeated=batch.repeated,
            stale=batch.stale,
            duplicate=batch.duplicate,
        )
        if cursor is not None:
            cursor.move(ledger, done)
        ledger.save(update_fields=GATE_FIELDS)
    return done


def new_generation() -> Ledger:
    """After failing over to a standby that may lack the newest changes: the head jumps over every position they can have had.

    So none is ever given out twice. What the standby lacks of the homeserver's stream is heard again; an audit finds the rest.
    """
    with transaction.atomic():
        lock()
        ledger = current()
        ledger.head += JUMP
        ledger.left_out += JUMP
        ledger.save(update_fields=["head", "left_out"])
        notify(ledger.head)
    return ledger


def times_blanked() -> int:
    """How often personal data was blanked. Ask before facts are read that are to be recorded."""
    return Ledger.objects.filter(pk=1).values_list("redactions", flat=True).first() or 0


def check_blanked(ledger: Ledger, entries: list[Entry]) -> None:
    """A redaction counts up under the lock, and blanks once more after that: what comes in later was read later."""
    known = {None, ledger.redactions or 0}
    if any(entry.blanked not in known for entry in entries):
        msg = "Personal data was blanked meanwhile: look again."
        raise BlankedMeanwhileError(msg)


def has_gaps() -> bool:
    return Ledger.objects.exclude(left_out=0).exists()


def left_out(low: int, high: int) -> int:
    """How many positions from `low` to `high` (both inclusive) were never given out: whole jumps alone.

    No jump can lie between two probes that are half of one apart.
    """
    if low > high or not has_gaps():
        return 0
    newest = Change.objects.older_than(high + 1).values_list("stream_id", flat=True).first() or 0
    number, at = max(0, high - max(newest, low - 1)), low
    while at < newest:
        above = next(iter(Change.objects.newer_than(at - 1).values_list("stream_id", flat=True)[:1]), newest)
        if above != at:
            below = Change.objects.older_than(at).values_list("stream_id", flat=True).first() or 0
            number += above - max(below, low - 1) - 1
        at = above + JUMP // 2
    return number


def lock() -> None:
    """Wait for the ledger. What is read next must be read in a statement of its own: only that sees the last commit."""
    if connection.vendor == "postgresql":
        with connection.cursor() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    # On SQLite BEGIN IMMEDIATE (settings) is the lock.


def clock() -> datetime:
    """The ledger database's time, to the millisecond: what is shown is what is stored."""
    now = datetime.now(UTC)
    if connection.vendor == "postgresql":
        with connection.cursor() as db:
            db.execute("SELECT clock_timestamp()")
            [now] = db.fetchone()
    return milliseconds(now)


def prepare(ledger: Ledger, entries: list[Entry]) -> Batch:
    """Read, in bounded statements, everything the entries will be compared with."""
    intents = fetch_intents(entries)
    return Batch(
        ledger=ledger,
        now=clock(),
        items={**fetch_items([entry.mxc for entry in entries])},
        known_feed_ids=fetch_feed_ids(entries),
        intents=intents,
        fulfilled=fetch_fulfilled(intents, entries),
    )


def fetch_items(keys: Iterable[Mxc]) -> dict[Mxc, MediaItem]:
    found: dict[Mxc, MediaItem] = {}
    for some in batched(sorted(set(keys)), ROWS_PER_STATEMENT):
        found |= {item.mxc: item for item in MediaItem.objects.filter(Named(some))}
    return found


def fetch_feed_ids(entries: list[Entry]) -> set[tuple[int, int]]:
    """Which of the entries' feed rows the ledger holds already."""
    known: set[tuple[int, int]] = set()
    for generation in {entry.feed_generation for entry in entries if entry.feed_id is not None}:
        ids = [entry.feed_id for entry in entries if entry.feed_generation == generation]
        for start in range(0, len(ids), ROWS_PER_STATEMENT):
            some = Change.objects.filter(
                feed_generation=generation, feed_id__in=ids[start : start + ROWS_PER_STATEMENT]
            )
            known.update((generation or 0, feed_id or 0) for feed_id in some.values_list("feed_id", flat=True))
    return known


def fetch_intents(entries: list[Entry]) -> list[Intent]:
    """The intents these entries may fulfil; usually nobody is acting and there are none."""
    ids = [entry.feed_id for entry in entries if entry.feed_id is not None]
    if not ids:
        return []
    under_way = Intent.objects.filter(feed_head__isnull=False, feed_until=None)
    answered = Intent.objects.filter(feed_until__gte=min(ids))
    if not under_way.exists() and not answered.exists():
        return []
    hashes = [entry.sha256 for entry in entries if entry.sha256]
    media_ids = [entry.mxc.media_id for entry in entries]
    concerned = (under_way | answered).filter(Q(media_id__in=media_ids) | Q(sha256__in=hashes))
    return list(concerned.select_related("action__staff").order_by("pk"))


def fetch_fulfilled(intents: list[Intent], entries: list[Entry]) -> set[tuple[int, Mxc]]:
    """Which of the entries' media these intents' actions have changed already."""
    if not intents:
        return set()
    concerned = Change.objects.filter(media_id__in={entry.mxc.media_id for entry in entries})
    done = concerned.filter(action__in={intent.action_id for intent in intents})
    return {(change.action_id or 0, change.mxc) for change in done.only("origin", "media_id", "action_id")}


def notify(head: int) -> None:
    """Wake whoever listens, at commit. Only a wake-up: they read the head themselves."""
    if connection.vendor == "postgresql":
        with connection.cursor() as db:
            db.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(head)])
