"""A homeserver with its people, in the same words for the sample one and for a real Synapse."""

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.conf import settings

from quarantine.homeserver.gateway import Homeserver, HomeserverError, UnknownMediaError
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.homeserver.synapse import SynapseHomeserver
from quarantine.mxc import Mxc
from tests.synapse.lab import SERVER_NAME, Account, Lab

USERS = ("alice", "mallory")
FEED = "SELECT stream_id, origin, media_id, quarantined FROM quarantined_media_changes ORDER BY stream_id"
POSITION = "SELECT stream_id FROM stream_positions WHERE stream_name = 'quarantined_media' AND instance_name = 'master'"


@dataclass(frozen=True)
class Row:
    """A row of the table quarantined_media_changes."""

    feed_id: int
    origin: str | None
    media_id: str
    quarantined: bool


class World(Protocol):
    name: str  # of the server
    admin: Homeserver
    other_admin: Homeserver

    def user_id(self, user: str) -> str: ...
    def upload(self, content: bytes, *, by: str = "alice") -> Mxc: ...
    def cache_remote(self, content: bytes, *, origin: str = "remote.example") -> Mxc: ...
    def post_in_room(self, media: list[Mxc]) -> str: ...
    def delete(self, mxc: Mxc) -> None: ...
    def purge_remote_cache(self) -> int: ...
    def forget_hash(self, mxc: Mxc) -> None: ...
    def feed(self) -> list[Row]: ...
    def position(self) -> int | None: ...


# --- What tests say -----------------------------------------------------------------------

NONE: Counter[tuple[Mxc, bool]] = Counter()


def on(*media: Mxc) -> Counter[tuple[Mxc, bool]]:
    """The rows of a quarantine; in which order one call appends them is the homeserver's own affair."""
    return Counter((mxc, True) for mxc in media)


def off(*media: Mxc) -> Counter[tuple[Mxc, bool]]:
    """The rows of a release."""
    return Counter((mxc, False) for mxc in media)


def actors(world: World, *media: Mxc) -> list[str | None]:
    """Who quarantined each; None: not quarantined."""
    return [world.admin.media(mxc).quarantined_by for mxc in media]


def fresh() -> bytes:
    """Bytes that no other test has uploaded."""
    return secrets.token_bytes(32)


# --- The sample homeserver ----------------------------------------------------------------


