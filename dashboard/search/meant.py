"""What was probably meant by a search for words that found nothing: users, hashes and dates are found only whole, or elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, QuerySet, Subquery
from django.utils.translation import gettext

from dashboard.links import address_of, filter_url
from dashboard.search.filters import ChangeFilter, query_string
from dashboard.wording import times
from dashboard.wording.terms import Term
from dashboard.wording.text import cut_middle
from quarantine.models import Cause, Change, Ledger
from quarantine.mxc import Kind, parse_pasted

NAME = re.compile(r"@?([0-9a-z._=/+-]{1,200})", re.IGNORECASE)  # a user's, without the server
HASH = re.compile(r"([0-9a-f]{8,63})(?:…|\.\.\.)?", re.IGNORECASE)  # its beginning, as long lists show it
ROOM = re.compile(r"[!#]\S+")
DAYS = ("%Y-%m-%d", "%d.%m.%Y")


@dataclass(frozen=True, slots=True)
class Meant:
    """Where it leads, and what is found there."""

    url: str
    words: str


def searched_words(filters: ChangeFilter) -> str:
    """The words of the one search; empty where it is for something that is only found whole."""
    terms: tuple[Term[str], ...] = (filters.active.get("q") or ()) if filters.is_valid() else ()
    if len(terms) != 1 or terms[0].excluded:
        return ""
    text = terms[0].value
    return text if parse_pasted(text).kind in (Kind.WORDS, Kind.SERVER) else ""


def meant(words: str) -> list[Meant]:
    """At most one statement, of a few probes of indexes."""
    return [*days(words), *rooms(words), *known(words)] if words else []


def days(words: str) -> Iterator[Meant]:
    for form in DAYS:
        try:
            day = datetime.strptime(words, form).replace(tzinfo=UTC)
            query = query_string({"after": day, "before": day + timedelta(days=1)}, {})
        except (ValueError, OverflowError):
            continue
        yield Meant(f"{address_of('timeline')}?{query}", gettext("Changes of {day}").format(day=times.day(day)))


def rooms(words: str) -> Iterator[Meant]:
    if ROOM.fullmatch(words):
        yield Meant(f"{address_of('action-list')}?cause={Cause.ROOM}", gettext("What staff did to whole rooms"))


def known(words: str) -> Iterator[Meant]:
    """Of users and hashes, those that the ledger has."""
    name, beginning = NAME.fullmatch(words), HASH.fullmatch(words)
    user = f"@{name[1]}:{settings.HOMESERVER_NAME}" if name else ""
    found = probed(user, words, beginning[1].lower() if beginning else "")
    if found.get("uploader"):
        yield Meant(filter_url("uploader", user), gettext("Uploaded by {name}").format(name=user))
    for key, who in (("by", user), ("staff", words)):
        if found.get(key):
            yield Meant(filter_url("by", who), gettext("Changed by {name}").format(name=who))
    hashes: set[str] = {found[end] for end in ("first", "last") if found.get(end)}
    for sha256 in sorted(hashes):
        shown = cut_middle(sha256, 36)
        yield Meant(filter_url("sha256", sha256), gettext("Files with the hash {sha256}").format(sha256=shown))


def probed(user: str, words: str, beginning: str) -> dict[str, Any]:
    """Whether there are changes of them, and the first and last hash that begins so."""
    probes: dict[str, Exists | Subquery] = {}
    if user:
        probes |= {"uploader": has(uploader=user), "by": has(changed_by=user), "staff": has(changed_by=words)}
    if beginning:
        hashes = Change.objects.filter(sha256__gte=beginning.ljust(64, "0"), sha256__lte=beginning.ljust(64, "f"))
        probes |= {"first": end_of(hashes, "sha256"), "last": end_of(hashes, "-sha256")}
    row: Any = Ledger.objects.values(**probes).first() if probes else None
    return row or {}


def has(**fields: str) -> Exists:
    return Exists(Change.objects.filter(**fields))


def end_of(hashes: "QuerySet[Change]", order: str) -> Subquery:
    return Subquery(hashes.order_by(order).values("sha256")[:1])
