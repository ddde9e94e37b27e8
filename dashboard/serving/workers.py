"""Threads for the database work of an event loop, which itself must never wait for a database."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import close_old_connections, connections

CLOSING_PATIENCE = 5  # seconds a thread may need to end what it is doing


class Workers:
    """A few threads; each keeps its database connections and renews what has broken.

    `checked` asks a connection whether it works before each job, which is a round trip; without it, jobs
    renew what they find broken themselves.
    """

    def __init__(self, *, threads: int, name: str, checked: bool = True) -> None:
        self.threads = threads
        self.checked = checked
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run[**P, R](self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in one of the threads; when all are busy, in turn."""
        job = partial(function, *args, **kwargs)
        if self.checked:
            job = partial(with_sound_connections, job)
        return await asyncio.get_running_loop().run_in_executor(self.executor, job)

    def close(self) -> None:
        """End the threads with their connections; blocks until they are idle."""
        # A connection can only be closed by the thread that opened it: give each thread one last job.
        together = threading.Barrier(self.threads)
        for _ in range(self.threads):
            self.executor.submit(close_connections, together)
        self.executor.shutdown()


def with_sound_connections[R](function: Callable[[], R]) -> R:
    close_old_connections()
    return function()


def close_connections(together: threading.Barrier) -> None:
    """Close this thread's connections, once every thread is here: so each of them gets this job once."""
    try:
        together.wait(CLOSING_PATIENCE)
    finally:
        connections.close_all()
