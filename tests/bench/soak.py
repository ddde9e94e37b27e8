"""Ten minutes of everything at once: people at work, live readers, exports, and parts that are killed and come back.

    python -m tests.bench.soak [--minutes N] [--readers N]        # make soak

Two web servers and a follower on a PostgreSQL of their own. Three people act on the sample homeserver all the time;
readers watch the events of both servers and go on from the last one they had, wherever they are thrown out. The second
server, a worker of it, the follower and PostgreSQL are killed in turn; the first server lives through it all, and its
memory is what must not grow. It keeps 10,000 rendered rows: so somebody watches there while the ledger gets twice as many
and more, of the kind that people then make, before anything is measured: each row was rendered, kept and dropped as it
is later. Growth is told with an interval: 0 within it is as much as can be said.
Ends with 1 when a reader missed a change or saw one twice, an export was short, or memory grew.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import cycle

from tests.bench.soak_memory import Memory
from tests.bench.workshop import Visitor, Workshop, children, sign_in, workshop
from tests.environment import ROOT, manage
from tests.postgresql import free_port
from tests.quarantine.followers import FollowerProcess, eventually, follower
from tests.servers import Server, running_server

PEOPLE, PACE = 3, 0.3  # seconds between two acts of one
FAULT_EVERY, EXPORT_EVERY = 20.0, 5.0  # seconds
BEFORE = 25_000  # changes the ledger begins with: two and a half times as many as a server keeps rows of
PAGE, LOOKED_AT = 50, 5_000  # rows of the timeline; how many are looked at
CATCH_UP = 120.0  # seconds for the readers, in the end
WORK = """
import secrets, sys, time
from django.conf import settings
from quarantine.homeserver.sample import File, SampleHomeserver
homeserver = SampleHomeserver(user_id=f"@mod:{{settings.HOMESERVER_NAME}}")
end = time.monotonic() + {seconds}
number = 0
while time.monotonic() < end:
    number += 1
    mxc = homeserver.upload(File(sha256=secrets.token_hex(32), media_length=1), uploader=f"@anna:{{settings.HOMESERVER_NAME}}")
    homeserver.quarantine(mxc)
    if number % 3 == 0:
        homeserver.release(mxc)
    time.sleep({pace})
"""
FILL = """
import http.client, secrets
from django.conf import settings
from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Source
from quarantine.mxc import Mxc
name = settings.HOMESERVER_NAME
watching = http.client.HTTPConnection("127.0.0.1", {port}, timeout=60)
watching.request("GET", "/changes/live?since=0", headers={{"Cookie": "{cookie}"}})
events = watching.getresponse()
for first in range(0, {before}, 100):
    ledger.append([
        Entry(mxc=Mxc(name, secrets.token_urlsafe(18)), quarantined=True, source=Source.FEED, changed_by=f"@mod:{{name}}",
              uploader=f"@anna:{{name}}", sha256=secrets.token_hex(32), media_type="image/png", media_length=1)
        for _ in range(100)
    ])
    while (line := events.readline()) != f"id: {{first + 100}}\\n".encode():
        assert line, "The live view ended."
