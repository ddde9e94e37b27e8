"""mxc://origin/media_id, the name of a media item, and the recognition of whatever people paste."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext

SHOWN = 60  # characters of what was pasted, in a message


class MxcError(ValueError):
    """Not the name of a media item; says why in a sentence."""


class Mxc(NamedTuple):
    """Made directly it takes any texts, as strangers' servers send them; `parse` is for what people type.

    A tuple, because thousands at once are sorted and looked up, and a dataclass does that in Python.
    """

    origin: str
    media_id: str

    def __str__(self) -> str:
        return f"mxc://{self.origin}/{self.media_id}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read mxc://origin/media_id, blanks around it aside. Raises MxcError."""
        found = MXC.fullmatch(text.strip())
        if found is None or not all(map(is_visible, found.groups())):
            msg = gettext("{text} is not a media address; one looks like mxc://matrix.example/hXkQvbTzRtLm.")
            msg = msg.format(text=shown(text))
            raise MxcError(msg)
        return cls(*found.groups())

    @classmethod
    def of_row(cls, text: str) -> Self:
        """Read what `str` made of one, whatever its id holds: ids with blanks, slashes and worse do exist. Raises MxcError."""
        origin, _, media_id = text.removeprefix("mxc://").partition("/")
        if not text.startswith("mxc://") or not origin or not media_id:
            msg = gettext("{text} is not a media address; one looks like mxc://matrix.example/hXkQvbTzRtLm.")
            msg = msg.format(text=shown(text))
            raise MxcError(msg)
        return cls(origin, media_id)


class Named(RawSQL):
    """A condition for `filter`: the row's media is one of these, however many (a few hundred).

    One list for the index to be probed with. Django writes such a condition as deep as it is long on SQLite, and
    on PostgreSQL the adapter takes longer over so many parameters than the server does to answer.
    """

    def __init__(self, keys: Iterable[Mxc], *, origin: str | None = "origin") -> None:
        """`origin` is the column's name; None: there is none, the ids alone are looked for."""
        # As RawSQL, for of anything else Django would ask on SQLite whether it "= True", past any index.
        super().__init__("", (), BooleanField())
        self.keys, self.origin = list(keys), origin

    @property
    def names(self) -> list[tuple[str, ...]]:
        return [(key.media_id,) if self.origin is None else (key.origin, key.media_id) for key in self.keys]

    @property
    def columns(self) -> str:
        return "(media_id)" if self.origin is None else f"({self.origin}, media_id)"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str, ...]]:
        marks = "(%s)" if self.origin is None else "(%s, %s)"
        values = ", ".join([marks] * len(self.keys))
        # Bare VALUES SQLite doesn't look up in an index: it reads the whole table instead.
        condition = f"{self.columns} IN (SELECT * FROM (VALUES {values}))"  # noqa: S608 - a name of a column
        return condition, tuple(text for name in self.names for text in name)

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str, ...]]:
        arrays = tuple(array(texts) for texts in zip(*self.names, strict=True))
        marks = ", ".join(["%s::text[]"] * len(arrays))
        return f"{self.columns} IN (SELECT * FROM unnest({marks}))", arrays  # noqa: S608 - a name of a column


def array(texts: Iterable[str]) -> str:
    """Texts as PostgreSQL writes an array of them."""
    texts = list(texts)
    together = "".join(texts)
    if "\\" in together or '"' in together:
        texts = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    return "{" + ",".join([f'"{text}"' for text in texts]) + "}"


class Kind(StrEnum):
    MEDIA = "media"
    SHA256 = "sha256"
    USER = "user"
    SERVER = "server"  # or a file name: "photo.png" looks the same
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a pasted text is. `value`: an mxc URI, 64 lower-case hex, a user id, a server name, or the words."""

    kind: Kind
    value: str

    @property
    def mxc(self) -> Mxc | None:
        return Mxc.parse(self.value) if self.kind is Kind.MEDIA else None


MXC = re.compile(r"mxc://([^/?#]+)/([^/?#]+)", re.IGNORECASE)
# https://host/_matrix/client/v1/media/download/ORIGIN/ID/name.png and its older and thumbnail forms
MEDIA_URL = re.compile(
    r"(?:https?://[^/\s]+)?/_matrix/(?:client/(?:v1|unstable/[^/\s]+)/media|media/(?:r0|v\d+|unstable))"
    r"/(?:download|thumbnail)/([^/?#\s]+)/([^/?#\s]+)(?:[/?#]\S*)?",
    re.IGNORECASE,
)
USER_LINK = re.compile(r"https?://matrix\.to/#/((?:@|%40)[^/?\s]+)(?:[/?]\S*)?", re.IGNORECASE)
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
USER = re.compile(r"@[^:\s]*:[^\s/]+")
SERVER = re.compile(r"(?=.*[.:])(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?")


def parse_pasted(text: str) -> Pasted:
    """Recognise what somebody pasted. Raises MxcError for a media address or link that names no media."""
    text = text.strip()
    if link := MEDIA_URL.fullmatch(text):
        return Pasted(Kind.MEDIA, str(Mxc.parse(f"mxc://{unquote(link[1])}/{unquote(link[2])}")))
    if text[:6].lower() == "mxc://":
        return Pasted(Kind.MEDIA, str(Mxc.parse(text)))
    if SHA256.fullmatch(text):
        return Pasted(Kind.SHA256, text.lower())
    if link := USER_LINK.fullmatch(text):
        text = unquote(link[1])
    if USER.fullmatch(text):
        return Pasted(Kind.USER, text)
    return Pasted(Kind.SERVER if SERVER.fullmatch(text) else Kind.WORDS, text)


def is_visible(text: str) -> bool:
    """Neither blanks nor control, direction or unpaired surrogate characters: what shows is what is there."""
    return text.isprintable() and " " not in text


def shown(text: str) -> str:
    """The text for a message: short, and nothing hidden in it."""
    return ascii(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
