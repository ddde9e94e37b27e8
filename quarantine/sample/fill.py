"""Filling an empty ledger and the sample homeserver with the same 90 days of history.

All or nothing on both sides, and the homeserver first: a ledger that vouches for nothing is filled
anew. The rows are those that `ledger.append` would record, which a test compares; but without its
looking up and its locking, by COPY, and with the indexes built at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import batched
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, transaction

from quarantine import bulk, ledger
from quarantine.fold import milliseconds
from quarantine.homeserver.feed import STREAM
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS
from quarantine.models import Action, Change, Ledger, MediaItem, Staff, State, Work
from quarantine.sample.items import Item
from quarantine.sample.rhythm import to_ms
from quarantine.sample.stage import Deed, Incident, Stage
from quarantine.sample.story import Story

FIRST_POSITION = 2  # of Synapse's stream
INSTANCE = "master"
INCIDENTS_AT_ONCE = 10_000  # what is held in memory, and how often progress is told
ITEMS_AT_ONCE = 10_000

FEED_FIELDS = ("stream_id", "instance_name", "origin", "media_id", "quarantined")
LOCAL_FIELDS = (
    "media_id", "media_type", "media_length", "created_ts", "upload_name", "user_id", "quarantined_by",
    "last_access_ts", "safe_from_quarantine", "authenticated", "sha256",
)  # fmt: skip
REMOTE_FIELDS = (
    "media_origin", "media_id", "media_type", "created_ts", "upload_name", "media_length", "filesystem_id",
    "last_access_ts", "quarantined_by", "authenticated", "sha256",
)  # fmt: skip
CHANGE_FIELDS = (
    "stream_id", "origin", "media_id", "local", "quarantined", "deleted", "seen_at", "not_before", "changed_by",
    "source", "cause", "action_id", "feed_generation", "feed_id", "media_type", "media_class", "media_length",
    "upload_name", "uploader", "sha256", "cut",
)  # fmt: skip
ACTION_FIELDS = (
    "id", "verb", "cause", "target", "category", "reason", "staff_id", "created_at", "undoes_id",
)  # fmt: skip
WORK_FIELDS = (
    "action_id", "status", "wish", "message", "total", "done", "outcome", "started_at", "updated_at", "ended_at",
)  # fmt: skip
ITEM_FIELDS = ("origin", "media_id", "local", "state", "stream_id", "version", "sha256", "uploader", "cut")

Progress = Callable[[str, int, int], None]  # what, done, of


class SampleError(Exception):
    """The sample can't be filled in; the message is a sentence for the person who asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    changes: int
    repeats: int
    media: int
    actions: int
    feed_position: int


def fill(
    *,
    changes: int,
    media: int,
    seed: int,
    staff: Sequence[Staff],
    end: datetime | None = None,
    progress: Progress = lambda *_: None,
) -> Filled:
    """Record exactly `changes` changes of `media` media items, the last of them seconds before `end`.

    The same arguments give the same rows. Raises SampleError when attached, or when the ledger holds anything.
    """
    require_empty()
    end = (end or datetime.now(UTC)).replace(microsecond=0)
    names = [person.username for person in staff]
    story = Story(changes=changes, media=media, seed=seed, staff=names, home=settings.HOMESERVER_NAME, end=end)
    with transaction.atomic():
        ledger.lock()
        history = History(held=require_empty(), people={person.username: person for person in staff})
        with bulk.without_indexes(Change, MediaItem, Action, Work):
            fill_homeserver(story, history, progress)
            write_items(story.stage.items, progress)
            progress("indexes", 0, 1)
        progress("indexes", 1, 1)
        history.close(feed_read_at=end)  # what comes now is later than this
    return history.filled(media=len(story.stage.items))


