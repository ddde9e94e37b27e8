"""`backfill`, `audit` and `follow --once` in any order, on a Synapse with a history: what the ledger then
holds as quarantined is what its media tables say, row for row.

The mass of media are rows of its tables, since uploads are slow; whatever happened to media, Synapse did.
"""

import hashlib
import time
from dataclasses import dataclass, field
from itertools import permutations

import pytest
from django.core.management import call_command

from quarantine.models import Change, MediaItem, State
from quarantine.mxc import Mxc
from tests.quarantine.ledger_checks import assert_sound
from tests.synapse.worlds import actors, fresh

MEDIA = 1_000  # quarantined in the end, or a few more
SHARE = MEDIA // 20
ROWS_AT_ONCE = 500
ORDERS = list(permutations(["follow --once", "backfill", "audit"]))


@dataclass
class Shelf:
    """Media in Synapse's tables whose files nobody will ask for."""

    world: object
    user: str
    made: int = 0
    contents: dict[Mxc, bytes] = field(default_factory=dict)

    def local(self, count, **facts):
        return self.put([Mxc(self.world.name, f"shelf{self.made + number}") for number in range(count)], **facts)

    def remote(self, count, **facts):
        return self.put([Mxc("remote.example", f"shelf{self.made + number}") for number in range(count)], **facts)

    def put(self, names, *, contents=None, by=None):
        """Rows of these names: each file its own, unless `contents` says; `by`: quarantined before there was a feed."""
        self.made += len(names)
        self.contents |= zip(names, contents or [fresh() for _ in names], strict=True)
        rows = [self.row(mxc, by) for mxc in names]
        table = "local_media_repository" if names[0].origin == self.world.name else "remote_media_cache"
        for first in range(0, len(rows), ROWS_AT_ONCE):
            self.world.lab.database.insert(table, rows[first : first + ROWS_AT_ONCE])
        return names

    def row(self, mxc, by):
        local, now = mxc.origin == self.world.name, int(time.time() * 1000)
        ours = {"user_id": self.user} if local else {"media_origin": mxc.origin, "filesystem_id": mxc.media_id}
        content = self.contents[mxc]
        facts = {"media_length": len(content), "sha256": hashlib.sha256(content).hexdigest(), "quarantined_by": by}
        same = {"media_id": mxc.media_id, "media_type": "video/mp4", "created_ts": now, "last_access_ts": now}
        return ours | same | facts

    def again(self, media):
        """The same bytes uploaded again: Synapse quarantines what it knows, by itself."""
        return [self.world.upload(self.contents[mxc]) for mxc in media]


@dataclass(frozen=True)
class Story:
    """What was done to media of note."""

    shelf: Shelf
    deleted: list[Mxc]  # while quarantined, and the feed had told of it
    released: list[Mxc]
    matched: list[Mxc]  # quarantined by Synapse itself
    protected: list[Mxc]
    spare: list[Mxc]  # visible


@pytest.fixture(scope="module")
def story(engine, synapse_worlds):
    """Told once for each engine, on the Synapse of that engine; each test has a new ledger."""
    world = synapse_worlds(engine)
    world.users["hoarder"] = world.lab.register("hoarder")
    shelf = Shelf(world, world.user_id("hoarder"))
    return tell(world, shelf)


def tell(world, shelf):
    swept = shelf.local(12 * SHARE)
    protected, rest = swept[:5], swept[5:]
    each(world.admin.protect, protected)
    world.admin.quarantine_user(shelf.user)
    repeated, toggled, deleted, sealed = rest[:20], rest[20:50], rest[50:70], rest[70:80]
    each(world.other_admin.quarantine, repeated)
    each(world.admin.release, toggled)
    each(world.admin.release, toggled[:10])
    each(world.other_admin.quarantine, toggled[20:])
    each(world.admin.protect, sealed)

    contents = [fresh() for _ in range(SHARE)]
    locals_ = shelf.local(SHARE, contents=contents)
    remotes = [shelf.remote(SHARE, contents=contents) for _ in range(2)]
    each(world.admin.quarantine, locals_)
    each(world.admin.release, remotes[0][:10])

    matched = shelf.again(locals_[10:30])
    assert set(actors(world, *matched)) == {"system"}
    each(world.delete, [*deleted, *matched[:5], *toggled[:5]])

    shelf.local(2 * SHARE, by="@gone:lab.test")
    shelf.remote(5 * SHARE, by="system")
    cached_again(world, shelf)
    return Story(shelf, deleted, toggled[5:20], matched[5:], protected, shelf.local(3 * len(ORDERS)))


def cached_again(world, shelf):
    """Remote media that was quarantined, released and purged; then fetched anew, and some of it quarantined anew.

    And what Synapse doesn't do, but its owner may: quarantined media whose row was removed.
    """
    purged, removed = shelf.remote(10), shelf.remote(10)
    each(world.admin.quarantine, [*purged, *removed])
    each(world.admin.release, purged)
    assert world.purge_remote_cache() >= len(purged)
    for mxc in removed:
        world.lab.database.run("DELETE FROM remote_media_cache WHERE media_id = %s", mxc.media_id)
    shelf.put([*purged, *removed[:5]])
    each(world.admin.quarantine, purged[5:])


def each(act, media):
    for mxc in media:
        act(mxc)


@pytest.fixture
def world(story, attach):
    attach(story.shelf.world)
    return story.shelf.world


def run(command):
    """What the command would exit with."""
    name, *options = command.split()
    try:
        call_command(name, *options)
    except SystemExit as end:
        return end.code
    return 0


def assert_agrees(world):
    held = {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)}
    assert held == world.quarantined()
    assert len(held) >= MEDIA
    assert_sound()


def states(media):
    return [MediaItem.objects.get(pk=(mxc.origin, mxc.media_id)).state for mxc in media]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_in_any_order_the_ledger_ends_as_the_media_tables_are(world, story, order):
    codes = [run(command) for command in [*order, "audit --report-only"]]

    assert codes == [0, 0, 0, 0]
    assert_agrees(world)
    assert states(story.deleted) == [State.DELETED] * len(story.deleted)
    assert states(story.released) == [State.RELEASED] * len(story.released)
    told = Change.objects.filter(media_id__in=[mxc.media_id for mxc in story.matched])
    assert set(told.values_list("quarantined", "changed_by", "cause")) == {(True, "system", "hash")}
    assert told.count() == len(story.matched)
    assert not MediaItem.objects.filter(media_id__in=[mxc.media_id for mxc in story.protected]).exists()
