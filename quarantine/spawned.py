"""The beginning of a process of our own. It imports no models: in a spawned one they can't be before Django is set up."""

import os
import signal
import threading
from multiprocessing import parent_process

import django
from django.apps import apps


def begin() -> None:
    """A worker: set up as this process was, deaf to Ctrl-C, which is its parent's to hear, and gone when that is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked one has its parent's way with it
    threading.Thread(target=leave_with_parent, daemon=True).start()
    if not apps.ready:
        django.setup()


def leave_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
