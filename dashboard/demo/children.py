"""The processes the demo starts, and their end: all of them or none run."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

LOOK_EVERY = 0.2  # seconds
GRACE = 8.0  # seconds to end cleanly; the server takes 3 to let its live views go
LAST_WORDS = 5  # lines


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_WORDS:])


@dataclass
class Children:
    """Start them within `with`; they end when it does, and also if this process is killed."""

    running: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.watched, self.lifeline = os.pipe()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self.watched)
        os.close(self.lifeline)
        self.end()

    def start(self, command: str, *options: str) -> None:
        """Run this management command; what it says goes to a file in DATA_DIR."""
        log = settings.DATA_DIR / f"demo-{command}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                self.arguments(command, options),
                cwd=settings.BASE_DIR,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[self.watched],
                start_new_session=True,  # Ctrl-C is for the parent, which ends them in order
            )
        self.running.append(Child(command, process, log))

    def arguments(self, command: str, options: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "dashboard.demo.lifeline", str(self.watched), command, *options]

    def ended(self) -> Child | None:
        """One that has ended, if any has."""
        return next((child for child in self.running if child.process.poll() is not None), None)

    def watch(self, stop: threading.Event) -> Child | None:
        """Wait until one ends by itself, and return it; None when told to stop."""
        while not stop.wait(LOOK_EVERY):
            if child := self.ended():
                return child
        return None

    def end(self) -> None:
        """End those that still run: asked first, then made to."""
        for child in self.running:
            child.process.terminate()
        deadline = time.monotonic() + GRACE
        for child in self.running:
            try:
                child.process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
