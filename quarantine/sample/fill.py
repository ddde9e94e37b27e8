"""Filling an empty ledger and the sample homeserver with the same 90 days of history.

The homeserver comes first, in one transaction: should the ledger's part be interrupted,
following the feed still completes it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from operator import attrgetter

from django.conf import settings
from django.core.management.color import no_style
from django.db import connection, transaction

from quarantine import ledger
from quarantine.entries import Entry
from quarantine.feed import FeedCursor
from quarantine.homeserver.feed import STREAM
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS
from quarantine.models import Action, Ledger, Staff, Work
from quarantine.mxc import Mxc
from quarantine.sample.items import Item
from quarantine.sample.rhythm import to_ms
from quarantine.sample.stage import Deed, Incident, Stage
from quarantine.sample.story import Story

FIRST_POSITION = 2  # of Synapse's stream
INSTANCE = "master"
ROWS_PER_STATEMENT = 1_000
CHANGES_PER_APPEND = 10_000

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
    held = require_empty()
    home = settings.HOMESERVER_NAME
    names = [person.username for person in staff]
    end = (end or datetime.now(UTC)).replace(microsecond=0)
    progress("story", 0, changes)
    stage = Story(changes=changes, media=media, seed=seed, staff=names, home=home, end=end).tell()
    numbered = number(stage.incidents, after=max(held.feed_position, FIRST_POSITION - 1))
    write_homeserver(stage, numbered, end=end, progress=progress)
    return write_ledger(numbered, held, staff, media=len(stage.items), end=end, progress=progress)


def require_empty() -> Ledger:
    if settings.HOMESERVER_ATTACHED:
        msg = "A real homeserver is attached (HOMESERVER_DATABASE_URL); sample data is for the sample homeserver alone."
        raise SampleError(msg)
    held = ledger.current()
    if held.head or Action.objects.exists():
        msg = f"The ledger is not empty: it holds {held.head:,} changes. Sample data goes into a new one (DATABASE_URL, DATA_DIR)."
        raise SampleError(msg)
    return held


@dataclass(frozen=True, slots=True)
class Numbered:
    """An incident and the feed id of its first row; the others follow without gaps."""

    incident: Incident
    first_id: int

    @property
    def feed_ids(self) -> Sequence[int]:
        return range(self.first_id, self.first_id + len(self.incident.items)) if self.incident.in_feed else ()


def number(incidents: Iterable[Incident], *, after: int) -> list[Numbered]:
    """Give each feed row its id, in order."""
    numbered = []
    for incident in incidents:
        numbered.append(Numbered(incident, after + 1))
        after += len(numbered[-1].feed_ids)
    return numbered


# --- The homeserver's side ----------------------------------------------------------------


def write_homeserver(stage: Stage, numbered: list[Numbered], *, end: datetime, progress: Progress) -> None:
    """Replace whatever the sample homeserver held: an empty ledger vouches for none of it."""
    items = sorted((item for item in stage.items if not item.deleted), key=attrgetter("created"))
    with transaction.atomic(using=ALIAS):
        for model in (FeedChange, LocalMedia, RemoteMedia, StreamPosition):
            model.objects.all().delete()
        written = 0
        for some in batched(items, ROWS_PER_STATEMENT):
            local = [local_row(item, stage, end) for item in some if item.local]
            LocalMedia.objects.bulk_create(local)
            RemoteMedia.objects.bulk_create([remote_row(item, stage, end) for item in some if not item.local])
            written += len(some)
            progress("homeserver", written, len(items))
        last = 0
        for rows in batched(feed_rows(numbered), ROWS_PER_STATEMENT):
            FeedChange.objects.bulk_create(rows)
            last = rows[-1].stream_id
        if last:
            StreamPosition.objects.create(stream_name=STREAM, instance_name=INSTANCE, stream_id=last)


def local_row(item: Item, stage: Stage, end: datetime) -> LocalMedia:
    return LocalMedia(
        media_id=item.media_id,
        media_type=item.media_type,
        media_length=item.media_length,
        created_ts=to_ms(item.created),
        upload_name=item.upload_name or None,
        user_id=item.uploader,
        quarantined_by=item.quarantined_by,
        last_access_ts=min(stage.studio.last_access(item), to_ms(end)),
        safe_from_quarantine=item.protected,
        authenticated=True,
        sha256=item.sha256,
    )


def remote_row(item: Item, stage: Stage, end: datetime) -> RemoteMedia:
    return RemoteMedia(
        media_origin=item.origin,
        media_id=item.media_id,
        media_type=item.media_type,
        created_ts=to_ms(item.created),
        upload_name=item.upload_name or None,
        media_length=item.media_length,
        filesystem_id=item.media_id[:24],
        last_access_ts=min(stage.studio.last_access(item), to_ms(end)),
        quarantined_by=item.quarantined_by,
        authenticated=True,
        sha256=item.sha256,
    )


def feed_rows(numbered: Iterable[Numbered]) -> Iterator[FeedChange]:
    for one in numbered:
        for feed_id, item in zip(one.feed_ids, one.incident.items, strict=False):
            yield FeedChange(
                stream_id=feed_id,
                instance_name=INSTANCE,
                origin=None if item.local else item.origin,
                media_id=item.media_id,
                quarantined=one.incident.quarantined,
            )


# --- The ledger's side --------------------------------------------------------------------


def write_ledger(
    numbered: list[Numbered], held: Ledger, staff: Sequence[Staff], *, media: int, end: datetime, progress: Progress
) -> Filled:
    people = {person.username: person for person in staff}
    total = sum(len(one.incident.items) for one in numbered)
    recorded = repeats = actions = 0
    position = held.feed_position
    progress("ledger", 0, total)
    for some in appends(numbered):
        with transaction.atomic():
            actions += write_actions(some, people, before=actions)
            entries = [entry for one in some for entry in to_entries(one, held.feed_generation)]
            last = max((feed_id for one in some for feed_id in one.feed_ids[-1:]), default=position)
            cursor = FeedCursor(generation=held.feed_generation, before=position, after=last)
            done = ledger.append(entries, cursor=cursor)
            if done.recorded + done.repeated != len(entries) or done.head != recorded + done.recorded:
                msg = "Something else writes to this ledger; stop it and start again with a new one."
                raise SampleError(msg)
        position, recorded, repeats = last, done.head, repeats + done.repeated
        progress("ledger", recorded + repeats, total)
    for statement in connection.ops.sequence_reset_sql(no_style(), [Action]):
        with connection.cursor() as db:
            db.execute(statement)
    Ledger.objects.filter(pk=held.pk).update(feed_read_at=end)  # what comes now is later than this
    return Filled(changes=recorded, repeats=repeats, media=media, actions=actions, feed_position=position)


def appends(numbered: list[Numbered]) -> Iterator[list[Numbered]]:
    """Incidents in portions that one transaction records."""
    some: list[Numbered] = []
    size = 0
    for one in numbered:
        some.append(one)
        size += len(one.incident.items)
        if size >= CHANGES_PER_APPEND:
            yield some
            some, size = [], 0
    if some:
        yield some


def write_actions(some: list[Numbered], people: dict[str, Staff], *, before: int) -> int:
    """What staff did, before the changes that refer to it, numbered in its order after `before`."""
    done = [(one.incident, one.incident.deed) for one in some if one.incident.deed is not None]
    for number, (_, deed) in enumerate(done, before + 1):
        deed.pk = number
    actions = [to_action(incident, deed, people) for incident, deed in done]
    Action.objects.bulk_create(actions, batch_size=ROWS_PER_STATEMENT)
    works = [to_work(incident, action) for (incident, _), action in zip(done, actions, strict=True)]
    Work.objects.bulk_create(works, batch_size=ROWS_PER_STATEMENT)
    return len(done)


def to_action(incident: Incident, deed: Deed, people: dict[str, Staff]) -> Action:
    return Action(
        pk=deed.pk,
        verb=deed.verb,
        cause=deed.cause,
        target=deed.target,
        category=deed.category,
        reason=deed.reason,
        staff=people[deed.staff],
        created_at=incident.not_before or incident.moment,
        undoes_id=deed.undoes.pk if deed.undoes else None,
    )


def to_work(incident: Incident, action: Action) -> Work:
    """Done already. Of media that only was protected the ledger has no change."""
    asked = len(incident.items) or 1
    return Work(
        action=action,
        status=Work.Status.FINISHED,
        total=asked,
        done=asked,
        outcome={"asked": asked, "changed": asked},
        started_at=action.created_at,
        updated_at=incident.moment,
        ended_at=incident.moment,
    )


def to_entries(one: Numbered, generation: int) -> Iterator[Entry]:
    incident = one.incident
    by_staff = incident.deed.staff if incident.deed else incident.by
    for place, item in enumerate(incident.items):
        yield Entry(
            mxc=Mxc(item.origin, item.media_id),
            quarantined=incident.quarantined,
            deleted=incident.deleted,
            source=incident.source,
            cause=incident.cause,
            changed_by=by_staff,
            quarantined_by=incident.by,
            not_before=incident.not_before or item.created,
            seen_at=incident.moment,
            action_id=incident.deed.pk if incident.deed else None,
            feed_generation=generation if incident.in_feed else None,
            feed_id=one.first_id + place if incident.in_feed else None,
            media_type=item.media_type,
            media_length=item.media_length,
            upload_name=item.upload_name,
            uploader=item.uploader or "",
            sha256=item.sha256,
        )
