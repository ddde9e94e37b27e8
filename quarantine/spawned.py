"""The beginning of a spawned process. It imports no models: they can't be before Django is set up."""

import os
import signal
import threading
from multiprocessing import parent_process

import django


def begin() -> None:
    """A worker: set up as this process was, deaf to Ctrl-C, which is its parent's to hear, and gone when that is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_parent, daemon=True).start()
    django.setup()


def leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
