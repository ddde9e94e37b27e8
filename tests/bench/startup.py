"""From `manage.py serve` to the first whole page, and what a process holds in memory after a hundred pages.

There is no peer for these; beside them stands what Python and Django cost alone: a start that only sets Django up.
"""

import subprocess
import sys
import time
from statistics import median

from tests.bench.report import Result
from tests.bench.workshop import Visitor, Workshop, memory_mb, sign_in
from tests.environment import ROOT

ROUNDS, PAGES = 5, 100
BARE = "import django; django.setup(); import os; print(os.getpid(), flush=True); input()"


def measure(workshop: Workshop, size: int) -> list[Result]:
    environ = workshop.filled(size)
    cookie = sign_in(environ)
    ours = [served(workshop, environ, cookie) for _ in range(ROUNDS)]
    theirs = [bare(environ) for _ in range(ROUNDS)]
    seconds, memory = (median(each) for each in zip(*ours, strict=True))
    bare_seconds, bare_memory = (median(each) for each in zip(*theirs, strict=True))
    peer = "django.setup() alone"
    return [
        Result(what="start to the first page (<= 2)", peer=peer, ours=seconds, theirs=bare_seconds, unit="s"),
        Result(what=f"memory after {PAGES} pages (<= 120)", peer=peer, ours=memory, theirs=bare_memory, unit="MB"),
    ]


def served(workshop: Workshop, environ: dict[str, str], cookie: str) -> tuple[float, float]:
    """Seconds to the first page, MB after so many."""
    began = time.perf_counter()
    with workshop.serving(environ) as server:
        visitor = Visitor(server.port, cookie)
        visitor.get("/")
        seconds = time.perf_counter() - began
        for _ in range(PAGES - 1):
            visitor.get("/")
        memory = memory_mb(server.process.pid)
        visitor.close()
    return seconds, memory


def bare(environ: dict[str, str]) -> tuple[float, float]:
    began = time.perf_counter()
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        pid = int(process.stdout.readline())
        seconds = time.perf_counter() - began
        memory = memory_mb(pid)
        process.communicate("\n")
    return seconds, memory
