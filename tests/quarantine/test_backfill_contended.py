"""Backfills and audits while the very media they look at is quarantined and released, again and again."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from random import Random

import pytest
from django.db import connections

from quarantine.backfill import Job
from quarantine.fold import milliseconds
from quarantine.follow import Follower
from quarantine.models import Change, Run, Source, State
from quarantine.mxc import Mxc
from tests.quarantine.ledger_checks import assert_sound, states_held
from tests.quarantine.synapse_tables import MOD, open_tables

MODERATORS = 3
MEDIA = 8  # of each moderator's; every other one is remote
ROUNDS = 2
AT_LEAST = 150  # moments of each moderator's
PAUSE = 0.005  # seconds
VISIBLE, QUARANTINED, GONE = "visible", "quarantined", "gone"
TRUE_OF = {State.QUARANTINED: QUARANTINED, State.RELEASED: VISIBLE, State.DELETED: GONE}


@dataclass
class Moment:
    """What a media item has been since `since`, or a little later; and which row of the feed says so, if any."""

    state: str
    feed_id: int | None
    since: datetime
    until: datetime | None = None  # or a little earlier; None: still


@dataclass
class Moderator:
    """Acts on media of its own, and remembers everything. Some of it no row of the feed tells."""

    owner: str
    media: list[Mxc]
    ids: count  # shared: taken within a transaction that commits later, as Synapse does
    random: Random
    story: dict[Mxc, list[Moment]] = field(default_factory=lambda: defaultdict(list))

    def work(self, done):
        with open_tables(self.owner) as tables:
            for turn in count():
                if done.is_set() and turn > AT_LEAST:
                    return
                mxc = self.media[turn % len(self.media)]
                self.change(tables, mxc, *self.choose(mxc))
                time.sleep(PAUSE)

    def choose(self, mxc):
        """(state, told by the feed)"""
        moments = self.story[mxc]
        now = moments[-1].state if moments else GONE
        if now == GONE:
            return VISIBLE, False  # uploaded; or, of another server, cached again
        if now == VISIBLE:
            return QUARANTINED, self.random.random() < 0.7  # otherwise by its hash
        if mxc.origin == "r.example" and self.random.random() < 0.3:
            return GONE, False
        return (VISIBLE if self.random.random() < 0.7 else QUARANTINED), True

    def change(self, tables, mxc, state, told):
        origin = None if mxc.origin == "matrix.example" else mxc.origin
        feed_id = None
        tables.begin()
        if state == GONE:
            tables.execute("DELETE FROM remote_media_cache WHERE media_id = %s", (mxc.media_id,))
        else:
            by = (MOD if told else "system") if state == QUARANTINED else None
            tables.set_media(mxc.media_id, by=by, origin=origin)
        if told:
            feed_id = next(self.ids)
            tables.add_row(feed_id, mxc.media_id, quarantined=state == QUARANTINED, origin=origin)
        since = datetime.now(UTC)
        tables.commit()
        moments = self.story[mxc]
        if moments:
            moments[-1].until = datetime.now(UTC)
        moments.append(Moment(state, feed_id, since))


@dataclass
class Watch:
    """Which of its true states each change of a media item tells of: each a later one than the change before it."""

    moments: list[Moment]
    runs: list[datetime]  # when each began
    place: int = -1

    def place_of(self, change):
        for place, moment in enumerate(self.moments):
            if place > self.place and moment.state == TRUE_OF[change.state] and self.tells(change, moment):
                self.place = place
                return place
        return None

    def tells(self, change, moment):
        """By the feed: this very row. By a look: it was so while the run that looked went on, or the run before."""
        if change.source == Source.FEED:
            return change.feed_id == moment.feed_id
        began = [run for run in self.runs if run <= change.seen_at][-2:]
        return milliseconds(moment.since) <= change.seen_at and (moment.until is None or moment.until >= began[0])


@pytest.fixture
def moderators(synapse):
    """At work, with a follower beside them; `stop` ends them all."""
    ids, done = count(2), threading.Event()
    crew = [Moderator(synapse.owner, media_of(number), ids, Random(number)) for number in range(MODERATORS)]
    threads = [threading.Thread(target=each.work, args=[done]) for each in crew]
    unswept = Follower(done, swept_at=float("inf"))
    threads.append(threading.Thread(target=follow, args=[unswept]))
    for thread in threads:
        thread.start()

    def stop():
        done.set()
        for thread in threads:
            thread.join()
        return {mxc: moments for each in crew for mxc, moments in each.story.items()}

    yield stop
    stop()


def media_of(number):
    return [Mxc("r.example" if one % 2 else "matrix.example", f"m{number}-{one}") for one in range(MEDIA)]


def follow(follower):
    try:
        follower.run(interval=0.01)
    finally:
        connections.close_all()


def go(kind, over, **options):
    return Job(kind=kind, over=over, stop=threading.Event(), **options).go()


@pytest.mark.django_db(transaction=True)
def test_every_state_recorded_was_so_and_in_the_end_all_agree(moderators):
    runs = [datetime.now(UTC)]
    for _ in range(ROUNDS):
        for kind, over in ((Run.Kind.BACKFILL, ["local", "remote"]), (Run.Kind.AUDIT, ["local", "remote", "held"])):
            runs.append(datetime.now(UTC))
            go(kind, over)
    story = moderators()
    runs.append(datetime.now(UTC))
    go(Run.Kind.AUDIT, ["local", "remote", "held"])

    watches = {mxc: Watch(moments, runs) for mxc, moments in story.items()}
    changes = list(Change.objects.order_by("stream_id"))
    assert [change for change in changes if watches[change.mxc].place_of(change) is None] == []
    assert {change.source for change in changes} >= {Source.FEED, Source.AUDIT}
    assert_sound()
    held = {mxc for mxc, (state, _) in states_held().items() if state == State.QUARANTINED}
    assert held == {mxc for mxc, moments in story.items() if moments[-1].state == QUARANTINED}
    assert go(Run.Kind.AUDIT, ["local", "remote", "held"], write=False).drift == 0
