"""A command at a terminal of its own: what it shows is read as it comes, and keys are typed."""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.environment import ROOT
from tests.waiting import waits_in

PATIENCE = 60.0  # seconds; generous, because a machine that runs tests may be busy
KEYBOARD = 0  # as every program has it
CTRL_C, CTRL_D = "\x03", "\x04"
# Makes its input the terminal that controls it, so that Ctrl-C typed there reaches it.
IN_CONTROL = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass
class Terminal:
    process: subprocess.Popen
    ours: int  # our end
    shown: str = ""  # so far

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def wait_for_question(self, text: str) -> None:
        """Until it reads the keyboard, too: Ctrl-C that comes between the two would be noticed with the next key."""
        self.wait_for(text)
        deadline = time.monotonic() + PATIENCE
        while not waits_in(self.process.pid, "read", KEYBOARD):
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.01)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self.read(), f"It ended before {text!r}: {self.shown}"

    def end(self) -> int:
        """Read all the rest; the exit status."""
        while self.read():
            pass
        return self.process.wait(PATIENCE)

    def read(self) -> bool:
        """Take what comes next; False when it has closed its end."""
        if not select.select([self.ours], [], [], PATIENCE)[0]:
            return False
        try:
            some = os.read(self.ours, 65_536)
        except OSError:  # what Linux says once nobody holds the other end
            return False
        self.shown += some.decode(errors="replace").replace("\r\n", "\n")
        return bool(some)


def at_terminal(*arguments: object, env: Mapping[str, str], stdin: int | None = None):
    """`manage.py` with these arguments; killed at the end, if it still runs. `stdin`: a file instead of the keyboard."""
    return program_at_terminal(sys.executable, "manage.py", *map(str, arguments), env=env, stdin=stdin)


@contextmanager
def program_at_terminal(*command: str, env: Mapping[str, str], stdin: int | None = None):
    ours, theirs = pty.openpty()
    if stdin is None:
        command = (sys.executable, "-c", IN_CONTROL, *command)
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=theirs if stdin is None else stdin, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
