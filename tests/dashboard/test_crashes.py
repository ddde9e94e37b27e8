"""Several web processes and a follower, killed and started again while the homeserver changes and programs read."""

import os
import secrets
import signal
import subprocess
import threading
from contextlib import ExitStack

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from dashboard.management.commands import serve
from quarantine import consumers, ledger
from quarantine.homeserver.feed import STREAM
from quarantine.homeserver.models import FeedChange, LocalMedia, StreamPosition
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Ledger, MediaItem, Role, Scope, State
from tests.dashboard.readers import Poller, Watcher
from tests.factories import make_staff
from tests.postgresql import free_port
from tests.quarantine.followers import eventually, follower
from tests.quarantine.ledger_checks import assert_sound
from tests.servers import running_server
from tests.waiting import waits_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

WRITERS, MEDIA = 2, 60  # media of each; every third is released again. In all fewer than a live view may be behind
PACE = 0.15  # seconds between two


class Writer(threading.Thread):
    """A moderator at work on the sample homeserver."""

    def __init__(self):
        super().__init__(daemon=True)
        self.homeserver = SampleHomeserver(user_id=f"@mod:{settings.HOMESERVER_NAME}")
        self.stopped = threading.Event()

    def run(self):
        for number in range(MEDIA):
            file = File(sha256=secrets.token_hex(32), media_length=1)
            mxc = self.homeserver.upload(file, uploader=f"@anna:{settings.HOMESERVER_NAME}")
            self.homeserver.quarantine(mxc)
            if number % 3 == 0:
                self.homeserver.release(mxc)
            self.stopped.wait(PACE)
        connections.close_all()


class Site:
    """What an operator runs; each part may be killed, and is there again at once."""

    def __init__(self, env, stack):
        self.env, self.stack = env, stack
        self.ports = [free_port(), free_port()]
        self.servers = {}
        self.serve(0, "--workers", "2")
        self.serve(1)
        self.follow()

    def serve(self, number, *options):
        server = running_server(self.env, "--port", str(self.ports[number]), *options)
        self.servers[number] = started = self.stack.enter_context(server)
        eventually(lambda: answers(started))

    def follow(self):
        self.follower = self.stack.enter_context(follower(self.env, "--interval", "0.05"))

    def kill_follower(self):
        kill(self.follower.process)
        self.follow()

    def kill_server(self, number):
        """With all its workers: they end by themselves."""
        kill(self.servers[number].process)
        eventually(lambda: not listening(self.ports[number]))

    def kill_worker(self):
        """The process that started it starts another."""
        parent = self.servers[0].process.pid
        eventually(lambda: len(workers_of(parent)) == 2)
        worker = workers_of(parent)[0]
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: len({*workers_of(parent)} - {worker}) == 2)


def answers(server):
    """The address is taken before there is somebody who answers."""
    try:
        return server.request("GET", "/healthz").status == 200
    except OSError:
        return False


def kill(process):
    process.kill()
    process.wait()


def listening(port):
    return subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout != ""


def workers_of(pid):
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=", "-o", "args=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


@pytest.fixture
def headers(transactional_db):
    """What opens the changes API and the live view."""
    ledger.bind()
    client = Client()
    client.force_login(make_staff("anna", role=Role.VIEWER))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    token = consumers.create("poller", scopes=[Scope.CHANGES])
    return {"Authorization": f"Bearer {token}", "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"}


def live_through(site, readers):
    """Kill one part after the other while homeserver and readers are at work; the head in the end."""
    writers = [Writer() for _ in range(WRITERS)]
    for thread in (*readers, *writers):
        thread.start()
    eventually(lambda: all(reader.seen for reader in readers))
    site.kill_worker()
    site.kill_follower()
    site.kill_server(0)
    site.serve(0)
    site.kill_server(1)
    for writer in writers:
        writer.join()
    eventually(lambda: Ledger.objects.get().feed_position == StreamPosition.objects.get(stream_name=STREAM).stream_id)
    head = Ledger.objects.get().head
    for reader in readers:
        reader.finish(head)
    return head


def test_nothing_is_lost_and_nothing_comes_twice(process_env, headers):
    with ExitStack() as stack:
        site = Site(process_env(), stack)
        readers = [Poller(site.ports, headers), Watcher(site.ports, headers)]
        head = live_through(site, readers)
        site.servers[0].stop()
    for reader in readers:
        reader.join()

    assert_sound()
    assert head == FeedChange.objects.count() == WRITERS * MEDIA * 4 // 3
    assert [reader.seen for reader in readers] == [list(range(1, head + 1))] * 2
    assert all(reader.failures for reader in readers)
    held = set(MediaItem.objects.filter(state=State.QUARANTINED).values_list("media_id", flat=True))
    assert held == set(LocalMedia.objects.exclude(quarantined_by=None).values_list("media_id", flat=True))


def test_processes_that_end_while_asked_whether_they_live_are_replaced(process_env, headers):
    with ExitStack() as stack:
        site = Site(process_env(), stack)
        parent = site.servers[0].process.pid
        eventually(lambda: len(workers_of(parent)) == 2)
        workers = workers_of(parent)
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)  # whoever is asked from now on does not answer
        eventually(lambda: waits_in(parent, "poll"))

        for worker in workers:
            os.kill(worker, signal.SIGKILL)

        eventually(lambda: len({*workers_of(parent)} - {*workers}) == 2, seconds=serve.PATIENCE / 2)
        eventually(lambda: answers(site.servers[0]))
