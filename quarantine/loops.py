"""Work that goes on beside the follower for as long as its process lives, in a thread of its own."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import DatabaseError, InterfaceError, connection, connections

from quarantine.fold import LedgerError

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 30.0  # seconds between tries while the ledger's database is away


def keep_doing(work: Callable[[], object], *, name: str, stop: threading.Event, every: float) -> threading.Thread:
    """Started at once; ends after `stop`, when what is under way is done. A failure is logged once, and tried again."""
    thread = threading.Thread(target=watch_over, args=(work, name, stop, every), name=name)
    thread.start()
    return thread


def watch_over(work: Callable[[], object], name: str, stop: threading.Event, every: float) -> None:
    """What nobody foresaw must not end it for good: the process would live on, and nobody notice."""
    with ThreadPoolExecutor(1) as pool:
        while not stop.is_set():
            failure = pool.submit(go_on, work, name, stop, every).exception()
            if failure is not None:
                logger.error("No %s for now: the dashboard itself failed. It is tried again.", name, exc_info=failure)
                stop.wait(LONGEST_PAUSE)


def go_on(work: Callable[[], object], name: str, stop: threading.Event, every: float) -> None:
    failures = 0
    try:
        while not stop.is_set():
            try:
                work()
                failures = 0
            except (LedgerError, DatabaseError, InterfaceError) as error:
                if not failures:
                    logger.warning("No %s for now (%s). Nothing is lost; it is tried again.", name, error)
                connection.close()
                failures = min(failures + 1, 6)
            stop.wait(min(LONGEST_PAUSE, every * 2**failures))
    finally:
        connections.close_all()
