"""The ledger's side of the sample: the rows that `ledger.append` would record, which a test compares."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched
from operator import itemgetter
from typing import Any

from django.core.management.color import no_style
from django.db import connection

from quarantine import bulk, ledger, seals
from quarantine.fold import milliseconds
from quarantine.models import Action, Chain, Change, Ledger, MediaItem, Staff, State, Work
from quarantine.sample.items import Item
from quarantine.sample.stage import Deed, Incident
from quarantine.sealing import FIELDS as SEALED
from quarantine.sealing import NAME, link, seal

FIRST_POSITION = 2  # of Synapse's stream
ITEMS_AT_ONCE = 10_000
CHANGE_FIELDS = (
    "stream_id", "origin", "media_id", "local", "quarantined", "deleted", "seen_at", "not_before", "changed_by",
    "source", "cause", "action_id", "feed_generation", "feed_id", "media_type", "media_class", "media_length",
    "upload_name", "uploader", "sha256", "cut",
)  # fmt: skip
ACTION_FIELDS = (
    "id", "verb", "cause", "target", "category", "reason", "staff_id", "created_at", "undoes_id",
)  # fmt: skip
SEAL_FIELDS = ("salts", "digest", "chain")
content_of_change = itemgetter(*map(CHANGE_FIELDS.index, SEALED))
plain_of_action = itemgetter(*map(ACTION_FIELDS.index, Action.PLAIN))
personal_of_action = itemgetter(*map(ACTION_FIELDS.index, Action.PERSONAL))
WORK_FIELDS = (
    "action_id", "status", "wish", "message", "total", "done", "outcome", "started_at", "updated_at", "ended_at",
)  # fmt: skip
ITEM_FIELDS = ("origin", "media_id", "local", "state", "stream_id", "version", "sha256", "uploader", "cut")

Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True, slots=True)
class Numbered:
    """An incident and the feed id of its first row; the others follow without gaps."""

    incident: Incident
    first_id: int

    @property
    def feed_ids(self) -> Sequence[int]:
        return range(self.first_id, self.first_id + len(self.incident.items)) if self.incident.in_feed else ()


@dataclass(kw_only=True)
class History:
    """The ledger while it fills: `held` is its own row, which `close` saves."""

    held: Ledger
    people: dict[str, Staff]
    actions: int = 0
    next_id: int = field(init=False)

    def __post_init__(self) -> None:
        self.next_id = max(self.held.feed_position + 1, FIRST_POSITION)

    def add(self, incidents: Sequence[Incident]) -> list[Numbered]:
        """Write what staff did, then the changes that refer to it; give the feed's rows their ids."""
        numbered = [self.number(incident) for incident in incidents]
        self.write_actions(incidents)
        rows = self.sealed(row for one in numbered for row in self.change_rows(one))
        bulk.load(Change, CHANGE_FIELDS + SEAL_FIELDS, rows, using="default")
        return numbered

    def sealed(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Rows of changes with their seals."""
        held = self.held
        for row in rows:
            made = seal(content_of_change(row))
            held.chain = link(bytes(held.chain or seals.genesis(NAME)), row[0], row[6], made.digest)
            held.chain_from = held.chain_from or row[0]
            yield (*row, made.salts, made.digest, held.chain)

    def number(self, incident: Incident) -> Numbered:
        one = Numbered(incident, self.next_id)
        if incident.in_feed and incident.items:
            self.next_id += len(incident.items)
            self.held.feed_position = self.next_id - 1
        return one

    def write_actions(self, incidents: Sequence[Incident]) -> None:
        done = [(incident, incident.deed) for incident in incidents if incident.deed is not None]
        for number, (_, deed) in enumerate(done, self.actions + 1):
            deed.pk = number
        chain = Chain.held(Action._meta.db_table)
        rows = (sealed_action(action_row(*each, self.people), chain) for each in done)
        bulk.load(Action, ACTION_FIELDS + SEAL_FIELDS, rows, using="default")
        chain.save()
        bulk.load(Work, WORK_FIELDS, (work_row(*each) for each in done), using="default")
        self.actions += len(done)

    def change_rows(self, one: Numbered) -> Iterator[tuple[Any, ...]]:
        """What the gate makes of it, in the order of CHANGE_FIELDS."""
        incident, held = one.incident, self.held
        if incident.repeat:
            held.repeats += len(incident.items)
            for item in incident.items:
                item.version += 1
            return
        moment = milliseconds(incident.moment)
        seen_at = held.last_seen_at = max(moment, held.last_seen_at or moment)
        by = incident.deed.staff if incident.deed else incident.by
        generation = held.feed_generation if incident.in_feed else None
        for place, item in enumerate(incident.items):
            held.head += 1
            item.position = held.head
            item.version += 1
            self.count(item, 1 if incident.quarantined else -1)
            yield (
                held.head, item.origin, item.media_id, item.local, incident.quarantined, incident.deleted,
                seen_at, min(incident.not_before or item.created, seen_at), by, incident.source, incident.cause,
                incident.deed.pk if incident.deed else None, generation, one.first_id + place if generation else None,
                item.media_type, item.media_type.partition("/")[0], item.media_length,
                item.upload_name, item.uploader or "", item.sha256, False,
            )  # fmt: skip

    def count(self, item: Item, by: int) -> None:
        if item.local:
            self.held.quarantined_local += by
        else:
            self.held.quarantined_remote += by

    def close(self, *, feed_read_at: datetime) -> None:
        self.held.feed_read_at = feed_read_at
        self.held.save()
        ledger.notify(self.held.head)
        for statement in connection.ops.sequence_reset_sql(no_style(), [Action]):
            with connection.cursor() as db:
                db.execute(statement)


def action_row(incident: Incident, deed: Deed, people: dict[str, Staff]) -> tuple[Any, ...]:
    return (
        deed.pk, deed.verb, deed.cause, deed.target, deed.category, deed.reason, people[deed.staff].pk,
        incident.not_before or incident.moment, deed.undoes.pk if deed.undoes else None,
    )  # fmt: skip


def sealed_action(row: tuple[Any, ...], chain: Chain) -> tuple[Any, ...]:
    made = seals.seal(plain_of_action(row), personal_of_action(row))
    chain.position, chain.value = row[0], seals.link(bytes(chain.value), row[0], digest=made.digest)
    return (*row, made.salts, made.digest, chain.value)


def work_row(incident: Incident, deed: Deed) -> tuple[Any, ...]:
    """Done already. Of media that only was protected the ledger has no change."""
    asked = len(incident.items) or 1
    started, ended = incident.not_before or incident.moment, incident.moment
    outcome = {"asked": asked, "changed": asked}
    return deed.pk, Work.Status.FINISHED, "", "", asked, asked, outcome, started, ended, ended


def write_items(items: Sequence[Item], progress: Progress) -> None:
    """What the ledger holds of each item that ever changed."""
    changed = [item for item in items if item.version]
    written = 0
    for some in batched(changed, ITEMS_AT_ONCE):
        bulk.load(MediaItem, ITEM_FIELDS, map(item_row, some), using="default")
        written += len(some)
        progress("items", written, len(changed))


def item_row(item: Item) -> tuple[Any, ...]:
    state = State.DELETED if item.deleted else State.QUARANTINED if item.quarantined_by else State.RELEASED
    return (
        item.origin, item.media_id, item.local, state, item.position, item.version, item.sha256,
        item.uploader or "", False,
    )  # fmt: skip
