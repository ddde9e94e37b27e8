"""Making the next piece while the last one is dealt with: reading goes on while the database writes."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connections

END: Any = object()


@contextmanager
def ahead[Piece](pieces: Iterator[Piece]) -> Iterator[Iterator[Piece]]:
    """The same pieces in the same order, made in a thread of their own, one ahead of whoever takes them.

    What is raised there is raised where the piece is taken. At the end, however that comes, the thread is gone, and
    its connections with it. It sees what is committed alone.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        try:
            yield taken(pieces, thread)
        finally:
            thread.submit(connections.close_all)  # those of the thread


def taken[Piece](pieces: Iterator[Piece], thread: Executor) -> Iterator[Piece]:
    asked = thread.submit(next, pieces, END)
    while (piece := asked.result()) is not END:
        asked = thread.submit(next, pieces, END)
        yield piece
