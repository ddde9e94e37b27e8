"""Exports beside psql: the same rows and columns of the same database, each client a process that throws them away.

Meanwhile the server's memory is watched, the age of the transactions it holds, and how long a write takes; and pages are
asked for while ten slow readers, each with an account of their own, take exports (four at once are served, the others
are told to come again).
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import psycopg

from tests.bench.report import Result
from tests.bench.workshop import Visitor, Workshop, memory_mb, p95, sign_in
from tests.environment import ROOT
from tests.servers import Server

SLOW_READERS, SLOWLY, PAGES = 10, 200_000, 100  # bytes a second; pages asked for
SELECT = """
    SELECT c.stream_id, c.origin, c.media_id, c.quarantined, c.deleted, c.seen_at, c.not_before, c.changed_by, c.source, c.cause,
        a.reason, c.action_id AS action, c.media_type, c.media_length, c.upload_name, c.uploader, encode(c.sha256, 'hex') AS sha256,
        'mxc://' || c.origin || '/' || c.media_id AS mxc
    FROM quarantine_change c LEFT JOIN quarantine_action a ON a.id = c.action_id ORDER BY c.stream_id DESC
""".replace("\n", " ")
COPIES = {
    "csv": f"\\copy ({SELECT}) TO '/dev/null' (FORMAT csv, HEADER)",
    "ndjson": f"\\copy (SELECT row_to_json(t) FROM ({SELECT}) t) TO '/dev/null'",
}
OLDEST = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
    WHERE (query LIKE 'COPY%%' OR query LIKE '%%AS high) step%%') AND state <> 'idle' AND pid <> pg_backend_pid()
"""
# As an append does it: the ledger's own row, and a new change at the end.
WRITE = """
    INSERT INTO quarantine_change SELECT (jsonb_populate_record(c, jsonb_build_object('stream_id', c.stream_id + 1))).*
    FROM quarantine_change c WHERE c.stream_id = (SELECT max(stream_id) FROM quarantine_change)
"""


@dataclass
class Watch:
    """What was seen while something ran."""

    before_mb: float
    most_mb: float = 0.0
    oldest: float = 0.0  # seconds
    writes: list[float] = field(default_factory=list)  # milliseconds

    @property
    def growth(self) -> float:
        return max(0.0, self.most_mb - self.before_mb)


@contextmanager
def watching(url: str, pid: int) -> Iterator[Watch]:
    watch, done = Watch(memory_mb(pid)), threading.Event()

    def look() -> None:
        with psycopg.connect(url, autocommit=True) as db:
            while not done.wait(0.05):
                watch.most_mb = max(watch.most_mb, memory_mb(pid))
                watch.oldest = max(watch.oldest, float(db.execute(OLDEST).fetchone()[0]))
                watch.writes.append(write(db))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def write(db: psycopg.Connection) -> float:
    """Milliseconds that a write takes, up to where it would be committed: it is taken back, so the ledger stays as it was."""
    began = time.perf_counter()
    with db.transaction(force_rollback=True):
        db.execute("UPDATE quarantine_ledger SET head = head + 1")
        db.execute(WRITE)
    return (time.perf_counter() - began) * 1000


def measure(workshop: Workshop, size: int) -> list[Result]:
    environ = workshop.filled(size)
    url, cookie = environ["DATABASE_URL"], sign_in(environ)
    with workshop.serving(environ) as server:
        visitor = Visitor(server.port, cookie)
        for _ in range(20):  # as it is after a while
            visitor.get("/")
        lines = [line for form in COPIES for line in whole(workshop, server, cookie, form=form, url=url, size=size)]
        readers = [sign_in(environ, name=f"reader {number}") for number in range(SLOW_READERS)]
        return [*lines, *beside_slow_readers(server, cookie, readers=readers, url=url)]


def whole(workshop: Workshop, server: Server, cookie: str, *, form: str, url: str, size: int) -> list[Result]:
    """All changes, once by us and once by psql."""
    with watching(url, server.process.pid) as ours:
        export = download(server, f"/changes.{form}?raw=1", cookie)
    assert export["lines"] == size + (form == "csv")
    with watching(url, server.process.pid) as theirs:
        began = time.perf_counter()
        psql(workshop, COPIES[form], url=url)
        seconds = time.perf_counter() - began
    peer = "psql \\copy" if form == "csv" else "psql \\copy, row_to_json"
    name = f"{form.upper()} of {size:,} rows"
    return [
        Result(what=name, peer=peer, ours=size / export["seconds"], theirs=size / seconds, unit="rows/s", target=">= 0.8"),
        Result(what=f"{name}, oldest transaction", peer=peer, ours=ours.oldest, theirs=theirs.oldest, unit="s"),
        Result(what=f"{name}, a write meanwhile, p95", peer=peer, ours=p95(ours.writes), theirs=p95(theirs.writes), unit="ms"),
        Result(what=f"{name}, the server's memory grows by (<= 40)", peer="before it", ours=ours.growth, theirs=ours.before_mb, unit="MB"),
    ]  # fmt: skip


def download(server: Server, path: str, cookie: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.download_client", str(server.port), path, cookie]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def psql(workshop: Workshop, copy: str, *, url: str) -> None:
    program = workshop.owned.binaries / "psql"
    if not program.exists():
        msg = f"The peer is missing: there is no psql among the binaries of PostgreSQL in {program.parent}."
        raise RuntimeError(msg)
    subprocess.run([program, url, "--no-psqlrc", "--quiet", "--command", copy], check=True, stdout=subprocess.DEVNULL)


def beside_slow_readers(server: Server, cookie: str, *, readers: list[str], url: str) -> list[Result]:
    visitor = Visitor(server.port, cookie)
    alone = [visitor.timed("/") for _ in range(PAGES)]
    over = threading.Event()
    slow = [threading.Thread(target=read_slowly, args=[server.port, reader, over]) for reader in readers]
    for reader in slow:
        reader.start()
    with watching(url, server.process.pid) as watch:
        time.sleep(1)
        beside = [visitor.timed("/") for _ in range(PAGES)]
    over.set()
    for reader in slow:
        reader.join()
    what = f"a page while {SLOW_READERS} slow readers export"
    return [
        Result(what=f"{what}, median", peer="without them", ours=median(beside), theirs=median(alone), unit="ms"),
        Result(what=f"{what}, p95", peer="without them", ours=p95(beside), theirs=p95(alone), unit="ms"),
        Result(what=f"{SLOW_READERS} slow readers, memory grows by (<= 40)", peer="before them", ours=watch.growth, theirs=watch.before_mb, unit="MB"),
    ]  # fmt: skip


def read_slowly(port: int, cookie: str, over: threading.Event) -> None:
    """Exports, one after the other; where there is no room, again a little later."""
    while not over.is_set():
        visitor = Visitor(port, cookie)
        visitor.socket.sendall(f"GET /changes.csv HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        taken = visitor.socket.recv(65536)
        while taken and b" 503 " not in taken[:20] and not over.wait(len(taken) / SLOWLY):
            taken = visitor.socket.recv(65536)
        visitor.close()
        over.wait(1)
