"""RecordFilter: the query string of the access record as a queryset; and one of its entries as JSON."""

import json
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from dashboard.exports.change_json import timestamp
from dashboard.exports.paged_exports import PagedExport
from dashboard.search.filter_kinds import MomentFilter, PositionFilter, TermsFilter, one_of
from dashboard.search.filters import choice
from dashboard.search.list_filters import ListFilter
from quarantine.models import Access, AccessEntry

NAMES = ("number", "at", "what", "who", "known", "target", "address", "details")
WORDS = {  # what details are called; any other name is shown as it stands
    "role": gettext_lazy("role"),
    "before": gettext_lazy("it was"),
    "after": gettext_lazy("it is now"),
    "scopes": gettext_lazy("opens"),
    "expires_at": gettext_lazy("expires"),
    "filters": gettext_lazy("filters"),
    "begun": gettext_lazy("begun as number"),
    "rows": gettext_lazy("rows"),
    "complete": gettext_lazy("complete"),
    "ruling": gettext_lazy("ruling"),
    "note": gettext_lazy("note"),
    "affected": gettext_lazy("media items"),
    "factor": gettext_lazy("factor"),
    "reason": gettext_lazy("reason"),
    "on": gettext_lazy("on"),
    "number": gettext_lazy("number"),
    "minutes": gettext_lazy("minutes"),
    "rule": gettext_lazy("rule"),
    "hours": gettext_lazy("hours"),
    "ways": gettext_lazy("ways"),
    "asked": gettext_lazy("asked to"),
    "label": gettext_lazy("name"),
    "offered": gettext_lazy("offered"),
    "owner": gettext_lazy("of"),
    "sessions": gettext_lazy("sessions"),
}


class RecordFilter(ListFilter[AccessEntry]):
    what = choice(gettext_lazy("What"), dict(Access.choices), one_of("what"))
    who = TermsFilter(label=gettext_lazy("Who"), matches=one_of("who"))
    after = MomentFilter(label=gettext_lazy("From"))
    before = MomentFilter(label=gettext_lazy("Before"))
    cursor = PositionFilter(label=gettext_lazy("Cursor"))

    moment = "at"


def record_export(filters: RecordFilter, *, form: str) -> PagedExport[AccessEntry]:
    return PagedExport(filters=filters, form=form, name="entries", columns=NAMES, to_json=entry_json)


def entry_json(entry: AccessEntry) -> dict[str, Any]:
    return {
        "number": entry.pk,
        "at": timestamp(entry.at),
        "what": entry.what,
        "who": entry.who,
        "known": entry.staff_id is not None,
        "target": entry.target,
        "address": entry.address,
        "details": entry.details,
    }


def details_of(entry: AccessEntry) -> list[tuple[str, str]]:
    """In words; what was blanked, or cut because it was too long, is shown as it stands."""
    try:
        told = json.loads(entry.details or "{}")
    except ValueError:
        return [("", entry.details)]
    return [(word_for(name), in_words(value)) for name, value in told.items() if value != ""]


def word_for(name: str) -> str:
    return str(WORDS.get(name, name.replace("_", " ")))


def in_words(value: Any) -> str:
    if value is None:
        return gettext("never")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{word_for(name)} {in_words(each)}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value)
