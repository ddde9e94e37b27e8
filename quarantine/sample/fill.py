"""Filling an empty ledger and the sample homeserver with the same 90 days of history.

All or nothing on both sides, and the homeserver first: a ledger that vouches for nothing is filled
anew. The rows come by COPY, and the indexes are built at the end.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import transaction

from quarantine import bulk, ledger
from quarantine.homeserver.feed import STREAM
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS
from quarantine.models import Action, Change, Ledger, MediaItem, Staff, Work
from quarantine.sample.history import FIRST_POSITION, ITEMS_AT_ONCE, History, Numbered, Progress, write_items
from quarantine.sample.items import Item
from quarantine.sample.rhythm import to_ms
from quarantine.sample.stage import Stage
from quarantine.sample.story import Story

INSTANCE = "master"
INCIDENTS_AT_ONCE = 10_000  # what is held in memory, and how often progress is told

FEED_FIELDS = ("stream_id", "instance_name", "origin", "media_id", "quarantined")
LOCAL_FIELDS = (
    "media_id", "media_type", "media_length", "created_ts", "upload_name", "user_id", "quarantined_by",
    "last_access_ts", "safe_from_quarantine", "authenticated", "sha256",
)  # fmt: skip
REMOTE_FIELDS = (
    "media_origin", "media_id", "media_type", "created_ts", "upload_name", "media_length", "filesystem_id",
    "last_access_ts", "quarantined_by", "authenticated", "sha256",
)  # fmt: skip


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
    with transaction.atomic(), no_collecting():
        ledger.lock()
        history = History(held=require_empty(), people={person.username: person for person in staff})
        with bulk.without_indexes(Change, MediaItem, Action, Work):
            fill_homeserver(story, history, progress)
            write_items(story.stage.items, progress)
            progress("indexes", 0, 1)
        progress("indexes", 1, 1)
        history.close(feed_read_at=end)  # what comes now is later than this
    held = history.held
    return Filled(
        changes=held.head,
        repeats=held.repeats,
        media=len(story.stage.items),
        actions=history.actions,
        feed_position=held.feed_position,
    )


@contextmanager
def no_collecting() -> Iterator[None]:
    """Nothing here goes round in circles, and to look for circles among millions of objects takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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


def fill_homeserver(story: Story, history: History, progress: Progress) -> None:
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


def feed_rows(numbered: Iterable[Numbered]) -> Iterator[tuple[Any, ...]]:
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
