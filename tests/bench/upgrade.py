"""An upgrade while the version before goes on writing: how long its writers are held up, and whether a row is lost.

Two writers of the version before record one change after the other through its gate, on a ledger that it prepared;
meanwhile `manage.py prepare` of today migrates. The peers: what the same writers waited in the minute before, and while
the same index is built as `CREATE INDEX` does it unless told otherwise.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.bench import ledger_sql
from tests.bench.report import Result
from tests.bench.workshop import Workshop
from tests.environment import manage
from tests.releases import version_before

WRITERS = 2
CALM = 5.0  # seconds of writing before, between and after
WRITE = """
import json, secrets, sys, time
from pathlib import Path
from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Source
from quarantine.mxc import Mxc
print("ready", flush=True)
waited = []
while not Path({stop!r}).exists():
    began = time.monotonic()
    ledger.append([Entry(mxc=Mxc("upgrade.example", secrets.token_hex(12)), quarantined=True, source=Source.FEED)])
    waited.append((began, time.monotonic() - began))
    time.sleep(0.002)
print(json.dumps(waited))
"""
# Modes that a writer's ROW EXCLUSIVE has to wait for.
BLOCKING = """
    SELECT relation::regclass::text, pid FROM pg_locks
    WHERE granted AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
        AND relation IN ('quarantine_change'::regclass, 'quarantine_mediaitem'::regclass)
"""
PLAIN = "CREATE INDEX plain_words ON quarantine_change USING gin (upper(upload_name::text) gin_trgm_ops)"
STORED = "SELECT count(*) FROM quarantine_change WHERE origin = 'upgrade.example'"
HEAD = "SELECT head FROM quarantine_ledger"


@dataclass(frozen=True)
class Upgraded:
    """What was seen of one."""

    took: float  # seconds that `manage.py prepare` ran
    calm: float  # the longest a writer waited before, in seconds; the same for what follows
    during: float
    locked: float  # a large table, for writers; looked at every few milliseconds
    plain: float  # while an index is built the plain way
    plain_took: float
    written: int  # by writers that were told so
    stored: int
    gaps: int  # positions between the first and the last that no row has

    @property
    def lost(self) -> int:
        return self.written - self.stored + self.gaps


@dataclass
class Locks(threading.Thread):
    """How long writers were locked out of a large table at most."""

    url: str
    stop: threading.Event = field(default_factory=threading.Event)
    longest: float = 0.0

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        since: dict[tuple, float] = {}
        with psycopg.connect(self.url, autocommit=True) as db:
            while not self.stop.wait(0.002):
                now, held = time.monotonic(), set(db.execute(BLOCKING).fetchall())
                since = {lock: since.get(lock, now) for lock in held}
                self.longest = max([self.longest, *(now - began for began in since.values())])


@contextmanager
def locks_watched(url: str) -> Iterator[Locks]:
    locks = Locks(url)
    locks.start()
    try:
        yield locks
    finally:
        locks.stop.set()
        locks.join()


@contextmanager
def writers(tree: Path, environ: Mapping[str, str], stop: Path) -> Iterator[list[subprocess.Popen]]:
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", WRITE.format(stop=str(stop))]
    running = [
        subprocess.Popen(command, cwd=tree, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(WRITERS)
    ]
    try:
        for one in running:
            assert one.stdout.readline() == "ready\n"
        yield running
    finally:
        for one in running:
            one.kill()
            one.wait()
            one.stdout.close()


@dataclass
class Watch:
    """When what began."""

    moments: list[float] = field(default_factory=list)

    def mark(self) -> None:
        self.moments.append(time.monotonic())


def upgrade(place: Workshop, environ: Mapping[str, str], *, size: int, calm: float = CALM) -> Upgraded:
    """Make a ledger of so many changes in this empty database, and upgrade it."""
    url, stop, watch = environ["DATABASE_URL"], place.folder / "upgrade-is-over", Watch()
    with version_before() as tree:
        manage(environ, "prepare", tree=tree)
        ledger_sql.fill(url, total=size)
        with writers(tree, environ, stop) as running:
            watch.mark()
            time.sleep(calm)
            watch.mark()
            with locks_watched(url) as locks:
                manage(environ, "prepare")
                watch.mark()
                time.sleep(calm)
            watch.mark()
            with psycopg.connect(url, autocommit=True) as db:
                db.execute(PLAIN)
                watch.mark()
                db.execute("DROP INDEX plain_words")
            stop.touch()
            spans = [span for one in running for span in json.loads(one.stdout.read())]
    return told(url, size, spans, watch.moments, locks.longest)


def told(url: str, size: int, spans: list[list[float]], moments: list[float], locked: float) -> Upgraded:
    began, before, after, calm_again, plain = moments
    with psycopg.connect(url) as db:
        [stored], [head] = db.execute(STORED).fetchone(), db.execute(HEAD).fetchone()
    return Upgraded(
        took=after - before,
        calm=longest(spans, began, before),
        during=longest(spans, before, calm_again),
        locked=locked,
        plain=longest(spans, calm_again, plain),
        plain_took=plain - calm_again,
        written=len(spans),
        stored=stored,
        gaps=head - size - stored,
    )


def longest(spans: list[list[float]], since: float, until: float) -> float:
    """What part of any wait lies between the two moments, at most."""
    return max(min(began + took, until) - max(began, since) for began, took in spans)


def measure(workshop: Workshop, size: int) -> list[Result]:
    seen = upgrade(workshop, workshop.environ("upgrade"), size=size)
    ms = {name: getattr(seen, name) * 1000 for name in ("calm", "during", "locked", "plain")}
    what = f"{size:,} changes upgraded, {WRITERS} writers: longest wait of one"
    asked = "what is asked of it"
    return [
        Result(what=what, peer="the same writers, before", ours=ms["during"], theirs=ms["calm"], unit="ms"),
        Result(what="the same", peer="CREATE INDEX, plain", ours=ms["during"], theirs=ms["plain"], unit="ms"),
        Result(what="a large table locked", peer=asked, ours=ms["locked"], theirs=1000, unit="ms", target="<= 1"),
        Result(what="rows lost", peer="rows written", ours=seen.lost, theirs=seen.written, unit="rows", target="<= 0"),
        Result(what="manage.py prepare", peer="that index alone", ours=seen.took, theirs=seen.plain_took, unit="s"),
    ]
