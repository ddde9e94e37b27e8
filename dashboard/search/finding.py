"""Where what was put into the search box leads: to its media page, to a filter, or to what can be done with a list."""

import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext

from quarantine.acting.aims import MOST_LINES
from quarantine.models import Capability, Change, Staff
from quarantine.mxc import Kind, MxcError, Pasted, parse_pasted

SEPARATOR = re.compile(r"[\s,;]+")
NAMES_ONE_THING = (Kind.MEDIA, Kind.SHA256, Kind.USER)
MOST_LISTED = 500  # in an address; more are pasted into the list's own page


def destination(given: QueryDict, staff: Staff) -> str:
    """The address for what the form holds: `q` says what is looked for, its other filters go along."""
    text = given.get("q", "").strip()
    if several := listed(text):
        return list_page(several, staff)
    pasted = understood(text)
    with suppress(NoReverseMatch, AttributeError):
        if pasted and pasted.mxc:
            return reverse("media-detail", args=[pasted.mxc.origin, pasted.mxc.media_id])
    rest = [(name, value) for name, values in given.lists() if name != "q" for value in values if value.strip()]
    return timeline(([filter_of(pasted)] if pasted else [("q", text)] if text else []) + rest)


def understood(text: str) -> Pasted | None:
    """None for a blank one, and for a media address with a mistake, which the timeline explains."""
    try:
        return parse_pasted(text) if text else None
    except MxcError:
        return None


def filter_of(pasted: Pasted) -> tuple[str, str]:
    if pasted.kind is Kind.SHA256:
        return ("sha256", pasted.value)
    if pasted.kind is Kind.SERVER and Change.objects.filter(origin=pasted.value.lower()).exists():
        return ("origin", pasted.value.lower())  # otherwise it may as well be a file name
    return ("q", pasted.value)


def listed(text: str) -> list[str]:
    """The items of a list of media, hashes and users, each once; empty when it is none."""
    parts = list(dict.fromkeys(part for part in SEPARATOR.split(text) if part))[: MOST_LINES + 1]
    kinds = {pasted.kind if (pasted := understood(part)) else None for part in parts}
    return parts if len(parts) > 1 and kinds <= set(NAMES_ONE_THING) else []


def list_page(parts: Sequence[str], staff: Staff) -> str:
    """What can be done with them, for those who may do it; for others, what is recorded of them."""
    if staff.may(Capability.ACT):
        more = len(parts) - MOST_LISTED
        said = gettext("{number} more did not fit into the address: paste the list here instead.")
        rest = [said.format(number=more)] if more > 0 else []
        return f"{reverse('action-new')}?{urlencode({'list': chr(10).join([*parts[:MOST_LISTED], *rest])})}"
    return timeline([("q", part) for part in parts])


def timeline(pairs: Sequence[tuple[str, str]]) -> str:
    return reverse("timeline") + (f"?{urlencode(pairs)}" if pairs else "")
