"""A real Synapse on 127.0.0.1 for as long as a test run lasts, with people and media in it.

It never talks to another server: remote media is a row and a file, as if it had been fetched.
"""

import hashlib
import hmac
import http.client
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from quarantine.mxc import Mxc
from tests.postgresql import free_port

SERVER_NAME = "lab.test"
# Reserved names that can't resolve; Synapse serves what it "cached" of these and refuses all others.
REMOTE_ORIGINS = ("remote.example", "evil.example", "other.example")
START_SECONDS = 120
# Synapse is this shell's child. Its standard input is held open by the test run; when that closes,
# however the run ended, Synapse is stopped.
SUPERVISOR = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3 >/dev/null; kill -TERM $server; } & watcher=$!
wait $server
kill $watcher 2>/dev/null
"""


class LabError(Exception):
    """Synapse did not start, or answered something else than expected."""


@dataclass(frozen=True)
class Database:
    """Synapse's database, as its owner sees it: an URL of PostgreSQL or the path of an SQLite file."""

    place: str

    @property
    def engine(self) -> str:
        return "postgresql" if self.place.startswith("postgres") else "sqlite"

    def config(self) -> dict[str, Any]:
        if self.engine == "sqlite":
            return {"name": "sqlite3", "args": {"database": self.place}}
        return {"name": "psycopg2", "args": conninfo_to_dict(self.place) | {"cp_min": 2, "cp_max": 10}}

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, committed; %s stands for a value on both engines."""
        if self.engine == "sqlite":
            database = sqlite3.connect(f"file:{self.place}?mode=rw", uri=True, timeout=30, autocommit=True)
            try:
                return database.execute(statement.replace("%s", "?"), values).fetchall()
            finally:
                database.close()
        with psycopg.connect(self.place, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, rows: list[dict[str, object]]) -> None:
        """Rows with the same columns, in one statement; a few thousand values at most."""
        places = ", ".join(["%s"] * len(rows[0]))
        values = [value for row in rows for value in row.values()]
        several = ", ".join([f"({places})"] * len(rows))
        self.run(f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES {several}", *values)


@dataclass(frozen=True)
class Account:
    user_id: str
    token: str


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(eq=False)
class Lab:
    """One server in one folder; it may be stopped and started again."""

    folder: Path
    database: Database
    python: Path  # of the environment that has Synapse
    port: int = field(default_factory=free_port)
    secret: str = field(default_factory=secrets.token_hex)
    process: subprocess.Popen[bytes] | None = None

    # --- Starting and stopping ------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "synapse.log"

    def start(self) -> None:
        """Start and wait until it is healthy and its background updates have run: before, hashes are not compared."""
        self.write_config()
        command = [self.python, "-m", "synapse.app.homeserver", "--config-path", self.folder / "homeserver.yaml"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", SUPERVISOR, "sh", *command],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends us
            )
        self.wait_until(self.healthy)
        self.wait_until(lambda: self.database.run("SELECT COUNT(*) FROM background_updates") == [(0,)])

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                msg = f"Synapse did not start; {self.log} ends with\n{self.log_tail()}"
                raise LabError(msg)
            time.sleep(0.05)

    def healthy(self) -> bool:
        try:
            return self.call("GET", "/health").status == 200
        except OSError:
            return False

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def write_config(self) -> None:
        unlimited = {"per_second": 10_000, "burst_count": 100_000}
        config = {
            "server_name": SERVER_NAME,
            "report_stats": False,
            "registration_shared_secret": self.secret,
            "macaroon_secret_key": self.secret,
            "form_secret": self.secret,
            "signing_key": f"ed25519 a_lab {'A' * 43}",
            "media_store_path": str(self.folder / "media"),
            "pid_file": str(self.folder / "synapse.pid"),
            "log_config": str(self.folder / "log.yaml"),
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "federation_domain_whitelist": list(REMOTE_ORIGINS),
            "presence": {"enabled": False},
            "listeners": [
                {
                    "port": self.port,
                    "type": "http",
                    "bind_addresses": ["127.0.0.1"],
                    "resources": [{"names": ["client", "media"]}],
                }
            ],
            "database": self.database.config(),
            "bcrypt_rounds": 4,
            "rc_message": unlimited,
            "rc_registration": unlimited,
            "rc_media_create": unlimited,
            "background_updates": {"sleep_enabled": False},  # else a second between the batches
        }
        log = {
            "version": 1,
            "handlers": {"stderr": {"class": "logging.StreamHandler"}},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
        }
        # JSON is YAML.
        (self.folder / "homeserver.yaml").write_text(json.dumps(config))
        (self.folder / "log.yaml").write_text(json.dumps(log))

    # --- HTTP -----------------------------------------------------------------------------

    def call(self, method: str, path: str, *, by: Account | None = None, body: Any = None, mime: str = "") -> Answer:
        """One request; `body` is sent as JSON unless it is bytes of type `mime`."""
        headers = {"Content-Type": mime or "application/json"}
        if by is not None:
            headers["Authorization"] = f"Bearer {by.token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The same where only success will do; its JSON."""
        answer = self.call(method, path, **options)
        if answer.status != 200:
            msg = f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')}"
            raise LabError(msg)
        return answer.json

    # --- People and rooms -----------------------------------------------------------------

    def register(self, name: str, *, admin: bool = False) -> Account:
        path = "/_synapse/admin/v1/register"
        nonce = self.ask("GET", path)["nonce"]
        fields = (nonce, name, "a password", "admin" if admin else "notadmin")
        mac = hmac.new(self.secret.encode(), "\0".join(fields).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": "a password", "admin": admin, "mac": mac}
        answer = self.ask("POST", path, body=body)
        return Account(answer["user_id"], answer["access_token"])

    def post_in_room(self, media: list[Mxc], *, by: Account) -> str:
        """A new room with a message for each of these; its id."""
        room = self.ask("POST", "/_matrix/client/v3/createRoom", by=by, body={})["room_id"]
        for number, mxc in enumerate(media):
            message = {"msgtype": "m.image", "body": "picture", "url": str(mxc)}
            path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/{number}"
            self.ask("PUT", path, by=by, body=message)
        return room

    # --- Media ----------------------------------------------------------------------------

    def upload(self, content: bytes, *, by: Account, name: str = "clip.mp4", mime: str = "video/mp4") -> Mxc:
        path = f"/_matrix/media/v3/upload?{urlencode({'filename': name})}"
        return Mxc.parse(self.ask("POST", path, by=by, body=content, mime=mime)["content_uri"])

    def cache_remote(self, content: bytes, *, origin: str = REMOTE_ORIGINS[0]) -> Mxc:
        """What Synapse would have, had somebody here looked at this file of another server."""
        mxc, file = Mxc(origin, secrets.token_hex(12)), secrets.token_hex(12)
        path = self.folder / "media" / "remote_content" / origin / file[:2] / file[2:4] / file[4:]
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        now = int(time.time() * 1000)
        row = {
            "media_origin": origin,
            "media_id": mxc.media_id,
            "media_type": "video/mp4",
            "created_ts": now,
            "upload_name": "remote.mp4",
            "media_length": len(content),
            "filesystem_id": file,
            "last_access_ts": now,
            "authenticated": True,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        self.database.insert("remote_media_cache", [row])
        return mxc

    def media_call(self, verb: str, mxc: Mxc, *, by: Account) -> Answer:
        """POST /media/VERB/origin/id, or without the origin for (un)protect."""
        names = (mxc.media_id,) if verb.endswith("protect") else (mxc.origin, mxc.media_id)
        path = "/".join(quote(name, safe="") for name in (verb, *names))
        return self.call("POST", f"/_synapse/admin/v1/media/{path}", by=by, body={})

    def media_info(self, mxc: Mxc, *, by: Account) -> Answer:
        return self.call("GET", f"/_synapse/admin/v1/media/{quote(mxc.origin)}/{quote(mxc.media_id)}", by=by)

    def delete(self, mxc: Mxc, *, by: Account) -> Answer:
        return self.call("DELETE", f"/_synapse/admin/v1/media/{quote(mxc.origin)}/{quote(mxc.media_id)}", by=by)


@contextmanager
def running_lab(folder: Path, place: str, python: Path) -> Iterator[Lab]:
    """A lab in a folder that stays: its log and database may be wanted."""
    lab = Lab(folder=folder, database=Database(place), python=python)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
