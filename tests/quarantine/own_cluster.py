"""A PostgreSQL that a test may stop, start and hurt; the shared one must stay up."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests import postgresql
from tests.postgresql import START_SECONDS, Cluster
from tests.quarantine.followers import eventually


@dataclass
class OwnCluster:
    """The server's data, and the server itself while it runs."""

    folder: Path
    binaries: Path
    user: str | None
    port: int
    server: subprocess.Popen | None = None
    settings: dict[str, str] = field(default_factory=lambda: postgresql.SETTINGS)

    @property
    def cluster(self) -> Cluster:
        return Cluster(url=f"postgresql://postgres@127.0.0.1:{self.port}/postgres", binaries=self.binaries)

    def start(self) -> None:
        if self.server is not None:
            return
        command = [self.binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
        command += [f"--{name}={value}" for name, value in self.settings.items()]
        self.server = subprocess.Popen(command, user=self.user, cwd=self.folder, stderr=subprocess.DEVNULL)
        eventually(self.answers, seconds=START_SECONDS)

    def answers(self) -> bool:
        try:
            self.cluster.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once: connections are ended, what they had not committed is lost."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(START_SECONDS)
            self.server = None

    @contextmanager
    def backends_stopped(self, application: str) -> Iterator[None]:
        """While it lasts, the server doesn't answer this application and doesn't end its connections either."""
        with self.cluster.connect() as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (application,)
            ).fetchall()
        assert found
        for (pid,) in found:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for (pid,) in found:
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def hung(self, application: str) -> Iterator[None]:
        """While it lasts, nobody new gets an answer either."""
        assert self.server is not None
        with self.backends_stopped(application):
            self.server.send_signal(signal.SIGSTOP)
            try:
                yield
            finally:
                self.server.send_signal(signal.SIGCONT)


@contextmanager
def own_cluster() -> Iterator[OwnCluster]:
    with tempfile.TemporaryDirectory(prefix="quarantine-pg-") as name:
        folder = Path(name).resolve()
        user = postgresql.unprivileged_user(folder)
        binaries = postgresql.readable_binaries(folder, user)
        postgresql.initialise(folder / "data", binaries, user)
        owned = OwnCluster(folder=folder, binaries=binaries, user=user, port=postgresql.free_port())
        owned.start()
        try:
            yield owned
        finally:
            owned.stop()
