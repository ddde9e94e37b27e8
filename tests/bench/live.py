"""Live: from a commit to the eyes of a thousand and two thousand readers of one process, beside the same people polling.

The peer is our own page asked for every 2 seconds, as one would do without events. Readers are a process of their own on the
same cores. Changes are committed four times a second.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench import ledger_sql
from tests.bench.report import Result
from tests.bench.workshop import Workshop, cpu_seconds, memory_mb, p95, sign_in
from tests.environment import ROOT, manage
from tests.servers import Server

CROWDS = {1_000: 150, 2_000: 250}  # readers: milliseconds at most
FEW = {50: 150, 100: 250}  # with a small size
CHANGES, ROWS, IDLE = 20, 2_000, 8.0  # committed meanwhile; in the ledger before; seconds
# Prints each position with the time its commit was known.
WRITER = f"""
import json, time
from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Source
from quarantine.mxc import Mxc
times = {{}}
for number in range({CHANGES}):
    mxc = Mxc("live.example", f"{{time.time_ns()}}")
    ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED)])
    moment = time.monotonic()
    times[ledger.current().head] = moment
    time.sleep(0.25)
print(json.dumps(times))
"""


@dataclass(frozen=True)
class Seen:
    latencies: list[float]  # milliseconds, of each reader and change
    missing: int  # changes that a reader did not see within a minute
    idle: float  # per cent of a core, while nothing happened
    memory: float  # MB


def measure(workshop: Workshop, size: int) -> list[Result]:
    raise_limit()
    crowds = CROWDS if size >= 100_000 else FEW
    environ = workshop.ledger("live")
    ledger_sql.fill(environ["DATABASE_URL"], total=ROWS)
    cookie, results = sign_in(environ), []
    for readers, most in crowds.items():
        seen = {how: seen_by(workshop, environ, cookie, how=how, readers=readers) for how in ("watch", "poll")}
        results += compared(seen["watch"], seen["poll"], readers=readers, most=most)
    return results


def compared(ours: Seen, theirs: Seen, *, readers: int, most: int) -> list[Result]:
    who, peer = f"{readers:,} readers", "the page every 2 s"
    return [
        Result(what=f"{who}: commit to reader, p95 (<= {most})", peer=peer, ours=p95(ours.latencies), theirs=p95(theirs.latencies), unit="ms"),
        Result(what=f"{who}: idle CPU (<= 2)", peer=peer, ours=ours.idle, theirs=theirs.idle, unit="%"),
        Result(what=f"{who}: not seen within a minute", peer=peer, ours=ours.missing, theirs=theirs.missing, unit="rows"),
        Result(what=f"{who}: memory of the process", peer=peer, ours=ours.memory, theirs=theirs.memory, unit="MB"),
    ]  # fmt: skip


def seen_by(workshop: Workshop, environ: dict[str, str], cookie: str, *, how: str, readers: int) -> Seen:
    head = int(manage(environ, "shell", code="from quarantine import ledger; print(ledger.current().head)"))
    with workshop.serving(environ) as server, crowd(server, cookie, how=how, readers=readers, head=head) as client:
        assert client.stdout.readline() == "ready\n"
        time.sleep(2)
        before, began = cpu_seconds(server.process.pid), time.monotonic()
        time.sleep(IDLE)
        idle = 100 * (cpu_seconds(server.process.pid) - before) / (time.monotonic() - began)
        committed = json.loads(manage(environ, "shell", code=WRITER))
        client.stdin.write("go\n")
        client.stdin.flush()
        told = json.loads(client.stdout.readline())
        memory = memory_mb(server.process.pid)
    assert not told["broken"]
    latencies = [
        max(0.0, seen - moment) * 1000
        for position, moment in committed.items()
        for seen in told["times"].get(position, [])
    ]
    return Seen(latencies, readers * CHANGES - len(latencies), idle, memory)


@contextmanager
def crowd(server: Server, cookie: str, *, how: str, readers: int, head: int) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "tests.bench.live_client", how, str(server.port), cookie]
    command += [str(readers), str(head), str(head + CHANGES)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            yield client
        finally:
            client.kill()


def raise_limit() -> None:
    """Of open files, for the server that is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
