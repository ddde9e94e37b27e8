"""Where the sample's story plays: its media, what is quarantined now, and what happened so far."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from quarantine.models import Cause, Source, Verb
from quarantine.mxc import Mxc
from quarantine.sample import names
from quarantine.sample.items import Content, Item, Studio, pick
from quarantine.sample.rhythm import in_office_hours

CATEGORIES = tuple(names.QUARANTINE_REASONS)
LOOK = timedelta(seconds=1)  # how often the follower looked


@dataclass(slots=True)
class Deed:
    """What staff did: becomes an Action."""

    verb: Verb
    cause: Cause
    target: str
    staff: str
    category: str = ""
    reason: str = ""
    undoes: "Deed | None" = None
    pk: int | None = None  # once it is written


@dataclass(slots=True, kw_only=True)
class Incident:
    """Items that changed at one moment, by one cause. No items: staff protected something."""

    moment: datetime
    items: list[Item]
    quarantined: bool = False
    deleted: bool = False
    source: Source
    cause: Cause = Cause.UNKNOWN
    by: str = ""  # Synapse's quarantined_by, or empty
    deed: Deed | None = None
    not_before: datetime | None = None  # None: when each item was made
    in_feed: bool = True
    repeat: bool = False  # feed rows that changed nothing


@dataclass(slots=True)
class Pool:
    """Contents to draw from, in no particular order; taking one out costs the same however many there are."""

    contents: list[Content] = field(default_factory=list)

    def take(self, rng: Random, *, most: int) -> Content | None:
        """Take out one of at most `most` items, or none after a few tries."""
        for _ in range(8 if self.contents else 0):
            place = rng.randrange(len(self.contents))
            if len(self.contents[place].items) <= most:
                self.contents[place], self.contents[-1] = self.contents[-1], self.contents[place]
                return self.contents.pop()
        return None


class Stage:
    """Keeps homeserver and ledger in step: each method changes items and adds the incident that says so."""

    def __init__(self, rng: Random, *, staff: Sequence[str], home: str) -> None:
        self.rng = rng
        self.studio = Studio(rng, home=home)
        self.staff, self.home = list(staff), home
        self.items: list[Item] = []
        self.untold: list[Incident] = []
        self.last: Incident | None = None
        self.held = Pool()  # quarantined now
        self.free = Pool()  # released, and may be quarantined again
        self.done = 0  # changes so far

    def keep(self, item: Item) -> Item:
        self.items.append(item)
        return item

    def add(self, incident: Incident) -> None:
        by = sys.intern(incident.by) or None if incident.quarantined else None
        for item in incident.items:
            item.quarantined_by = by
            item.deleted = incident.deleted
        if not incident.repeat:
            self.done += len(incident.items)
        self.untold.append(incident)
        self.last = incident

    def told(self) -> list[Incident]:
        """What happened since this was last asked."""
        told, self.untold = self.untold, []
        return told

    def hold(self, items: list[Item], *, copies: bool = False) -> None:
        """Put newly quarantined items where they can be drawn from."""
        self.held.contents += [Content(items)] if copies else [Content([item]) for item in items]

    def quarantine(
        self, moment: datetime, items: list[Item], *, cause: Cause, target: str, by_staff: bool = False
    ) -> None:
        """By staff, if anyone works at this hour, or by a Matrix moderator."""
        if (by_staff and self.staff) or self.somebody_works(moment):
            category = pick(self.rng, CATEGORIES, (60, 74, 84, 88, 100))
            reason = self.rng.choice(names.QUARANTINE_REASONS[category])
            deed = self.deed(Verb.QUARANTINE, cause, target, category=category, reason=reason)
            self.add(self.by_deed(moment, items, deed))
            return
        self.add(self.by_moderator(moment, items))
        if self.rng.random() < 0.04:
            again = self.by_moderator(moment, items)
            again.repeat = True
            self.add(again)

    def release(
        self, moment: datetime, items: list[Item], *, cause: Cause, target: str, undoes: Deed | None = None
    ) -> None:
        if undoes or self.somebody_works(moment) or (self.staff and self.rng.random() < 0.3):
            number = self.rng.randrange(1200, 2400)
            reason = self.rng.choice(names.RELEASE_REASONS).format(number=number)
            self.add(self.by_deed(moment, items, self.deed(Verb.RELEASE, cause, target, reason=reason, undoes=undoes)))
            return
        self.add(Incident(moment=moment, items=items, source=Source.FEED, not_before=moment - LOOK))

    def protect(self, moment: datetime, item: Item) -> None:
        """Changes no state, so the ledger has the action alone."""
        item.protected = True
        if self.staff:
            deed = self.deed(Verb.PROTECT, Cause.ITEM, mxc(item), reason="So that sweeps leave it alone")
            self.add(Incident(moment=moment, items=[], source=Source.ACTION, deed=deed))

    def somebody_works(self, moment: datetime) -> bool:
        return bool(self.staff) and self.rng.random() < (0.6 if in_office_hours(moment) else 0.15)

    def deed(
        self, verb: Verb, cause: Cause, target: str, *, category: str = "", reason: str = "", undoes: Deed | None = None
    ) -> Deed:
        staff = self.rng.choice(self.staff)
        return Deed(verb, cause, target, staff, category=category, reason=reason, undoes=undoes)

    def by_deed(self, moment: datetime, items: list[Item], deed: Deed) -> Incident:
        quarantined = deed.verb is Verb.QUARANTINE
        return Incident(
            moment=moment,
            items=items,
            quarantined=quarantined,
            source=Source.ACTION,
            cause=deed.cause,
            by=f"{names.DASHBOARD_USER}:{self.home}" if quarantined else "",
            deed=deed,
            not_before=moment - timedelta(milliseconds=self.rng.randrange(20, 400)),
        )

    def by_moderator(self, moment: datetime, items: list[Item]) -> Incident:
        by = f"{pick(self.rng, names.MODERATORS, (5, 8, 10, 11))}:{self.home}"
        return Incident(
            moment=moment, items=items, quarantined=True, source=Source.FEED, by=by, not_before=moment - LOOK
        )


def mxc(item: Item) -> str:
    return str(Mxc(item.origin, item.media_id))
