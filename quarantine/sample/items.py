"""Making media: believable types, sizes, names, uploaders and origins; every thirtieth name is hostile."""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from string import ascii_letters, digits

from quarantine.sample import names
from quarantine.sample.rhythm import to_ms

HOSTILE_EVERY = 30
# A byte becomes a letter; some are a little likelier than others.
TO_LETTERS = bytes(ascii_letters[byte % 52].encode()[0] for byte in range(256))
TO_LETTERS_AND_DIGITS = (ascii_letters + digits + "-_").encode() * 4
MOST_BYTES = 2**31 - 1  # Synapse's column is an integer


@dataclass(slots=True)
class Item:
    """A media item as the homeserver will hold it once the story is told."""

    origin: str
    media_id: str
    local: bool
    media_type: str
    media_length: int
    upload_name: str
    uploader: str | None  # None for remote media
    created: datetime
    sha256: str | None
    quarantined_by: str | None = None  # now
    protected: bool = False
    deleted: bool = False
    position: int = 0  # of its newest change in the ledger
    version: int = 0  # see MediaItem


@dataclass(slots=True)
class Content:
    """The items that share one sha256: what happens to one happens to all."""

    items: list[Item] = field(default_factory=list)


def timed(name: str) -> str:
    """The name as a format that asks for no more of a time than it shows: that is slow."""
    for word, form in {"{date}": "{at:%Y%m%d}", "{time}": "{at:%H%M%S}", "{clock}": "{at:%H-%M-%S}"}.items():
        name = name.replace(word, form)
    return name


def pick[Choice](rng: Random, choices: Sequence[Choice], cum_weights: Sequence[float]) -> Choice:
    """What `rng.choices` would choose, in a quarter of its time; it is asked twice for each change."""
    return choices[bisect(cum_weights, rng.random() * cum_weights[-1], 0, len(choices) - 1)]


class Studio:
    """Makes items, the same ones for the same random numbers."""

    def __init__(self, rng: Random, *, home: str) -> None:
        self.rng = rng
        self.home = home
        self.made = 0
        self.hostile = 0
        self.users = [f"@{name}:{home}" for name in names.FIRST_NAMES]
        self.users += [f"@{name}{number}:{home}" for name in names.FIRST_NAMES for number in range(70, 100, 7)]
        self.servers = list(names.REMOTE_SERVERS)
        self.server_weights = list(accumulate(names.REMOTE_SERVERS.values()))
        self.names = {kind.media_type: [timed(name) for name in kind.names] for kind in names.KINDS}
        self.kinds = {kind.media_type: kind for kind in names.KINDS}
        self.kind_weights = list(accumulate(kind.weight for kind in names.KINDS))

    def make(
        self, created: datetime, *, local: bool | None = None, uploader: str | None = None, like: Item | None = None
    ) -> Item:
        """A new upload, or a file of another server cached here; chosen by chance unless `local` says."""
        rng = self.rng
        local = rng.random() < 0.62 if local is None else local
        kind = self.kinds.get(like.media_type) if like else None
        kind = kind or pick(rng, names.KINDS, self.kind_weights)
        name, media_type = self.name(kind, created)
        return Item(
            origin=self.home if local else self.server(),
            media_id=self.media_id(local=local),
            local=local,
            media_type=media_type,
            media_length=min(max(int(rng.lognormvariate(0, kind.spread) * kind.size), 35), MOST_BYTES),
            upload_name=name,
            uploader=(uploader or self.user()) if local else None,
            created=created,
            sha256=rng.randbytes(32).hex(),
        )

    def copy(self, item: Item, created: datetime, *, local: bool | None = None) -> Item:
        """The same bytes again: another upload, or another server's."""
        again = self.make(created, local=local, like=item)
        again.media_type, again.media_length, again.sha256 = item.media_type, item.media_length, item.sha256
        if self.made % HOSTILE_EVERY and self.rng.random() < 0.6:
            again.upload_name = item.upload_name
        return again

    def name(self, kind: names.Kind, created: datetime) -> tuple[str, str]:
        self.made += 1
        if self.made % HOSTILE_EVERY == 0:
            self.hostile += 1
            return names.HOSTILE[self.hostile % len(names.HOSTILE)]
        number = 100 + int(self.rng.random() * 9_900)
        return self.rng.choice(self.names[kind.media_type]).format(at=created, n=number), kind.media_type

    def user(self) -> str:
        """A few people post most."""
        return self.users[int(len(self.users) * self.rng.random() ** 2.5)]

    def spammer(self) -> str:
        return f"@{self.rng.choice(names.SPAMMER_NAMES)}{self.rng.randrange(10_000)}:{self.home}"

    def server(self) -> str:
        return pick(self.rng, self.servers, self.server_weights)

    def media_id(self, *, local: bool) -> str:
        """24 letters as Synapse makes them; other servers have other habits."""
        habit = 0 if local else self.rng.randrange(8)
        if habit == 6:
            return self.rng.randbytes(20).hex()
        if habit == 7:
            return self.rng.randbytes(32).translate(TO_LETTERS_AND_DIGITS).decode()
        return self.rng.randbytes(24).translate(TO_LETTERS).decode()

    def shortly_before(self, moment: datetime, *, typically: timedelta) -> datetime:
        """A time before `moment`, usually about as long as `typically`."""
        ago = typically * self.rng.expovariate(1)
        return moment - max(ago, timedelta(seconds=2))

    def last_access(self, item: Item) -> int:
        """When it was last looked at, in milliseconds."""
        return to_ms(item.created + timedelta(seconds=self.rng.uniform(1, 90_000)))
