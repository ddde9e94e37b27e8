"""Checking a long chain in parts, by several processes: digesting is all computing, and one core does 80,000 rows a second."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import contextmanager
from multiprocessing import get_context

from django.db import connections

from quarantine.chain.verification import Checked, Scope, Table, check_part, together
from quarantine.spawned import begin

PART = 25_000  # positions: half a second or so
FEW = 2  # parts that are not worth more processes
MOST = 8  # processes; the database works for each of them
# A forked process has Django set up already, which takes as long as checking a hundred thousand rows; only Linux forks safely.
START = "fork" if sys.platform == "linux" else "spawn"
ASK_EVERY = 0.2  # seconds, whether to stop

type Progress = Callable[[int, int], object]  # position, and where it ends


class InterruptedCheckError(Exception):
    """Somebody asked to stop."""


@contextmanager
def helpers(tables: list[Table], *, first: int, last: int | None) -> Iterator[Executor | None]:
    """Processes that check; None where there is little to do, or one core.

    To be asked for while this process has a single thread: a lock that another held would stay locked in a forked one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    longest = max(len(parts_of(Scope.of(table, first=first, last=last))) for table in tables)
    if longest <= FEW or cores == 1:
        yield None
        return
    connections.close_all()  # each opens its own: through one connection they would get each other's answers
    with ProcessPoolExecutor(min(cores, MOST), mp_context=get_context(START), initializer=begin) as pool:
        pool.submit(os.getpid).result()  # now they are there
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def parts_of(scope: Scope) -> list[tuple[int, int]]:
    return [(start, min(start + PART - 1, scope.last)) for start in range(scope.first, scope.last + 1, PART)]


def check_in_parts(
    table: Table,
    *,
    first: int,
    last: int | None,
    pool: Executor | None,
    stop: threading.Event,
    progress: Progress,
) -> Checked:
    """As `verification.check`. Raises InterruptedCheckError once `stop` is set."""
    scope = Scope.of(table, first=first, last=last)
    parts = parts_of(scope)
    done = Checked()
    for (_, end), more in zip(parts, answers(pool, table, parts, stop), strict=False):
        done = together(done, more)
        if done.fault is not None:
            return done
        progress(end, scope.last)
    return scope.conclude(done)


def answers(
    pool: Executor | None, table: Table, parts: list[tuple[int, int]], stop: threading.Event
) -> Iterator[Checked]:
    """What is found of each part, in order; by this process where there is little to do."""
    if pool is None or len(parts) <= FEW:
        yield from (check_part(table, *part) for part in parts if not stopped(stop))
        return
    for asked in [pool.submit(check_part, table, *part) for part in parts]:
        yield answer(asked, stop)


def answer(asked: Future[Checked], stop: threading.Event) -> Checked:
    while not stopped(stop):
        try:
            return asked.result(ASK_EVERY)
        except NotYetError:
            continue
    raise InterruptedCheckError


def stopped(stop: threading.Event) -> bool:
    if stop.is_set():
        raise InterruptedCheckError
    return False
