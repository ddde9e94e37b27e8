"""`manage.py follow` as a process of its own."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.environment import ROOT

PATIENCE = 60.0  # seconds; generous, because a machine that runs tests may be busy


@dataclass
class FollowerProcess:
    """A running follower."""

    process: subprocess.Popen
    log: list[str] = field(default_factory=list)  # its stderr, line by line

    def logged(self, text: str) -> list[str]:
        return [line for line in self.log if text in line]

    def wait_for(self, text: str, *, times: int = 1) -> None:
        eventually(lambda: len(self.logged(text)) >= times or self.process.poll() is not None)
        assert len(self.logged(text)) >= times, self.log

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit status."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def result(self) -> dict:
        """The JSON object on the last line, once it has ended."""
        return json.loads(self.process.stdout.read().splitlines()[-1])


@contextmanager
def follower(env: Mapping[str, str], *options: str, tree: Path = ROOT) -> Iterator[FollowerProcess]:
    """Started; killed at the end, if it still runs. `tree`: of another version."""
    command = [sys.executable, "manage.py", "follow", *options]
    with subprocess.Popen(
        command, cwd=tree, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        started = FollowerProcess(process)
        keeper = threading.Thread(target=keep, args=(process.stderr, started.log))
        keeper.start()
        try:
            yield started
        finally:
            process.kill()
            process.wait(PATIENCE)
            keeper.join(PATIENCE)


def keep(lines, log: list[str]) -> None:
    for line in lines:  # as they come, not when there are no more
        log += [line.rstrip("\n")]


def eventually(condition: Callable[[], bool], *, seconds: float = PATIENCE) -> float:
    """Wait until it holds; return the seconds it took. Fails after `seconds`."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "It never happened."
        time.sleep(0.02)
    return time.monotonic() - started
