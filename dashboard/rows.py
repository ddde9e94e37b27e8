"""One change, one row of HTML: the same bytes for everyone, on the page and in the live view.

A change never changes, so its row is rendered once and kept. Hence nothing in it may depend on who
looks, on their zone, on today's date or on later events; a script makes times relative.
Changes should come `with_reasons`, or each row costs queries of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

from django.core.cache import caches
from django.db.models import OuterRef, Subquery
from django.template.loader import get_template
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext

from dashboard.links import filter_url, plan_url
from dashboard.serving.memory import Memory
from dashboard.stencils import Marks, Stencil
from dashboard.wording.text import file_name, identifier, initials, plain, size, type_icon, type_label, visible
from dashboard.wording.times import When, iso, when
from quarantine.models import Category, Cause, Change, ChangeQuerySet, Source, State

TEMPLATE = "dashboard/_row.html"
SYSTEM = "system"  # Synapse's name for itself, when a hash it knows comes back
SEAL = {"salts", "digest", "chain"}
CONTENT = tuple(field.attname for field in Change._meta.concrete_fields if field.attname not in SEAL)
LOOKS = 6  # abstract thumbnails
KINDS = 512  # whose stencils are kept, of some 5 kB


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changed it: a name, what kind of name that is, and a mark to tell them apart."""

    kind: str
    name: str
    note: str
    icon: str = ""
    initials: str = ""


class Kind(NamedTuple):
    """All that decides how a row is built and what its fixed words are: two of a kind differ in values alone."""

    language: str | None
    state: State
    cause: str
    source: str
    icon: str
    by: str
    local: bool
    named: bool
    uploaded: bool
    acted: bool
    reasoned: bool
    categorized: bool
    moment: bool
    since: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A change, and what is said of it more than once."""

    change: Change
    when: When
    actor: Actor
    mxc: str
    name: str
    category: str
    reason: str

    @classmethod
    def of(cls, change: Change) -> "Told":
        name = plain(change.upload_name) or gettext("this media item")
        return cls(change, when(change), actor(change), str(change.mxc), name, category(change), reason(change) or "")

    @property
    def kind(self) -> Kind:
        change = self.change
        return Kind(
            language=get_language(),
            state=change.state,
            cause=change.cause,
            source=change.source,
            icon=type_icon(change.media_type),
            by=self.actor.kind,
            local=change.local,
            named=bool(change.upload_name),
            uploaded=bool(change.uploader),
            acted=change.action_id is not None,
            reasoned=bool(self.reason),
            categorized=bool(self.category),
            moment=self.when.moment is not None,
            since=self.when.since is not None,
        )


# What differs between rows of a kind, by the names that the template has for it.
VALUES: Mapping[str, Callable[[Told], object]] = {
    "position": lambda told: told.change.pk,
    "mxc": lambda told: told.mxc,
    "plain_mxc": lambda told: plain(told.mxc),
    "short_mxc": lambda told: identifier(told.mxc),
    "page": lambda told: reverse("media-detail", args=[told.change.origin, told.change.media_id]),
    "history": lambda told: filter_url("media", told.mxc),
    "release": lambda told: plan_url("release", "media", told.mxc),
    "quarantine": lambda told: plan_url("quarantine", "media", told.mxc),
    "select": lambda told: gettext("Select {name}").format(name=told.name),
    "act": lambda told: gettext("Actions for {name}").format(name=told.name),
    "seen": lambda told: iso(told.change.seen_at),
    "since": lambda told: iso(told.when.since or told.change.seen_at),
    "time": lambda told: told.when.sentence,
    "first": lambda told: told.when.first,
    "second": lambda told: told.when.second,
    "look": lambda told: look_of(told.change),
    "name": lambda told: told.name,
    "file_name": lambda told: file_name(told.change.upload_name),
    "whole_type": lambda told: plain(told.change.media_type) or gettext("Type unknown"),
    "type": lambda told: visible(type_label(told.change.media_type)),
    "size": lambda told: size(told.change.media_length),
    "uploader": lambda told: visible(told.change.uploader),
    "plain_uploader": lambda told: plain(told.change.uploader),
    "by_uploader": lambda told: filter_url("uploader", told.change.uploader),
    "quarantine_user": lambda told: plan_url("quarantine", "user", told.change.uploader),
    "origin": lambda told: visible(told.change.origin),
    "plain_origin": lambda told: plain(told.change.origin),
    "quarantine_origin": lambda told: plan_url("quarantine", "origin", told.change.origin),
    "actor": lambda told: visible(told.actor.name),
    "plain_actor": lambda told: plain(told.actor.name),
    "by_actor": lambda told: filter_url("by", told.change.changed_by),
    "initials": lambda told: told.actor.initials,
    "category": lambda told: visible(told.category),
    "reason": lambda told: visible(told.reason),
    "whole_reason": lambda told: plain(" · ".join(filter(None, [told.category, told.reason]))),
}


stencils: Memory[Stencil] = Memory(KINDS)


def with_reasons(changes: ChangeQuerySet) -> ChangeQuerySet:
    """Read with their actions, and with what the kinds of these actions' reasons are called by now."""
    labels = Category.objects.filter(slug=OuterRef("action__category")).values("label")
    return changes.select_related("action").annotate(category_label=Subquery(labels))


def row_html(change: Change) -> SafeString:
    """The row as HTML, from the cache where it is known."""
    cache, key = caches["rows"], key_of(change)
    known = cache.get(key)
    if known is None:
        known = render(change)
        cache.set(key, known)
    return cast("SafeString", known)


def render(change: Change) -> SafeString:
    told = Told.of(change)
    stencil = stencils.recall(told.kind, partial(make_stencil, change), worth_keeping=lambda _: True)
    return stencil.fill(told, VALUES)


def make_stencil(change: Change) -> Stencil:
    """Of all changes of its kind."""
    return Stencil.of(get_template(TEMPLATE).render(row_context(change) | {"put": Marks()}))


def key_of(change: Change) -> str:
    """Position and language; the content tells apart the ledgers that one process may meet, as tests do."""
    content = tuple(getattr(change, name) for name in CONTENT)
    return f"{get_language()}:{change.pk}:{hash((content, reason(change), category(change))):x}"


def row_context(change: Change) -> dict[str, object]:
    """For templates that show a change in other ways than as a row."""
    return {
        "change": change,
        "when": when(change),
        "badge": badge(change),
        "actor": actor(change),
        "category": category(change),
        "reason": reason(change),
        "cause": cause(change),
        "icon": type_icon(change.media_type),
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


def category(change: Change) -> str:
    """What the kind of the action's reason is called by now; empty where none was chosen."""
    slug = change.action.category if change.action else ""
    if not slug:
        return ""
    if hasattr(change, "category_label"):
        return Category.in_words(change.category_label or slug)
    return Category.names().get(slug, slug)


def look_of(change: Change) -> str:
    """The class of an abstract thumbnail, chosen by its id. Never a picture of the media."""
    if type_icon(change.media_type) not in {"image", "video"} or change.state == State.DELETED:
        return "none"
    return f"g{sum(change.media_id.encode()) % LOOKS + 1}"
