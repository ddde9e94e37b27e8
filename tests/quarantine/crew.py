"""Processes that write to one ledger at once, for tests that race them or kill them.

`crew_member.py` loads Django once and forks a process for each task, so a new one is there in
milliseconds. Each talks to the test over a socket of its own, a line at a time; when its process
ends, however it ends, the test reads an empty line.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.environment import ROOT

PATIENCE = 60  # seconds for an answer


class Member:
    """One process at work."""

    def __init__(self, connection):
        connection.settimeout(PATIENCE)
        self.connection = connection
        self.answers = connection.makefile("r")
        self.pid = int(self.hear())

    def hear(self):
        """Its next line; empty when it has ended."""
        return self.answers.readline().rstrip("\n")

    def tell(self, word):
        self.connection.sendall(f"{word}\n".encode())

    def kill(self):
        """`kill -9`, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ConnectionResetError):  # it had not read all that it was told
            while self.hear():
                pass
        self.close()

    def close(self):
        self.answers.close()
        self.connection.close()


class Crew:
    def __init__(self, process, listener):
        self.process = process
        self.listener = listener
        self.members = []

    def start(self, task, **details):
        self.process.stdin.write(json.dumps({"task": task} | details) + "\n")
        self.process.stdin.flush()
        member = Member(self.listener.accept()[0])
        self.members.append(member)
        return member


@contextmanager
def running_crew(environ):
    """A Crew on the databases of `environ`; whoever is left at the end is killed."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "crew"
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)
        command = [sys.executable, "-m", "tests.quarantine.crew_member", str(path)]
        with subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            crew = Crew(process, listener)
            try:
                yield crew
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                for member in crew.members:
                    member.close()
