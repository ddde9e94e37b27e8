"""Checking a long chain in parts, by several processes: digesting is all computing, and one core does 50,000 rows a second."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import contextmanager
from multiprocessing import get_context

from quarantine.chain.verification import Checked, Scope, Table, check_part, together
from quarantine.spawned import begin

PART = 50_000  # positions: a second or so
MOST = 8  # processes; the database works for each of them
ASK_EVERY = 0.2  # seconds, whether to stop

type Progress = Callable[[int, int], object]  # position, and where it ends


class InterruptedCheckError(Exception):
    """Somebody asked to stop."""


def check_in_parts(table: Table, *, first: int, last: int | None, stop: threading.Event, progress: Progress) -> Checked:
    """As `verification.check`. Raises InterruptedCheckError once `stop` is set."""
    scope = Scope.of(table, first=first, last=last)
    parts = [(start, min(start + PART - 1, scope.last)) for start in range(scope.first, scope.last + 1, PART)]
    done = Checked()
    with results(table, parts, stop) as found:
        for (_, end), more in zip(parts, found, strict=False):
            done = together(done, more)
            if done.fault is not None:
                return done
            progress(end, scope.last)
    return scope.conclude(done)


@contextmanager
def results(table: Table, parts: list[tuple[int, int]], stop: threading.Event) -> Iterator[Iterator[Checked]]:
    """What is found of each part, in order; by this process where there is little to do."""
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)
    if len(parts) <= 2 or workers == 1:
        yield (check_part(table, *part) for part in parts if not stopped(stop))
        return
    # Spawned: a forked process would share this one's connection to the database.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin) as pool:
        try:
            yield answers(pool, table, parts, stop)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def answers(pool: Executor, table: Table, parts: list[tuple[int, int]], stop: threading.Event) -> Iterator[Checked]:
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
