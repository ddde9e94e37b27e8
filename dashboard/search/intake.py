"""What a form asks to be done: a verb, an aim and a reason, read from what was posted."""

from dataclasses import dataclass
from typing import Self

from django.http import QueryDict
from django.utils.translation import gettext

from quarantine.acting.aims import Aim, AimError
from quarantine.models import Verb
from quarantine.mxc import shown

# What may be aimed at, and the argument of Aim.read it is; "list" is anything pasted, one a line.
NAMES = {"media": "media", "sha256": "hashes", "user": "users", "room": "rooms", "origin": "origins"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """As asked; `hidden` are the fields that ask the same again, once the plan was seen."""

    verb: Verb
    aim: Aim
    hidden: list[tuple[str, str]]
    category: str
    reason: str
    digest: str  # of the plan that was seen; empty before one was

    @classmethod
    def read(cls, data: QueryDict) -> Self:
        """Raises AimError for what makes no sense."""
        verb = data.get("verb", "")
        if verb not in Verb.values:
            msg = gettext("{verb} is not something that can be done; there are {verbs}.")
            msg = msg.format(verb=shown(verb), verbs=", ".join(Verb.values))
            raise AimError(msg)
        given = {name: [text for text in data.getlist(name) if text.strip()] for name in NAMES}
        lines = [line for text in data.getlist("list") for line in text.splitlines() if line.strip()]
        hidden = [(name, text) for name, texts in given.items() for text in texts]
        return cls(
            verb=Verb(verb),
            aim=Aim.read(lines=lines, **{NAMES[name]: texts for name, texts in given.items()}),
            hidden=[("verb", verb), *hidden, *([("list", "\n".join(lines))] if lines else [])],
            category=data.get("category", ""),
            reason=data.get("reason", ""),
            digest=data.get("digest", ""),
        )
