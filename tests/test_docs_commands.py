"""Each command that README.md and docs/ show is run as it is written, or it is said here why not.

Those of docs/deploy.md's blocks are in tests/synapse/test_deployed.py, which follows it as a whole.
"""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.environment import ROOT, manage, process_environ
from tests.guides import FENCE, blocks
from tests.servers import running_server
from tests.terminals import program_at_terminal
from tests.tree import files

SETTING = re.compile(r"^[A-Z_]+=(?!.*(?:make|manage\.py))")
LED = r"(?:\.venv/bin/python )?manage\.py|make|curl|psql|sqlite3|CREATE|REVOKE|systemctl|journalctl"
INLINE = re.compile(rf"`((?:[A-Z]+=\S+ )*(?:{LED}) [^`\n]+)`")
INDENTED = re.compile(r"^    (manage\.py .+)$", re.MULTILINE)
BARE = re.compile(r"(?:make|manage\.py) [a-z]+")  # its name alone, in a sentence


def found():
    """Every command, once, in the order of the files."""
    seen = {}
    for file in [ROOT / "README.md", ROOT / "SECURITY.md", *files("*.md", "docs")]:
        guide = str(file.relative_to(ROOT))
        if guide != "docs/deploy.md":
            for one in blocks(guide):
                if one.language == "sh":
                    seen |= dict.fromkeys(line for line in one.lines if not SETTING.match(line))
                if one.language == "sql":
                    seen |= dict.fromkeys(one.lines)
        prose = FENCE.sub("", file.read_text())
        seen |= dict.fromkeys(INDENTED.findall(prose))
        seen |= dict.fromkeys(
            line for line in INLINE.findall(prose) if not BARE.fullmatch(line) and "…" not in line[:25]
        )
    return [line.removeprefix(".venv/bin/python ") for line in seen]


FOLLOWED = "docs/deploy.md leads to it: tests/synapse/test_deployed.py runs it from there"
HERE = "it is what runs this test, or runs beside it in CI (.ci/run)"
SYSTEMD = "systemd is not what runs this machine"
NAME = "a command's name in a sentence, not to be typed like that"
ROLES = "tests.databases.create_reader runs it for every test on an attached PostgreSQL"
LEFT_OUT = {
    "make test": HERE,
    "make check": HERE,
    "make install": FOLLOWED,
    "make demo": "tests/test_demo.py",
    "PORT=8001 make demo": "tests/test_demo.py, on a port that is free",
    "make sbom": "tests/test_supply.py",
    "make bench": "it takes minutes and measures; tests/quarantine/test_upgrade.py runs one of them small",
    "set -a; . ./.env; set +a": "tests/synapse/test_deployed.py loads its settings by these words",
    "manage.py …": NAME,
    "manage.py verify": "tests/test_demo.py, on the demo's ledger",
    "manage.py follow": "it goes on until it is stopped: tests/quarantine/test_follow.py",
    "manage.py follow --audit-at 03:00": "the service's own line, run by tests/synapse/test_deployed.py",
    "manage.py serve": "for the line with curl, on a port that is free",
    "manage.py staff link NAME SUB": "it takes a provider: tests/quarantine/test_staff_command.py",
    "CREATE ROLE quarantine_dashboard LOGIN PASSWORD 'a long password';": ROLES,
    "ALTER ROLE quarantine_dashboard SET default_transaction_read_only = on;": ROLES,
    "GRANT CONNECT ON DATABASE synapse TO quarantine_dashboard;": ROLES,
    "GRANT USAGE ON SCHEMA public TO quarantine_dashboard;": ROLES,
    "GRANT SELECT ON local_media_repository, remote_media_cache, quarantined_media_changes, stream_positions": ROLES,
    "TO quarantine_dashboard;": ROLES,
    "REVOKE TEMPORARY ON DATABASE synapse FROM PUBLIC": "it changes Synapse's database for others too; nothing here depends on it",
    "CREATE ROLE dashboard LOGIN PASSWORD '…'; CREATE DATABASE dashboard OWNER dashboard": FOLLOWED,
    "CREATE ROLE dashboard_web LOGIN PASSWORD 'another long password';": "tests/quarantine/test_web_role.py, with another password",
    "psql -f docs/deploy/web-role.sql": "tests/quarantine/test_web_role.py runs the file",
    'sqlite3 ledger.sqlite3 ".backup ledger.backup"': "a program that may be missing; tests/quarantine/test_backup.py runs what does the same",
    "journalctl -u quarantine-web": SYSTEMD,
    "journalctl -u quarantine-web -p err": SYSTEMD,
    "systemctl status quarantine-web": SYSTEMD,
    "systemctl status quarantine-follow": SYSTEMD,
    "manage.py token revoke": NAME,
    "manage.py staff set-password": NAME,
    "manage.py staff set-role": NAME,
    "manage.py staff recover": NAME,
    "manage.py staff add": NAME,
}
TWICE = (("Password: ", "correct horse battery\n"), ("Once more: ", "correct horse battery\n"))
SURE = (("[y/N]", "y\n"),)


@dataclass(frozen=True)
class Run:
    """What comes of it: the exit status, something of what it says, and what is typed when it asks."""

    said: str
    status: int = 0
    typed: tuple[tuple[str, str], ...] = ()