@dataclass
class SampleWorld:
    rooms: dict[str, Collection[Mxc]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = settings.HOMESERVER_NAME
        self.admin, self.other_admin = (
            SampleHomeserver(user_id=self.user_id(name), rooms=self.rooms) for name in ("admin", "other_admin")
        )

    def user_id(self, user: str) -> str:
        return f"@{user}:{self.name}"

    def upload(self, content: bytes, *, by: str = "alice") -> Mxc:
        return self.admin.upload(file(content), uploader=self.user_id(by))

    def cache_remote(self, content: bytes, *, origin: str = "remote.example") -> Mxc:
        mxc = Mxc(origin, secrets.token_hex(12))
        self.admin.cache_remote(file(content), mxc=mxc)
        return mxc

    def post_in_room(self, media: list[Mxc]) -> str:
        room_id = f"!{secrets.token_hex(9)}:{self.name}"
        self.rooms[room_id] = media
        return room_id

    def delete(self, mxc: Mxc) -> None:
        self.admin.delete(mxc)

    def purge_remote_cache(self) -> int:
        return self.admin.purge_remote_cache(before_ts=in_a_minute())

    def forget_hash(self, mxc: Mxc) -> None:
        LocalMedia.objects.filter(media_id=mxc.media_id).update(sha256=None)
        RemoteMedia.objects.filter(pk=(mxc.origin, mxc.media_id)).update(sha256=None)

    def feed(self) -> list[Row]:
        rows = FeedChange.objects.order_by("stream_id")
        return [Row(row.stream_id, row.origin, row.media_id, row.quarantined) for row in rows]

    def position(self) -> int | None:
        return StreamPosition.objects.values_list("stream_id", flat=True).first()


def file(content: bytes) -> File:
    sha256 = hashlib.sha256(content).hexdigest()
    return File(sha256=sha256, media_length=len(content), media_type="video/mp4", upload_name="clip.mp4")


# --- Synapse ------------------------------------------------------------------------------


class SynapseWorld:
    name = SERVER_NAME

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.clients = ExitStack()
        self.owner = lab.register("admin", admin=True)
        self.admin = self.client_of(self.owner)
        self.other_admin = self.moderator("other_admin")
        self.users = {name: lab.register(name) for name in USERS}

    def moderator(self, name: str) -> SynapseHomeserver:
        return self.client_of(self.lab.register(name, admin=True))

    def client_of(self, account: Account) -> SynapseHomeserver:
        return self.clients.enter_context(closing(SynapseHomeserver(self.lab.url, account.token)))

    def close(self) -> None:
        self.clients.close()

    def user_id(self, user: str) -> str:
        return self.users[user].user_id

    def upload(self, content: bytes, *, by: str = "alice") -> Mxc:
        return self.lab.upload(content, by=self.users[by])

    def cache_remote(self, content: bytes, *, origin: str = "remote.example") -> Mxc:
        return self.lab.cache_remote(content, origin=origin)

    def post_in_room(self, media: list[Mxc]) -> str:
        return self.lab.post_in_room(media, by=self.users["alice"])

    def delete(self, mxc: Mxc) -> None:
        answer = self.lab.delete(mxc, by=self.owner)
        assert checked(answer.status, answer.json) == {"deleted_media": [mxc.media_id], "total": 1}

    def purge_remote_cache(self) -> int:
        path = f"/_synapse/admin/v1/purge_media_cache?before_ts={in_a_minute()}"
        return self.lab.ask("POST", path, by=self.owner, body={})["deleted"]

    def forget_hash(self, mxc: Mxc) -> None:
        for table in ("local_media_repository", "remote_media_cache"):
            self.lab.database.run(f"UPDATE {table} SET sha256 = NULL WHERE media_id = %s", mxc.media_id)

    def feed(self) -> list[Row]:
        return [Row(*columns, bool(quarantined)) for *columns, quarantined in self.lab.database.run(FEED)]

    def position(self) -> int | None:
        found = self.lab.database.run(POSITION)
        return found[0][0] if found else None

    def changes(self) -> list[tuple[Mxc, bool]]:
        """The whole feed by the Admin API, page by page."""
        found, position = [], 0
        while True:
            path = f"/_synapse/admin/v1/media/quarantine_changes?from={position}"
            page = self.lab.ask("GET", path, by=self.owner)
            found += [(Mxc(one["origin"], one["media_id"]), bool(one["quarantined"])) for one in page["changes"]]
            if page["next_batch"] == position:
                return found
            position = page["next_batch"]

    def quarantined(self) -> set[Mxc]:
        """All that is quarantined now, whoever did it, read from the tables as their owner."""
        local = self.lab.database.run("SELECT media_id FROM local_media_repository WHERE quarantined_by IS NOT NULL")
        remote = self.lab.database.run(
            "SELECT media_origin, media_id FROM remote_media_cache WHERE quarantined_by IS NOT NULL"
        )
        return {Mxc(self.name, media_id) for [media_id] in local} | {Mxc(*names) for names in remote}


def checked(status: int, answer: Any) -> Any:
    """The answer of the Admin API, or its refusal as the gateway's exception."""
    if status == 404:
        raise UnknownMediaError(answer["error"])
    if status != 200:
        raise HomeserverError(answer["error"])
    return answer


def in_a_minute() -> int:
    return int(time.time() * 1000) + 60_000


def eventually(true: Callable[[], bool], *, seconds: float = 10) -> bool:
    """Whether it becomes true in that time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