def require_empty() -> Ledger:
    if settings.HOMESERVER_ATTACHED:
        msg = "A real homeserver is attached (HOMESERVER_DATABASE_URL); sample data is for the sample homeserver alone."
        raise SampleError(msg)
    held = ledger.current()
    if held.head or Action.objects.exists():
        msg = f"The ledger is not empty: it holds {held.head:,} changes. Sample data goes into a new one (DATABASE_URL, DATA_DIR)."
        raise SampleError(msg)
    return held


# --- The homeserver's side ----------------------------------------------------------------


def fill_homeserver(story: Story, history: "History", progress: Progress) -> None:
    """Tell the story into the ledger, and replace whatever the sample homeserver held: it is committed with this."""
    with ExitStack() as stack:
        stack.enter_context(transaction.atomic(using=ALIAS))
        for model in (FeedChange, LocalMedia, RemoteMedia, StreamPosition):
            model.objects.all().delete()
        stack.enter_context(bulk.without_indexes(LocalMedia, RemoteMedia, using=ALIAS))
        for incidents in batched(story.tell(), INCIDENTS_AT_ONCE):
            numbered = history.add(incidents)
            bulk.load(FeedChange, FEED_FIELDS, feed_rows(numbered), using=ALIAS)
            progress("ledger", history.held.head, story.changes)
        write_media(story.stage, story.end, progress)
        if history.held.feed_position >= FIRST_POSITION:
            StreamPosition.objects.create(
                stream_name=STREAM, instance_name=INSTANCE, stream_id=history.held.feed_position
            )


def feed_rows(numbered: Iterable["Numbered"]) -> Iterator[tuple[Any, ...]]:
    for one in numbered:
        for feed_id, item in zip(one.feed_ids, one.incident.items, strict=False):
            yield feed_id, INSTANCE, None if item.local else item.origin, item.media_id, one.incident.quarantined


def write_media(stage: Stage, end: datetime, progress: Progress) -> None:
    """Every item that is still there, as it is in the end, oldest first."""
    latest, written = to_ms(end), 0
    items = sorted((item for item in stage.items if not item.deleted), key=attrgetter("created"))
    for some in batched(items, ITEMS_AT_ONCE):
        accessed = [min(stage.studio.last_access(item), latest) for item in some]
        both = list(zip(some, accessed, strict=True))
        bulk.load(LocalMedia, LOCAL_FIELDS, (local_row(*each) for each in both if each[0].local), using=ALIAS)
        bulk.load(RemoteMedia, REMOTE_FIELDS, (remote_row(*each) for each in both if not each[0].local), using=ALIAS)
        written += len(some)
        progress("homeserver", written, len(items))


def local_row(item: Item, accessed: int) -> tuple[Any, ...]:
    return (
        item.media_id, item.media_type, item.media_length, to_ms(item.created), item.upload_name or None,
        item.uploader, item.quarantined_by, accessed, item.protected, True, item.sha256,
    )  # fmt: skip


def remote_row(item: Item, accessed: int) -> tuple[Any, ...]:
    return (
        item.origin, item.media_id, item.media_type, to_ms(item.created), item.upload_name or None, item.media_length,
        item.media_id[:24], accessed, item.quarantined_by, True, item.sha256,
    )  # fmt: skip


# --- The ledger's side --------------------------------------------------------------------


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
        bulk.load(Change, CHANGE_FIELDS, (row for one in numbered for row in self.change_rows(one)), using="default")
        return numbered

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
        bulk.load(Action, ACTION_FIELDS, (action_row(*each, self.people) for each in done), using="default")
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

    def filled(self, *, media: int) -> Filled:
        held = self.held
        return Filled(
            changes=held.head, repeats=held.repeats, media=media, actions=self.actions, feed_position=held.feed_position
        )


def action_row(incident: Incident, deed: Deed, people: dict[str, Staff]) -> tuple[Any, ...]:
    return (
        deed.pk, deed.verb, deed.cause, deed.target, deed.category, deed.reason, people[deed.staff].pk,
        incident.not_before or incident.moment, deed.undoes.pk if deed.undoes else None,
    )  # fmt: skip


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