# In the order in which they are run, on one ledger.
RUNS = {
    "manage.py prepare": Run("migrated"),
    "manage.py staff add anna --role admin": Run("anna", typed=TWICE),
    "manage.py staff add NAME": Run("ben", typed=TWICE),
    "manage.py staff set-role NAME --role admin": Run("ben"),
    "manage.py staff recover NAME": Run("ben", typed=TWICE),
    "manage.py backfill": Run("recorded"),
    'manage.py quarantine mxc://example.com/abc --reason "case 7"': Run("changed 1", typed=SURE),
    "manage.py quarantine --origin spam.example --category spam --yes": Run("changed 1"),
    'manage.py release --from-file list.txt --reason "appeal upheld" --dry-run': Run("1 will change"),
    "manage.py follow --once": Run("recorded"),
    "manage.py audit --report-only": Run("0 differences found, none recorded."),
    "manage.py audit": Run("0 recorded, 2 known already"),
    "manage.py alerts test": Run("No way is set up", status=2),
    "manage.py alerts check": Run("Looked; 0 sent."),
    """python3 -c 'import base64, secrets; print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())'""": Run(
        "whsec_"
    ),
    "manage.py token create hma --scope changes:read": Run("This token is shown once."),
    'curl -H "Authorization: Bearer $TOKEN" "https://quarantine.example/_synapse/admin/v1/media/quarantine_changes?from=0"': Run(
        '"next_batch":2'
    ),
    "manage.py token list": Run("hma"),
    "manage.py token revoke NAME": Run("hma"),
    "manage.py token create hma --scope changes:read --scope media:read": Run("This token is shown once."),
    "manage.py token create NAME": Run("This token is shown once."),
    "manage.py evidence --media mxc://matrix.example/abc --output case-17.zip": Run("2 records written to"),
    "manage.py evidence --user @mallory:matrix.example --output case-17.zip": Run("records written to"),
    "manage.py evidence --action 5120 --output case-17.zip": Run("records written to"),
    'manage.py redact --user @mallory:matrix.example --reason "Request 4711 of 3 March" --dry-run': Run(
        "Rows with something to blank"
    ),
    "manage.py redact --media mxc://matrix.example/abc --reason …": Run("Rows with something to blank", typed=SURE),
    "manage.py redact --action 5120 --reason …": Run("Rows with something to blank", typed=SURE),
    "manage.py verify": Run("ledger: 2 rows fit"),
    "manage.py verify --expect ledger:1204877:9f2c0e…": Run("ledger: 2 rows fit"),
}


MEDIA = """
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.mxc import Mxc
home = SampleHomeserver(user_id="@ann:matrix.example")
home.cache_remote(File(sha256="b" * 64), mxc=Mxc("spam.example", "abc"))
print(home.upload(File(sha256="a" * 64, upload_name="scam.png"), uploader="@mallory:matrix.example"))
"""


@dataclass
class Place:
    """A ledger and a homeserver, on which the commands are run; `meant`: what stands for the examples in them."""

    folder: Path
    env: dict[str, str]
    meant: dict[str, str] = field(
        default_factory=lambda: {
            "revoke NAME": "revoke hma",
            "NAME": "ben",
            "hma --scope changes:read --scope": "hma-too --scope changes:read --scope",  # names are given once
        }
    )
    token: str = ""

    def here(self, command):
        for said, meant in self.meant.items():
            command = command.replace(said, meant)
        return command.replace("manage.py ", f"{sys.executable} manage.py ", 1).replace(
            "python3 ", f"{sys.executable} ", 1
        )

    def run(self, command, wanted):
        """Its exit status and all it said."""
        if "5120" not in self.meant and "mxc:" in command:
            self.prepare()
        (self.folder / "case-17.zip").unlink(missing_ok=True)
        env = self.env | {"TOKEN": self.token}
        if command.startswith("curl"):
            return self.curl(command)
        if wanted.typed:
            with program_at_terminal("/bin/bash", "-c", f"exec {self.here(command)}", env=env) as terminal:
                for question, keys in wanted.typed:
                    terminal.wait_for(question)
                    terminal.type(keys)
                return terminal.end(), terminal.shown
        done = subprocess.run(
            ["/bin/bash", "-c", self.here(command)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        if "token create" in command:
            self.token = done.stdout.split()[-1] if done.stdout else ""
        if command == "manage.py verify":
            self.meant["ledger:1204877:9f2c0e…"] = re.search(r"^ledger:\d+:\w+$", done.stdout, re.MULTILINE)[0]
        return done.returncode, done.stdout + done.stderr

    def curl(self, command):
        """Of `manage.py serve`, on a port that is free."""
        with running_server(self.env) as server:
            here = command.replace("https://quarantine.example", server.url)
            done = subprocess.run(
                ["/bin/bash", "-c", here],
                env=self.env | {"TOKEN": self.token},
                capture_output=True,
                text=True,
                check=False,
            )
        return done.returncode, done.stdout

    def prepare(self):
        """Media for the commands to act on, before the first that names any."""
        mxc = manage(self.env, "shell", code=MEDIA).split()[-1]
        names = self.folder / "list.txt"
        names.write_text(f"{mxc}\n")
        self.meant |= {"mxc://example.com/abc": mxc, "mxc://matrix.example/abc": mxc, "5120": "1"}
        self.meant |= {"list.txt": str(names), "case-17.zip": str(self.folder / "case-17.zip"), "reason …": "reason x"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    return Place(folder, process_environ({"DATA_DIR": str(folder)}))


def test_each_command_does_what_is_said_of_it(place):
    outcomes = {}
    for command, wanted in RUNS.items():
        status, said = place.run(command, wanted)
        outcomes[command] = (status, wanted.said if wanted.said in said else said)

    assert outcomes == {command: (wanted.status, wanted.said) for command, wanted in RUNS.items()}


def test_of_every_command_it_is_known_whether_it_is_run():
    assert sorted(found()) == sorted([*RUNS, *LEFT_OUT])
    assert all(LEFT_OUT.values())
