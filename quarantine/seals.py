"""Digests and chains: how a record shows that it was not changed afterwards.

A row's *content* is a JSON array in ASCII: its plain values in a fixed order (times as microseconds since 1970, UTC),
then one commitment for each personal value: sha256(salt, value) in hex, or "" where there was nothing.
Its *digest* is the sha256 of that. Its *chain value* is the sha256 of one line of text: the chain value of the row
before, what was given under the lock (the position; a change's time too), and the digest, with single spaces.
`sha256sum` can check all of it. docs/evidence.md has it for people who have to.

A personal value can be blanked for good: its commitment takes the place of its salt, so the digest stays
what it was, while nobody can try names against it any more.
"""

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from types import NoneType
from typing import Any

REDACTED = "[redacted]"  # stands where a personal value was
SALT, COMMITMENT = 16, 32  # bytes
BLANK, SALTED, BLANKED = b"\x00", b"\x01", b"\x02"  # nothing there; a salt follows; a commitment follows
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class BrokenSealError(Exception):
    """The salts don't go with the values."""


@dataclass(frozen=True, slots=True)
class Seal:
    salts: bytes  # for each personal value in order: BLANK, SALTED and a salt, or BLANKED and a commitment
    digest: bytes


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


# What each kind of value is in JSON: json's own encoder, asked once a value, takes half the time of asking it once a row.
WORDS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    int: int.__repr__,
    bool: {False: "false", True: "true"}.__getitem__,
    NoneType: {None: "null"}.__getitem__,
    datetime: lambda moment: str(micros(moment)),
    bytes: lambda raw: f'"{raw.hex()}"',  # hashes, as they come from the database
}
encode = json.JSONEncoder(separators=(",", ":")).encode


def seal(plain: Sequence[Any], personal: Sequence[str]) -> Seal:
    """With new salts."""
    fresh = secrets.token_bytes(SALT * len(personal))  # at once: each asking takes as long as a digest
    salts = b"".join(
        SALTED + fresh[at * SALT : (at + 1) * SALT] if value else BLANK for at, value in enumerate(personal)
    )
    return Seal(salts, digest(plain, personal, salts))


def digest(plain: Sequence[Any], personal: Sequence[str], salts: bytes) -> bytes:
    """Raises BrokenSealError."""
    return sha256(content(plain, personal, salts).encode()).digest()


def content(plain: Sequence[Any], personal: Sequence[str], salts: bytes) -> str:
    """What is digested. Raises BrokenSealError."""
    words = [WORDS.get(type(value), other_word)(value) for value in plain]
    return f"[{','.join(words + [f'"{each}"' for each in commitments(personal, salts)])}]"


def other_word(value: object) -> str:
    """Of what is a text but in name (a choice of several), or whatever else there may be."""
    return encode_basestring_ascii(value) if isinstance(value, str) else encode(value)


def commitments(personal: Sequence[str], salts: bytes) -> list[str]:
    found, at, end = [], 0, len(salts)
    for value in personal:
        kind = salts[at] if at < end else None
        at += 1
        if kind == SALTED[0] and value:
            found.append(sha256(salts[at : at + SALT] + value.encode()).hexdigest())
            at += SALT
        elif kind == BLANK[0] and not value:
            found.append("")
        elif kind == BLANKED[0] and value == REDACTED:
            found.append(salts[at : at + COMMITMENT].hex())
            at += COMMITMENT
        else:
            raise BrokenSealError
    if at != end:
        raise BrokenSealError
    return found


def redact(personal: Sequence[str], salts: bytes, *, which: Sequence[bool]) -> tuple[list[str], bytes]:
    """The values and salts with those blanked that are `which`; the digest stays the same. Raises BrokenSealError."""
    values, kept, at = [], b"", 0
    for value, commitment, blank in zip(personal, commitments(personal, salts), which, strict=True):
        length = 1 + {BLANK: 0, SALTED: SALT, BLANKED: COMMITMENT}[salts[at : at + 1]]
        gone = blank and salts[at : at + 1] == SALTED
        values.append(REDACTED if gone else value)
        kept += BLANKED + bytes.fromhex(commitment) if gone else salts[at : at + length]
        at += length
    return values, kept


def is_redacted(salts: bytes) -> bool:
    at = 0
    while at < len(salts):
        if salts[at : at + 1] == BLANKED:
            return True
        at += 1 + (SALT if salts[at : at + 1] == SALTED else 0)
    return False


def genesis(name: str) -> bytes:
    """What comes before the first row of a table's chain."""
    return sha256(name.encode()).digest()


def link_text(previous: bytes, *given: int, digest: bytes) -> str:
    return f"{previous.hex()} {' '.join(map(str, given))} {digest.hex()}"


def link(previous: bytes, *given: int, digest: bytes) -> bytes:
    """The chain value of a row: it stands for this row and every one before it."""
    return sha256(link_text(previous, *given, digest=digest).encode()).digest()
