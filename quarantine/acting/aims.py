"""What an action is aimed at, read from what people type, paste and select."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext, gettext_lazy

from quarantine.fields import SHA256
from quarantine.models import Cause
from quarantine.mxc import SERVER, USER, Kind, Mxc, MxcError, parse_pasted, shown

MOST_LINES = 50_000
MOST_COMPLAINTS = 5
A_HASH = gettext_lazy("{text} is not a sha256: that is 64 hexadecimal digits.")
A_USER = gettext_lazy("{text} is not a user id, such as @name:matrix.example.")
A_ROOM = gettext_lazy("{text} is not a room id, such as !abc:matrix.example.")
A_SERVER = gettext_lazy("{text} is not a server name, such as matrix.example.")
SHOWN = 500  # characters of a long list that are kept as the action's target


class AimError(ValueError):
    """Not something to aim at; says why in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Any of these together. `origins` are whole servers: all media of theirs that is cached here."""

    media: tuple[Mxc, ...] = ()
    hashes: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        *,
        lines: Iterable[str] = (),
        media: Iterable[str] = (),
        hashes: Iterable[str] = (),
        users: Iterable[str] = (),
        rooms: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> Self:
        """`lines` are media addresses, download links, sha256 or user ids; `media` are addresses as rows have them.

        Blank ones don't count. Raises AimError, which names the first few that make no sense.
        """
        said = Reading()
        for line in meaningful(lines):
            said.take_pasted(line)
        for text in meaningful(media):
            said.take_media(text)
        said.hashes += [
            said.checked(text.lower(), SHA256.fullmatch(text.lower()), A_HASH) for text in meaningful(hashes)
        ]
        said.users += [said.checked(text, USER.fullmatch(text), A_USER) for text in meaningful(users)]
        named_rooms = [said.checked(text, text[0] == "!", A_ROOM) for text in meaningful(rooms)]
        servers = [said.checked(text, SERVER.fullmatch(text), A_SERVER) for text in meaningful(origins)]
        said.complain()
        return cls(
            media=unique(said.media),
            hashes=unique(said.hashes),
            users=unique(said.users),
            rooms=unique(named_rooms),
            origins=unique(servers),
        )

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))

    @property
    def parts(self) -> tuple[tuple[Mxc, ...] | tuple[str, ...], ...]:
        return (self.media, self.hashes, self.users, self.rooms, self.origins)

    @property
    def cause(self) -> Cause:
        """What the ledger says that the changes were caused by."""
        if self.size != 1:
            return Cause.LIST
        kinds = (Cause.ITEM, Cause.HASH, Cause.USER, Cause.ROOM, Cause.ORIGIN)
        return next(kind for kind, part in zip(kinds, self.parts, strict=True) if part)

    @property
    def target(self) -> str:
        """As the action's record has it; a long list is cut."""
        texts = [str(one) for part in self.parts for one in part]
        kept, length = 0, 0
        while kept < len(texts) and (kept == 0 or length + len(texts[kept]) < SHOWN):
            length += len(texts[kept]) + 1
            kept += 1
        more = [f"and {len(texts) - kept} more"] if kept < len(texts) else []
        return "\n".join(texts[:kept] + more)


class Reading:
    """What was understood so far, and what was not."""

    def __init__(self) -> None:
        self.media: list[Mxc] = []
        self.hashes: list[str] = []
        self.users: list[str] = []
        self.problems: list[str] = []

    def take_pasted(self, line: str) -> None:
        try:
            pasted = parse_pasted(line)
        except MxcError as error:
            self.problems.append(str(error))
            return
        match pasted.kind:
            case Kind.MEDIA:
                self.media.append(Mxc.parse(pasted.value))
            case Kind.SHA256:
                self.hashes.append(pasted.value)
            case Kind.USER:
                self.users.append(pasted.value)
            case _:
                said = gettext("{text} is neither a media address nor a sha256 nor a user id.")
                self.problems.append(said.format(text=shown(line)))

    def take_media(self, text: str) -> None:
        try:
            self.media.append(Mxc.of_row(text))
        except MxcError as error:
            self.problems.append(str(error))

    def checked(self, text: str, fits: object, complaint: Any) -> str:
        if not fits:
            self.problems.append(complaint.format(text=shown(text)))
        return text

    def complain(self) -> None:
        if not self.problems:
            return
        more = len(self.problems) - MOST_COMPLAINTS
        tail = [gettext("And {number} more.").format(number=more)] if more > 0 else []
        raise AimError(" ".join(self.problems[:MOST_COMPLAINTS] + tail))


def meaningful(texts: Iterable[str]) -> list[str]:
    found = [text.strip() for text in texts if text.strip()]
    if len(found) > MOST_LINES:
        msg = gettext("{number} lines are too many at once; the most is {most}.")
        msg = msg.format(number=intcomma(len(found)), most=intcomma(MOST_LINES))
        raise AimError(msg)
    return found


def unique[T](found: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))
