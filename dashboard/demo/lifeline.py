"""Runs a management command that ends when the process that started it does, however that ended.

    python -m dashboard.demo.lifeline FD COMMAND [OPTION…]

FD is the reading end of a pipe whose writing end that process alone has open.
"""

import os
import signal
import sys
import threading
import time

from django.core.management import execute_from_command_line

GRACE = 10.0  # seconds to end cleanly


def watch(pipe: int) -> None:
    """Wait for the pipe to close; then ask this process to end, and see to it."""
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=watch, args=(int(sys.argv[1]),), daemon=True).start()
    execute_from_command_line(["manage.py", *sys.argv[2:]])
