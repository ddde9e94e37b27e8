"""A streaming replica of the suite's PostgreSQL, made with pg_basebackup; it may be stopped, and held back."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import postgresql
from tests.postgresql import Cluster
from tests.quarantine.followers import eventually
from tests.quarantine.own_cluster import OwnCluster


class Standby(OwnCluster):
    """A server like any other, but that it follows another."""

    def ask(self, statement: str, database: str = "") -> list[tuple]:
        with self.cluster.connect(database) as connection:
            return connection.execute(statement).fetchall()

    def hold_back(self) -> None:
        """Replay nothing more, so that it lags from now on."""
        self.ask("SELECT pg_wal_replay_pause()")
        eventually(lambda: self.ask("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])

    def let_go(self) -> None:
        self.ask("SELECT pg_wal_replay_resume()")

    def catch_up(self, primary: Cluster) -> None:
        """Wait until it has all that is committed now."""
        with primary.connect() as connection:
            [[there]] = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()
        eventually(lambda: self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{there}'") == [(True,)])


@contextmanager
def standby_of(primary: Cluster) -> Iterator[Standby]:
    with tempfile.TemporaryDirectory(prefix="quarantine-standby-") as name:
        folder = Path(name).resolve()
        user = postgresql.unprivileged_user(folder)
        binaries = postgresql.readable_binaries(folder, user)
        command = [binaries / "pg_basebackup", "-d", primary.url, "-D", folder / "data"]
        command += ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, user=user, cwd=folder, check=True)
        standby = Standby(folder=folder, binaries=binaries, user=user, port=postgresql.free_port())
        standby.start()
        try:
            yield standby
        finally:
            standby.stop()
