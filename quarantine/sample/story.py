"""What happened on the sample homeserver, told as incidents in order: the same for the same seed.

As on a real one, copies of one file change together, protected media is left alone, matches by
hash enter no feed, and deleted media loses its row.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import accumulate
from random import Random

from quarantine.models import Cause, Source
from quarantine.sample import names
from quarantine.sample.items import Content, Item, pick
from quarantine.sample.rhythm import make_moments, make_waves
from quarantine.sample.stage import Incident, Stage, mxc

DAYS = 90
SHARE_CLEAN = 0.12  # of all media was never quarantined
SHARE_FIRST_FOUND = 0.07  # of all changes: what the backfill found on the first day
LAST_SINGLY = 30  # changes: what one sees first isn't one big sweep
AUDIT_HOUR = 3


SCENES = (
    "match_hash", "quarantine_copies", "sweep_user", "sweep_others", "quarantine_again", "release", "delete", "undo",
)  # fmt: skip


@cache
def likely(big: bool, audit: bool, undoable: bool) -> list[float]:
    """How often each of SCENES is played, added up, as `choices` wants it."""
    one, many = (0, 1) if big else (1, 0)
    return list(accumulate((22, 56 * one, 50 * many, 40 * many, 3, 12, 40 if audit else 0.3, 10 if undoable else 0)))


class Story:
    """Tells exactly `changes` changes over `media` media items, 90 days that end at `end`."""

    def __init__(self, *, changes: int, media: int, seed: int, staff: Sequence[str], home: str, end: datetime) -> None:
        self.rng = Random(seed)  # noqa: S311 - a story, not a secret
        self.stage = Stage(self.rng, staff=staff, home=home)
        self.studio = self.stage.studio
        self.changes, self.media = changes, media
        self.start, self.end = end - timedelta(days=DAYS), end
        self.anchor = Content()  # one item kept aside: whatever else is impossible, it can change

    def tell(self) -> Iterator[Incident]:
        """The incidents in their order, while they happen: what they refer to is the stage's, and goes on changing."""
        sizes = self.plan()
        waves = make_waves(self.rng, start=self.start, end=self.end)
        moments = make_moments(self.rng, len(sizes), start=self.start, end=self.end, waves=waves)
        for _ in self.find_what_was_there(min(int(self.changes * SHARE_FIRST_FOUND), int(self.media * 0.3))):
            yield from self.stage.told()
        owed = -self.stage.done
        for moment, size in zip(moments, sizes, strict=True):
            owed += size
            while owed > 0:
                before = self.stage.done
                self.happen(moment, owed)
                owed -= self.stage.done - before
                yield from self.stage.told()
        self.add_clean_media()

    def plan(self) -> list[int]:
        """How many items change at each incident: mostly one, sometimes a sweep. They sum up to all changes."""
        sizes: list[int] = []
        left = self.changes
        while left:
            size = pick(self.rng, (1, self.rng.randrange(2, 5), self.rng.randrange(5, 42)), (86, 96, 100))
            sizes.append(min(size, left) if left > LAST_SINGLY else 1)
            left -= sizes[-1]
        return sizes

    def happen(self, moment: datetime, size: int) -> None:
        """One incident of `size` items, or fewer where that many can't be had; an undo may be of more."""
        audit = moment.hour == AUDIT_HOUR and moment.minute < 30
        chosen = pick(self.rng, SCENES, likely(size >= 5, audit, self.last_sweep() is not None))
        if not any(getattr(self, scene)(moment, size) for scene in (chosen, "quarantine_again", "release")):
            self.toggle_anchor(moment)

    def room_for(self, count: int) -> bool:
        """Whether so many items may still be made: evenly over the story, so that its end is as lively as its start."""
        told = (self.stage.done + count) / self.changes
        return len(self.stage.items) + count <= (self.media * (1 - SHARE_CLEAN) - 1) * min(told + 0.02, 1)

    # --- Scenes: each answers whether it could be played -----------------------------------

    def find_what_was_there(self, count: int) -> Iterator[None]:
        """The first day: media that was quarantined before anybody looked; some at a time."""
        for first in range(0, count, 500):
            chunk = min(500, count - first)
            made = (self.start - timedelta(days=self.rng.expovariate(1 / 80), minutes=5) for _ in range(chunk))
            items = [self.stage.keep(self.studio.make(moment)) for moment in made]
            for item in items:
                self.find(item)
            self.stage.hold(items)
            yield

    def find(self, item: Item) -> None:
        found = 2 if item.local else 0
        who = pick(self.rng, ("system", *names.MODERATORS), (found, found + 5, found + 8, found + 10, found + 11))
        by = who if who == "system" else f"{who}:{self.stage.home}"
        self.stage.add(
            Incident(
                moment=self.start, items=[item], quarantined=True, source=Source.BACKFILL, in_feed=False,
                by=by, cause=Cause.HASH if by == "system" else Cause.UNKNOWN,
            )
        )  # fmt: skip

    def match_hash(self, moment: datetime, size: int) -> bool:
        """Quarantined files are uploaded again; the homeserver quarantines them by itself and tells nobody."""
        size = min(size, self.rng.randrange(1, 4))
        known = self.stage.held.take(self.rng, most=12)
        if known is None:
            return False
        self.stage.held.contents.append(known)
        if not self.room_for(size):
            return False
        made = [moment - timedelta(seconds=self.rng.uniform(0.4, 10)) for _ in range(size)]
        again = [self.stage.keep(self.studio.copy(known.items[0], when, local=True)) for when in made]
        known.items += again
        self.stage.add(
            Incident(
                moment=moment,
                items=again,
                quarantined=True,
                source=Source.AUDIT,
                by="system",
                cause=Cause.HASH,
                in_feed=False,
            )
        )
        return True

    def quarantine_copies(self, moment: datetime, size: int) -> bool:
        """Somebody quarantines one file; its copies follow."""
        if not self.room_for(size):
            return False
        made = self.studio.shortly_before(moment, typically=timedelta(hours=9))
        first = self.stage.keep(self.studio.make(made))
        later = [made + (moment - made) * self.rng.random() for _ in range(size - 1)]
        items = [first, *(self.stage.keep(self.studio.copy(first, when)) for when in later)]
        self.stage.hold(items, copies=True)
        self.stage.quarantine(moment, list(items), cause=Cause.ITEM, target=mxc(first))
        return True

    def sweep_user(self, moment: datetime, size: int) -> bool:
        """All that one spammer uploaded within minutes."""
        if not self.room_for(size):
            return False
        spammer, begun = self.studio.spammer(), moment - timedelta(minutes=self.rng.randrange(4, 90))
        made = [begun + (moment - begun) * self.rng.random() for _ in range(size)]
        items = [self.stage.keep(self.studio.make(when, local=True, uploader=spammer)) for when in made]
        self.stage.hold(items)
        self.stage.quarantine(moment, items, cause=Cause.USER, target=spammer)
        return True

    def sweep_others(self, moment: datetime, size: int) -> bool:
        """What was posted to one room, came from one server, or stands in a list somebody sent."""
        if not self.room_for(size):
            return False
        cause = pick(self.rng, (Cause.ROOM, Cause.ORIGIN, Cause.LIST), (5, 8, 10))
        made = [self.studio.shortly_before(moment, typically=timedelta(hours=20)) for _ in range(size)]
        items = [
            self.stage.keep(self.studio.make(when, local=False if cause is Cause.ORIGIN else None)) for when in made
        ]
        target = self.rng.choice(names.ROOMS).format(home=self.stage.home)
        if cause is Cause.ORIGIN:
            target = self.rng.choice(names.SPAM_SERVERS)
            for item in items:
                item.origin = target
        elif cause is Cause.LIST:
            target = "\n".join(mxc(item) for item in items)
        self.stage.hold(items)
        # Synapse itself can't quarantine a server or a list.
        self.stage.quarantine(moment, items, cause=cause, target=target, by_staff=cause is not Cause.ROOM)
        return True

    def quarantine_again(self, moment: datetime, size: int) -> bool:
        content = self.stage.free.take(self.rng, most=size)
        if content is None:
            return False
        self.stage.held.contents.append(content)
        self.stage.quarantine(moment, list(content.items), cause=Cause.ITEM, target=mxc(content.items[0]))
        return True

    def release(self, moment: datetime, size: int) -> bool:
        """An appeal is upheld; the file may be protected, so that it stays visible."""
        content = self.stage.held.take(self.rng, most=size)
        if content is None:
            return False
        first = content.items[0]
        self.stage.release(moment, list(content.items), cause=Cause.ITEM, target=mxc(first))
        if first.local and self.rng.random() < 0.1:
            self.stage.protect(moment, first)
        else:
            self.stage.free.contents.append(content)
        return True

    def delete(self, moment: datetime, _size: int) -> bool:
        """Local media was deleted from the homeserver; the nightly audit finds that it is gone."""
        content = self.stage.held.take(self.rng, most=1)
        if content is None:
            return False
        [item] = content.items
        if not item.local:
            self.stage.held.contents.append(content)
            return False
        self.stage.add(
            Incident(
                moment=moment, items=[item], deleted=True, source=Source.AUDIT, in_feed=False,
                not_before=max(moment - timedelta(days=1), item.created),
            )
        )  # fmt: skip
        return True

    def last_sweep(self) -> Incident | None:
        """What happened last, if staff swept then and it can all be taken back."""
        last = self.stage.last
        if last is None or last.deed is None or last.cause is Cause.ITEM or not last.quarantined:
            return None
        contents = self.stage.held.contents[-len(last.items) :]
        complete = [content.items for content in contents] == [[item] for item in last.items]
        return last if complete and self.left() >= len(contents) else None

    def undo(self, moment: datetime, _size: int) -> bool:
        """The sweep that staff just did was a mistake and is taken back as a whole."""
        last = self.last_sweep()
        if last is None or last.deed is None:
            return False
        contents = self.stage.held.contents[-len(last.items) :]
        del self.stage.held.contents[-len(contents) :]
        self.stage.free.contents += contents
        deed = last.deed
        self.stage.release(moment, list(last.items), cause=deed.cause, target=deed.target, undoes=deed)
        return True

    def left(self) -> int:
        return self.changes - self.stage.done

    def toggle_anchor(self, moment: datetime) -> None:
        if not self.anchor.items:
            self.anchor.items.append(self.stage.keep(self.studio.make(self.start - timedelta(days=1))))
        [item] = self.anchor.items
        change = self.stage.release if item.quarantined_by else self.stage.quarantine
        change(moment, [item], cause=Cause.ITEM, target=mxc(item))

    def add_clean_media(self) -> None:
        """What nobody ever quarantined; here and there two of one file, or protected."""
        count = self.media - len(self.stage.items)
        first = self.start - timedelta(days=30)
        for moment in make_moments(self.rng, count, start=first, end=self.end, waves=[]):
            last = self.stage.items[-1] if self.stage.items else None
            copies = last is not None and last.quarantined_by is None and not last.deleted and self.rng.random() < 0.05
            item = self.stage.keep(self.studio.copy(last, moment) if last and copies else self.studio.make(moment))
            item.protected = item.local and self.rng.random() < 0.01
