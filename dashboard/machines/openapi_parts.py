"""What the OpenAPI description is made of: shapes of answers, and parameters, those of filters read from the filters."""

from dataclasses import asdict
from typing import Any

import django_filters

from dashboard.search.filter_kinds import MomentFilter, PositionFilter, SwitchFilter, TermsFilter
from dashboard.wording.terms import BIGGEST, LONGEST, MOST_VALUES
from quarantine.acting.actions import Outcome
from quarantine.models import Access, Cause, Ruling, Source, Verb, Work

type Json = dict[str, Any]

POSITION: Json = {"type": "integer", "minimum": 0, "maximum": BIGGEST}
NULLABLE_POSITION: Json = {"type": ["integer", "null"]}
TEXT: Json = {"type": "string"}
NULLABLE_TEXT: Json = {"type": ["string", "null"]}
TIME: Json = {"type": "string", "format": "date-time"}
NULLABLE_TIME: Json = {"type": ["string", "null"], "format": "date-time"}


def record(description: str, **properties: Json) -> Json:
    """An object that has all of these and nothing else."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


CHANGE = record(
    "One change of state of one media item.",
    stream_id=POSITION | {"description": "Position: rises in commit order."},
    origin=TEXT,
    media_id=TEXT,
    quarantined={"type": "boolean"},
    deleted={"type": "boolean", "description": "Removed from the homeserver while quarantined."},
    seen_at=TIME | {"description": "When the ledger learned it."},
    not_before=NULLABLE_TIME | {"description": "The earliest it can have happened; null: not known."},
    changed_by=TEXT | {"description": "Staff member, Matrix user or system; empty: not known."},
    source={"enum": Source.values},
    cause={"enum": Cause.values},
    reason=TEXT,
    action=NULLABLE_POSITION,
    media_type=TEXT,
    media_length={"type": ["integer", "null"], "description": "Bytes."},
    upload_name=TEXT,
    uploader=TEXT,
    sha256={"type": ["string", "null"], "pattern": "^[0-9a-f]{64}$"},
    mxc=TEXT,
)
ACTION = record(
    "Something staff did, and what came of it in media items.",
    action=POSITION,
    verb={"enum": Verb.values},
    cause={"enum": Cause.values},
    target=TEXT,
    category=TEXT,
    reason=TEXT,
    staff=TEXT,
    created_at=TIME,
    ended_at=NULLABLE_TIME,
    status={"enum": Work.Status.values},
    undoes=NULLABLE_POSITION,
    ruling={
        "enum": [*Ruling.Kind.values, None],
        "description": "Of a second person; null: none was needed, or there is none yet.",
    },
    ruled_by=NULLABLE_TEXT,
    **{name: {"type": "integer", "minimum": 0} for name in asdict(Outcome())},
)
ENTRY = record(
    "One line of the access record.",
    number=POSITION,
    at=TIME,
    what={"enum": Access.values},
    who=TEXT,
    known={"type": "boolean", "description": "Whether that is an account."},
    target=TEXT,
    address=TEXT | {"description": "As much as ACCESS_RECORD_ADDRESSES allows."},
    details=TEXT | {"description": "An object as JSON, or empty."},
)
ERROR: Json = {
    "type": "object",
    "properties": {"errcode": TEXT, "error": TEXT},
    "required": ["errcode", "error"],
}
READINESS = record(
    "How far the ledger has got.",
    ready={"const": True},
    head=POSITION,
    feed_position=POSITION,
    feed_read_at=NULLABLE_TIME,
    feed_lag_seconds={"type": ["number", "null"]},
)

# --- Answers ------------------------------------------------------------------------------


def component(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def listing(name: str, of: str, **others: Json) -> Json:
    return record("One page.", **others, **{name: {"type": "array", "items": component(of)}})


def lines_of(name: str) -> Json:
    """Of newline-delimited JSON: each line is one of these; no schema has a word for lines."""
    return {"type": "array", "items": component(name), "description": "One item a line."}


def answer(description: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def words(description: str) -> Json:
    return answer(description, TEXT, "text/plain")


SAID = {
    400: "A parameter makes no sense.",
    401: "No token, or one that is unknown, revoked or expired.",
    403: "The token, or the account, does not open this, or it is switched off.",
    404: "It can't be had: not cached, deleted, its file lost, or too large.",
    405: "Another method than Allow names.",
    429: "This account, or token, has as many as it may at once; try again after Retry-After seconds.",
    502: "The homeserver refuses us: its operator has to mend something.",
    503: "Not now; try again after Retry-After seconds.",
}


def refusals(*statuses: int) -> Json:
    return {str(status): answer(SAID[status], component("Error")) for status in statuses}


def refused_filters() -> Json:
    """Plain words come from the server itself, which reads no address of more than 64 KiB."""
    found = refusals(400)
    found["400"]["content"]["text/plain"] = {"schema": TEXT}
    return found


# --- Parameters ---------------------------------------------------------------------------

PATTERNS = {"sha256": "^-?[0-9a-fA-F]{64}$", "action": "^-?[1-9][0-9]{0,17}$"}  # of values that are no free text


def parameter(name: str, schema: Json, description: str, *, place: str = "query") -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}


def filter_parameters(filters: type[django_filters.FilterSet], *, without: tuple[str, ...]) -> list[Json]:
    """Those of a query string that this FilterSet reads, but for some."""
    shown = ((name, each) for name, each in filters.base_filters.items() if name not in without)
    return [parameter(name, schema_of(name, each), described(each)) for name, each in shown]


def schema_of(name: str, each: django_filters.Filter) -> Json:
    """What may be given. Some of it makes no sense even so: a broken media address, `after` later than `before`."""
    match each:
        case TermsFilter():
            return {"type": "array", "maxItems": MOST_VALUES, "items": term_schema(name, each)}
        case PositionFilter():
            lowest, highest = each.extra.get("lowest", 1), each.extra.get("highest", BIGGEST)
            return or_blank({"type": "integer", "minimum": lowest, "maximum": highest})
        case SwitchFilter():
            return or_blank({"enum": ["on", "off"]})
    return or_blank({"type": "string", "format": "date"}, TIME)


def or_blank(*schemas: Json) -> Json:
    """A form sends what was left empty, too: it counts as not given."""
    return {"anyOf": [*schemas, {"const": ""}]}


def term_schema(name: str, each: TermsFilter) -> Json:
    if each.names:
        return {"enum": [*each.names, *(f"-{value}" for value in each.names)]}
    if name in PATTERNS:
        return or_blank(TEXT | {"pattern": PATTERNS[name]})
    return TEXT | {"maxLength": LONGEST}


def described(each: django_filters.Filter) -> str:
    match each:
        case TermsFilter():
            return f"{each.label}. Repeated: any of the values; with a minus sign before it: not this one."
        case MomentFilter():
            return f"{each.label}: an ISO date or time, UTC unless it says otherwise."
    return f"{each.label}."
