"""`manage.py serve` as a process of its own, and readers of its event streams."""

import ctypes
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.environment import ROOT

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
TOO_QUIET = 3  # heartbeats; no test waits for one
PATIENCE = 20  # seconds; generous, because a machine that runs tests may be busy


@dataclass
class Server:
    """A running server; `url` has no slash at its end."""

    process: subprocess.Popen
    url: str
    log: list[str] = field(default_factory=list)  # its stderr, line by line

    @property
    def port(self) -> int:
        return urlsplit(self.url).port

    def request(self, method: str, path: str, *, headers=None, body=None, host="127.0.0.1"):
        """One request on a connection of its own; the answer read whole, as `.body`."""
        connection = http.client.HTTPConnection(host, self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            answer.body = answer.read()
        finally:
            connection.close()
        return answer

    def stream(self, path: str = "/changes/live", *, cookie: str = "", headers=None) -> "Stream":
        return Stream(self.port, path, {"Cookie": cookie} | (headers or {}))

    def logged(self, text: str) -> list[str]:
        return [line for line in self.log if text in line]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; return the exit status."""
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)


@contextmanager
def running_server(env: Mapping[str, str], *options: str, tree: Path = ROOT) -> Iterator[Server]:
    """Started and listening; stopped at the end, if it still runs. `tree`: of another version."""
    command = [sys.executable, "manage.py", "serve", "--port", "0", *options]
    with subprocess.Popen(
        command,
        cwd=tree,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=end_with_parent,  # noqa: PLW1509 - the other threads here hold no lock it needs
        process_group=0,
    ) as process:
        server = Server(process=process, url="")
        keeper = threading.Thread(target=keep, args=(process.stderr, server.log))
        keeper.start()
        try:
            first = process.stdout.readline()
            found = re.match(r"Serving on (http://\S+)", first)
            assert found, f"{first}{''.join(server.log)}"
            server.url = found[1]
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its workers too: they would hold its stderr open for ever
            process.wait(PATIENCE)
            keeper.join(PATIENCE)


def end_with_parent() -> None:
    """On Linux: should the test run be killed, its servers end too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def keep(lines, log: list[str]) -> None:
    log.extend(line.rstrip("\n") for line in lines)


@dataclass(frozen=True)
class Received:
    name: str
    id: int
    data: str


class QuietError(AssertionError):
    """Nothing but heartbeats came."""


class Stream:
    """A reader of an event stream, as any program would write one: blocking, line by line."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str]):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            self.connection.request("GET", path, headers=dict(headers))
            self.answer = self.connection.getresponse()
        except BaseException:
            self.connection.close()
            raise
        self.status = self.answer.status
        self.comments: list[str] = []
        self.last_id: int | None = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def __iter__(self) -> Iterator[Received]:
        """Events until the server ends the stream."""
        fields: dict[str, list[str]] = {}
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(":")
            if line == "\n":
                if "data" in fields:
                    self.comments.clear()
                    yield self.received(fields)
                fields = {}
            elif not name:
                self.comments.append(value)
                if len(self.comments) >= TOO_QUIET:
                    raise QuietError("no event came")
            else:
                fields.setdefault(name, []).append(value.removeprefix(" "))

    def received(self, fields: dict[str, list[str]]) -> Received:
        self.last_id = int(fields["id"][-1])
        return Received(fields["event"][-1], self.last_id, "\n".join(fields["data"]))

    def take(self, number: int) -> list[Received]:
        """The next so many events; fails when the stream ends, or nothing but heartbeats comes."""
        events = iter(self)
        return [next(events) for _ in range(number)]
