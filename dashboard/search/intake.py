"""What a form asks to be done: a verb, an aim and a reason, read from what was posted."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.translation import gettext

from dashboard.links import address_of
from quarantine.acting.aims import Aim, AimError
from quarantine.models import Verb
from quarantine.mxc import shown

# What may be aimed at, and the argument of Aim.read it is; "list" is anything pasted, one a line.
NAMES = {"media": "media", "sha256": "hashes", "user": "users", "room": "rooms", "origin": "origins"}
LONGEST = 2_000  # characters of a plan's address: what mail and chat programs carry, some thirty media


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """As asked; `hidden` are the fields that ask the same again, once the plan was seen."""

    verb: Verb
    aim: Aim
    hidden: list[tuple[str, str]]
    category: str
    reason: str
    digest: str  # of the plan that was seen; empty before one was
    wants_address: bool  # to be led to the plan rather than answered with it: a reload, and the way back, show it again

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
            wants_address=data.get("answer") == "address",
        )

    @property
    def address(self) -> str:
        """Of the plan; empty where the list is too long for one. What is said of it is left out: proxies log addresses."""
        address = f"{address_of('action-new')}?{urlencode(self.hidden)}"
        return address if len(address) <= LONGEST else ""
