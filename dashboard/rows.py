"""One change, one row of HTML: the same bytes for everyone, on the page and in the live view.

A change never changes, so its row is rendered once and kept. Hence nothing in it may depend on who
looks, on their zone, on today's date or on later events; a script makes times relative.
Changes should come with `select_related("action")`, or each row costs a query of its own.
"""

from dataclasses import dataclass
from typing import cast

from django.core.cache import caches
from django.template.loader import get_template
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext

from dashboard.wording.text import initials, plain, size, type_icon, type_label
from dashboard.wording.times import when
from quarantine.models import Cause, Change, Source, State

TEMPLATE = "dashboard/_row.html"
SYSTEM = "system"  # Synapse's name for itself, when a hash it knows comes back
SEAL = {"salts", "digest", "chain"}
CONTENT = tuple(field.attname for field in Change._meta.concrete_fields if field.attname not in SEAL)
LOOKS = 6  # abstract thumbnails


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changed it: a name, what kind of name that is, and a mark to tell them apart."""

    kind: str
    name: str
    note: str
    icon: str = ""
    initials: str = ""


def row_html(change: Change) -> SafeString:
    """The row as HTML, from the cache where it is known."""
    cache, key = caches["rows"], key_of(change)
    known = cache.get(key)
    if known is None:
        known = get_template(TEMPLATE).render(row_context(change))
        cache.set(key, known)
    return cast("SafeString", known)


def key_of(change: Change) -> str:
    """Position and language; the content tells apart the ledgers that one process may meet, as tests do."""
    content = tuple(getattr(change, name) for name in CONTENT)
    return f"{get_language()}:{change.pk}:{hash((content, reason(change))):x}"


def row_context(change: Change) -> dict[str, object]:
    return {
        "change": change,
        "when": when(change),
        "badge": badge(change),
        "actor": actor(change),
        "reason": reason(change),
        "cause": cause(change),
        "type": type_label(change.media_type),
        "size": size(change.media_length),
        "icon": type_icon(change.media_type),
        "look": look(change),
        "labels": labels(change),
    }


def labels(change: Change) -> dict[str, str]:
    """Read aloud, or shown on pointing."""
    name = plain(change.upload_name) or gettext("this media item")
    return {
        "select": gettext("Select {name}").format(name=name),
        "act": gettext("Actions for {name}").format(name=name),
        "type": plain(change.media_type) or gettext("Type unknown"),
    }


def badge(change: Change) -> str:
    """The state in words; "found" where nobody saw it happen."""
    found = change.not_before is None and change.quarantined
    return gettext("Found quarantined") if found else str(change.state.label)


def actor(change: Change) -> Actor:
    name = change.changed_by
    if not name:
        return Actor("unknown", gettext("Not known"), gettext("Not recorded"), icon="unknown")
    if name == SYSTEM:
        matched = change.cause == Cause.HASH
        who = gettext("System: hash match") if matched else gettext("System")
        return Actor("system", who, gettext("Automatic"), icon="hash")
    if change.action_id is not None or change.source == Source.ACTION:
        return Actor("staff", name, gettext("Staff"), initials=initials(name))
    return Actor("matrix", name, gettext("Matrix user"), icon="user")


def cause(change: Change) -> str:
    return gettext("Cause not known") if change.cause == Cause.UNKNOWN else str(Cause(change.cause).label)


def reason(change: Change) -> str | None:
    """What staff wrote; None where there was no action to give one for."""
    return change.action.reason if change.action else None


def look(change: Change) -> int:
    """Which abstract thumbnail stands for it, chosen by its id; 0: none. Never a picture of the media."""
    if type_icon(change.media_type) not in {"image", "video"} or change.state == State.DELETED:
        return 0
    return sum(change.media_id.encode()) % LOOKS + 1
