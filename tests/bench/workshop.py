"""What a benchmark works with: a PostgreSQL of its own below var/, ledgers on it, servers, and clients that measure."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgresql
from tests.bench import ledger_sql
from tests.environment import ROOT, manage
from tests.quarantine.own_cluster import OwnCluster
from tests.servers import running_server

# As an operator of a small machine would, and as safe as it comes: unlike the suite's server, commits reach the disk.
SETTINGS = postgresql.SETTINGS | {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "1GB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",
    "max_wal_size": "8GB",
}


@dataclass
class Workshop:
    """A database server and a folder for a benchmark's while."""

    owned: OwnCluster
    folder: Path
    environs: dict[str, dict[str, str]] = field(default_factory=dict)

    def environ(self, name: str, **more: str) -> dict[str, str]:
        """The environment of a new, empty database; with `more` in it, where it is attached say."""
        database = self.owned.cluster.create_database(name)
        return {
            **os.environ,
            "SECRET_KEY": "bench-" + "0123456789" * 5,
            "HTTPS": "off",
            "DATA_DIR": str(self.folder / name),
            "DATABASE_URL": self.owned.cluster.url_of(database),
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            **more,
        }

    def ledger(self, name: str, **more: str) -> dict[str, str]:
        """The same of a ledger that is prepared."""
        environ = self.environ(name, **more)
        manage(environ, "prepare")
        return environ

    def filled(self, changes: int) -> dict[str, str]:
        """The environment of a ledger with so many changes, filled once (tests.bench.ledger_sql) and then shared: only read."""
        name = f"filled_{changes}"
        if name not in self.environs:
            environ = self.ledger(name)
            ledger_sql.fill(environ["DATABASE_URL"], total=changes)
            self.environs[name] = environ
        return self.environs[name]

    def serving(self, environ: dict[str, str]):
        """`manage.py serve` on it, one process."""
        return running_server(environ)


@contextmanager
def workshop() -> Iterator[Workshop]:
    (ROOT / "var").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "var"))
    try:
        user = postgresql.unprivileged_user(folder)
        binaries = postgresql.readable_binaries(folder, user)
        postgresql.initialise(folder / "data", binaries, user)
        owned = OwnCluster(folder, binaries, user, postgresql.free_port(), settings=SETTINGS)
        owned.start()
        try:
            yield Workshop(owned, folder)
        finally:
            owned.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


SIGN_IN = """
from django.conf import settings
from django.test import Client
from quarantine.models import Staff
staff, _ = Staff.objects.get_or_create(
    username="{name}", defaults={{"role": "viewer", "is_staff": True, "is_superuser": True}})
client = Client()
client.force_login(staff, "django.contrib.auth.backends.ModelBackend")
print(f"{{settings.SESSION_COOKIE_NAME}}={{client.cookies[settings.SESSION_COOKIE_NAME].value}}")
"""


def sign_in(environ: dict[str, str], *, name: str = "bench", tree: Path = ROOT) -> str:
    """The cookie of somebody signed in, with the version in `tree`."""
    return manage(environ, "shell", code=SIGN_IN.format(name=name), tree=tree).strip().splitlines()[-1]


class Visitor:
    """Asks for pages over one connection that stays open, and does as little else as can be."""

    def __init__(self, port: int, cookie: str) -> None:
        self.cookie = cookie
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def get(self, path: str) -> bytes:
        """The body; raises on any status but 200."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\n\r\n"
        self.socket.sendall(request.encode())
        status = self.file.readline()
        length = None
        while (line := self.file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self.file.read(length) if length is not None else b"".join(self.chunks())
        if b" 200 " not in status:
            msg = f"{path}: {status.decode().strip()}"
            raise RuntimeError(msg)
        return body

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.file.readline(), 16):
            yield self.file.read(size)
            self.file.readline()
        self.file.readline()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def timed(self, path: str) -> float:
        """Milliseconds from asking to having the whole page."""
        began = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - began) * 1000


def p95(taken: list[float]) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * 0.95))]


def cpu_seconds(pid: int) -> float:
    """User and system time a process has used; Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident; Linux."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stop(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(30)