"""
HEARD = "from quarantine.homeserver.models import FeedChange; print(FeedChange.objects.count())"
HEAD = "from quarantine import ledger; print(ledger.current().head)"


@dataclass
class Site:
    """What runs, and what was done to it."""

    place: Workshop
    env: dict[str, str]
    stack: ExitStack
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])
    servers: list[Server] = field(default_factory=list)
    following: FollowerProcess | None = None
    faults: dict[str, int] = field(default_factory=dict)

    def start(self) -> None:
        self.servers = [self.serve(0), self.serve(1, "--workers", "2")]
        self.follow()

    def serve(self, number: int, *options: str) -> Server:
        server = self.stack.enter_context(running_server(self.env, "--port", str(self.ports[number]), *options))
        eventually(lambda: answers(server))
        return server

    def follow(self) -> None:
        self.following = self.stack.enter_context(follower(self.env, "--interval", "0.1"))

    def kill_server(self) -> None:
        os.killpg(self.servers[1].process.pid, signal.SIGKILL)
        self.servers[1].process.wait()
        self.servers[1] = self.serve(1, "--workers", "2")

    def kill_worker(self) -> None:
        with suppress(ProcessLookupError, IndexError):
            os.kill(children(self.servers[1].process.pid)[-1], signal.SIGKILL)

    def kill_follower(self) -> None:
        self.following.process.kill()
        self.follow()

    def restart_database(self) -> None:
        self.place.owned.stop()
        self.place.owned.start()

    def hurt(self, until: float) -> None:
        for fault in cycle((self.kill_worker, self.kill_follower, self.restart_database, self.kill_server)):
            if time.monotonic() + FAULT_EVERY > until:
                return
            time.sleep(FAULT_EVERY)
            fault()
            self.faults[fault.__name__] = self.faults.get(fault.__name__, 0) + 1


@dataclass
class Exports(threading.Thread):
    """Whole exports, one after the other. One that is not as long as it said must have been broken off."""

    port: int
    cookie: str
    stop: threading.Event
    whole: int = 0
    broken: int = 0
    short: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        server = Server(process=None, url=f"http://127.0.0.1:{self.port}")
        while not self.stop.wait(EXPORT_EVERY):
            try:
                answer = server.request("GET", "/changes.ndjson", headers={"Cookie": self.cookie})
            except (OSError, HTTPException):
                self.broken += 1
                continue
            if answer.status != 200:
                self.broken += 1
                continue
            head, rows = int(answer.headers["X-Ledger-Head"]), answer.body.count(b"\n")
            self.whole += 1
            if rows != head:
                self.short.append(f"{rows:,} rows of {head:,}")


def answers(server: Server) -> bool:
    try:
        return server.request("GET", "/healthz").status == 200
    except OSError:
        return False


@contextmanager
def crowd(site: Site, cookie: str, readers: int) -> Iterator[subprocess.Popen]:
    command = [
        sys.executable,
        "-m",
        "tests.bench.soak_client",
        cookie,
        str(readers),
        str(BEFORE),
        *map(str, site.ports),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            yield client
        finally:
            client.kill()


def look_at_pages(port: int, cookie: str) -> None:
    """The newest of the timeline: what is kept of whole pages is full then."""
    visitor = Visitor(port, cookie)
    for cursor in range(BEFORE + 1, BEFORE + 1 - LOOKED_AT, -PAGE):
        page = visitor.get(f"/?fold=off&cursor={cursor}")
        assert page.count(b'<li class="row"') >= PAGE, page
    visitor.close()


def number(env: dict[str, str], code: str) -> int:
    return int(manage(env, "shell", code=code).strip().splitlines()[-1])


def wait(condition: Callable[[], bool], what: str) -> None:
    try:
        eventually(condition, seconds=CATCH_UP)
    except AssertionError:
        print(f"Waited {CATCH_UP:.0f} s in vain: {what}.", flush=True)


def soak(place: Workshop, *, minutes: float, readers: int) -> bool:
    """Print what came of it; whether all was well."""
    env = place.ledger("soak")
    cookie, stop = sign_in(env), threading.Event()
    with ExitStack() as stack:
        site = Site(place, env, stack)
        site.start()
        manage(env, "shell", code=FILL.format(before=BEFORE, port=site.ports[0], cookie=cookie))
        look_at_pages(site.ports[0], cookie)
        until = time.monotonic() + minutes * 60
        client = stack.enter_context(crowd(site, cookie, readers))
        assert client.stdout.readline() == "ready\n"
        exports, memory = Exports(site.ports[0], cookie, stop), Memory(site.servers[0].process.pid, stop)
        work = [sys.executable, "manage.py", "shell", "-v0", "-c", WORK.format(seconds=minutes * 60, pace=PACE)]
        people = [stack.enter_context(subprocess.Popen(work, cwd=ROOT, env=env)) for _ in range(PEOPLE)]
        exports.start()
        memory.start()
        site.hurt(until)
        for person in people:
            person.wait()
        wait(lambda: number(env, HEAD) == BEFORE + number(env, HEARD), "the ledger has all that the homeserver said")
        stop.set()
        heard, head = number(env, HEARD), number(env, HEAD)
        client.stdin.write(f"{head}\n")
        client.stdin.flush()
        told = json.loads(client.stdout.readline())
        exports.join()
        memory.join()
    return report(told, heard=heard, written=head - BEFORE, exports=exports, memory=memory, faults=site.faults)


def report(told: dict, *, heard: int, written: int, exports: Exports, memory: Memory, faults: dict[str, int]) -> bool:
    lost = sum(BEFORE + written - seen for seen in told["seen"])
    lines = {
        "changes of the homeserver": f"{heard:,}",
        "changes written": f"{written:,}, after {BEFORE:,} before",
        "live readers": f"{len(told['seen'])}, thrown out {told['thrown_out']:,} times",
        "changes seen by every reader": f"{min(told['seen']) - BEFORE:,}",
        "lost": f"{lost:,}",
        "twice or out of order": f"{told['wrong']:,}",
        "whole exports": f"{exports.whole:,}, short {len(exports.short)}, broken off {exports.broken:,}",
        "memory of the server that lived": memory.span(),
        "memory slope": memory.told(),
        "faults": ", ".join(f"{name.replace('_', ' ')} {times}" for name, times in faults.items()) or "none",
    }
    for name, value in lines.items():
        print(f"{name:32} {value}", flush=True)
    return not lost and not told["wrong"] and not exports.short and heard == written and memory.well()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--readers", type=int, default=200)
    asked = parser.parse_args()
    with workshop() as place:
        well = soak(place, minutes=asked.minutes, readers=asked.readers)
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
