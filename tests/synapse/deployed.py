"""A machine on which docs/deploy.md is followed: folders instead of a root file system, and what the guide names as examples.

What differs is here and nowhere else: where files are, ports, passwords, host names' addresses, and the account: the guide's
commands are run as whoever runs the tests, because making accounts would change this machine.
"""

import grp
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from tests.environment import ASYNC_UNSAFE, ROOT, declared_variables
from tests.guides import Block
from tests.postgresql import free_port
from tests.quarantine.own_cluster import OwnCluster
from tests.servers import end_with_parent

NAME = "quarantine.example.com"
PATIENCE = 300.0  # seconds for one block: installing takes a while where nothing is in a cache


@dataclass
class Machine:
    folder: Path
    database: OwnCluster
    synapse: str = ""  # where it listens
    given: dict[str, str] = field(default_factory=dict)  # what the guide leaves open: "…" and examples
    functions: str = ""  # a shell's, from the block that defines them
    web: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.https}"

    @property
    def app(self) -> Path:
        return self.folder / "opt" / "quarantine"

    @property
    def settings(self) -> Path:
        return self.folder / "etc" / "quarantine" / "env"

    def here(self, text: str) -> str:
        """What the guide says, with the places and addresses of this machine."""
        own = grp.getgrgid(os.getgid()).gr_name
        text = re.sub(r"(?<![\w.}])/(etc|opt|var/lib)/(?=quarantine|systemd)", rf"{self.folder}/\1/", text)
        text = re.sub(r"-o quarantine\b", f"-o {os.getuid()}", text)
        text = re.sub(r"-g quarantine\b", f"-g {own}", text).replace("runuser -u quarantine -- ", "")
        text = text.replace("127.0.0.1:5432", f"127.0.0.1:{self.database.port}").replace("127.0.0.1:8008", self.synapse)
        text = text.replace("--port 8000", f"--port {self.web}").replace("127.0.0.1:8000", f"127.0.0.1:{self.web}")
        text = text.replace(f"https://{NAME}", self.url)
        for said, meant in self.given.items():
            text = text.replace(said, meant)
        return text

    @property
    def environ(self) -> dict[str, str]:
        """Of an operator's shell: no settings of ours and nothing of a `make` around, PostgreSQL's programs at hand."""
        ours = declared_variables() | {"DJANGO_SETTINGS_MODULE", ASYNC_UNSAFE, "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        path = f"{self.database.binaries}:{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
        server = {"PGHOST": "127.0.0.1", "PGPORT": str(self.database.port), "PGUSER": "postgres"}
        return {"UV_CACHE_DIR": str(ROOT / ".uv" / "cache")} | kept | server | {"PATH": path}

    def run(self, block: Block) -> str:
        """All of it in one shell, which ends with its first failure; what it printed."""
        return self.shell("\n".join([self.functions, *map(self.here, block.lines)]))

    def shell(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-u", "-c", script],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    # --- What systemd and the proxy do ----------------------------------------------------

    def unit(self, name: str) -> dict[str, str]:
        """The service's part, of the file where the guide has it copied to."""
        text = (self.folder / "etc" / "systemd" / "system" / f"{name}.service").read_text()
        return dict(re.findall(r"^([A-Za-z]+)=(.*)$", self.here(text), re.MULTILINE))

    @contextmanager
    def service(self, name: str) -> Iterator[None]:
        """As the unit says: its settings and no others, its folder, first what goes before."""
        unit = self.unit(name)
        load = f"set -a; . {unit['EnvironmentFile']}; set +a; umask {unit['UMask']}; cd {unit['WorkingDirectory']};"
        if before := unit.get("ExecStartPre"):
            self.shell(f"{load} {before}")
        log = self.folder / f"{name}.log"
        with log.open("ab") as written:
            process = subprocess.Popen(
                ["bash", "-c", f"{load} exec {unit['ExecStart']}"],
                env={"PATH": os.defpath},
                stdout=written,
                stderr=written,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - the other threads here hold no lock it needs
            )
        try:
            yield
        finally:
            process.terminate()
            status = process.wait(60)
        assert status == 0, log.read_text()

    @contextmanager
    def caddy(self) -> Iterator[None]:
        """docs/deploy/Caddyfile, but for the port and who vouches for its certificate."""
        authority = trustme.CA()
        issued, certificate, key = authority.issue_cert(NAME), self.folder / "site.pem", self.folder / "site.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        text = self.here((self.app / "docs" / "deploy" / "Caddyfile").read_text())
        text = text.replace(f"{NAME} {{", f"{self.url} {{\n\ttls {certificate} {key}", 1)
        file = self.folder / "Caddyfile"
        file.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}}\n{text}")
        program = Path(sys.executable).with_name("caddy")
        command = [program, "run", "--config", file, "--adapter", "caddyfile"]
        environ = {"HOME": str(self.folder), "PATH": os.defpath}
        with (self.folder / "caddy.log").open("wb") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, preexec_fn=end_with_parent)  # noqa: PLW1509 - as above
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)


def repository(folder: Path) -> Path:
    """What stands for "from where you have it": all files of this checkout as they are now, as a repository of their own."""
    made = shutil.ignore_patterns(".git", ".uv", ".venv", "var", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, folder, ignore=made, dirs_exist_ok=True)  # also where the checkout has no history
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "Before")
    return folder


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message", message)


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def require_passwords(database: OwnCluster) -> None:
    """As on a Debian host: every role but the administrator's shows one, also from this machine."""
    rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    (database.folder / "data" / "pg_hba.conf").write_text(rules)
    with database.cluster.connect() as db:
        db.execute("SELECT pg_reload_conf()")
