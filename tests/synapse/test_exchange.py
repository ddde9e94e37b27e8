"""hma-matrix's exchange over a real Synapse: through the dashboard it gets each quarantined file once, whatever
dies or is missing meanwhile; asked directly, Synapse lets it stick at the first file that can't be had.
"""

import hashlib
import secrets
import shutil
import threading
from collections import Counter
from contextlib import ExitStack

import pytest

from quarantine import consumers
from quarantine.models import Change, Consumer, Ledger, Scope
from quarantine.mxc import Mxc
from tests.postgresql import free_port
from tests.quarantine.followers import eventually, follower
from tests.servers import running_server
from tests.synapse.exchange import Exchange, StoppedError
from tests.synapse.worlds import fresh

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

MANY = 105  # more than a page
MEANWHILE = 20
LARGE = 24_000_000  # bytes: more than all buffers between us and its reader
KILLED_AT = (40,)  # files asked for
DENIED = "denied.example"  # no server the lab may talk to: Synapse says 403
DEAD = "remote.example"  # one that can't be reached: Synapse says 502


@pytest.fixture
def world(synapse_worlds, attach):
    world = synapse_worlds("postgresql")
    attach(world)
    return world


class Story:
    """What happens on the homeserver; `files` are the quarantined ones that can be had, by name, with their sha256."""

    def __init__(self, world):
        self.world = world
        self.user = world.lab.register(f"exchange-{secrets.token_hex(6)}")
        self.start = world.position() or 1
        self.files: dict[Mxc, str] = {}
        self.poison: list[Mxc] = []

    def upload(self, content=b""):
        content = content or fresh()
        mxc = self.world.lab.upload(content, by=self.user)
        self.files[mxc] = hashlib.sha256(content).hexdigest()
        return mxc

    def quarantine(self, *media):
        for mxc in media:
            self.world.admin.quarantine(mxc)

    def lose(self, origin):
        """A remote file, cached and quarantined, of which the disk has lost the bytes."""
        mxc = self.world.cache_remote(fresh(), origin=origin)
        self.quarantine(mxc)
        shutil.rmtree(self.world.lab.folder / "media" / "remote_content" / origin)
        self.poison.append(mxc)

    def purge(self, mxc):
        """Released and no longer cached; that it was quarantined stays in the feed."""
        self.world.admin.release(mxc)
        self.world.purge_remote_cache()
        self.poison.append(mxc)

    def begin(self):
        remote = self.world.cache_remote(content := fresh())
        self.files[remote] = hashlib.sha256(content).hexdigest()
        dead = self.world.cache_remote(fresh(), origin=DEAD)
        self.quarantine(self.upload(), remote, dead)
        self.lose(DENIED)
        deleted = self.world.upload(fresh())
        self.quarantine(deleted)
        self.world.delete(deleted)
        for _ in range(MANY):
            self.upload()
        self.world.admin.quarantine_user(self.user.user_id)
        again = self.upload()
        self.quarantine(again, again, self.upload(secrets.token_bytes(LARGE)))
        return dead

    def go_on(self):
        for _ in range(MEANWHILE):
            self.quarantine(self.upload())


class Dashboard:
    """Our web process, which may be killed; it comes back on the same port."""

    def __init__(self, env, stack):
        self.env, self.stack, self.port = env, stack, free_port()
        self.start()

    def start(self):
        self.server = self.stack.enter_context(running_server(self.env, "--port", str(self.port)))

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()


@pytest.fixture
def story(world):
    return Story(world)


def recorded(story):
    """Whether the ledger holds the whole feed."""
    return Ledger.objects.get().feed_position >= story.world.position()


def arrived(exchange, story):
    return Counter((mxc, sha256) for mxc, sha256 in exchange.kept if mxc in story.files or mxc in story.poison)


def test_each_file_arrives_once_through_kills_and_poison_and_changes_meanwhile(story, process_env):
    dead = story.begin()
    token = consumers.create("hma", scopes=[Scope.CHANGES, Scope.MEDIA])
    with ExitStack() as stack, follower(process_env(), "--interval", "0.05"):
        eventually(lambda: recorded(story))
        story.purge(dead)
        eventually(lambda: recorded(story))
        dashboard = Dashboard(process_env(MEDIA_DOWNLOADS="on"), stack)
        exchange = Exchange(port=dashboard.port, token=token)
        writer = threading.Thread(target=story.go_on)
        writer.start()
        stops = run_to_the_end(exchange, dashboard, story, writer)
        eventually(lambda: Consumer.objects.get().position == exchange.checkpoint)

    assert len(stops) == len(KILLED_AT) + 1
    assert arrived(exchange, story) == Counter(story.files.items())
    assert exchange.checkpoint == Ledger.objects.get().head


def run_to_the_end(exchange, dashboard, story, writer):
    """Start the exchange again and again, as HMA does; kill the dashboard at some files, and half-way through a large one."""
    [large] = Change.objects.filter(media_length=LARGE)
    stops, left = [], {*KILLED_AT, "large"}

    def kill(mxc):
        at = "large" if mxc == large.mxc else exchange.asked
        if at in left:
            left.remove(at)
            dashboard.kill()

    exchange.before_reading = kill
    while True:
        written = not writer.is_alive() and recorded(story)
        try:
            exchange.run()
        except StoppedError as stop:
            stops.append(stop)
            dashboard.start()
        else:
            if written:
                return stops


def test_asked_directly_synapse_lets_it_stick(story):
    story.quarantine(story.upload())
    story.lose(DENIED)
    story.quarantine(*(story.upload() for _ in range(3)))
    exchange = Exchange(port=story.world.lab.port, token=story.world.owner.token, checkpoint=story.start)

    for _ in range(2):
        with pytest.raises(StoppedError, match=f"{DENIED}/.*: 403"):
            exchange.run()

    assert (exchange.checkpoint, exchange.kept) == (story.start, [])
