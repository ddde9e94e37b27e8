"""The OpenAPI description of what programs ask for; the suite checks the answers against it."""

from django.conf import settings
from django_filters import FilterSet

from dashboard.exports.exports import CONTENT_TYPES, JSON, NDJSON, ExportFilter
from dashboard.exports.record_filters import RecordFilter
from dashboard.machines.change_pages import MOST
from dashboard.machines.changes_api import DEFAULT_LIMIT
from dashboard.machines.openapi_parts import (
    ACTION,
    CHANGE,
    ENTRY,
    ERROR,
    NULLABLE_POSITION,
    POSITION,
    READINESS,
    SAID,
    TEXT,
    Json,
    answer,
    filter_parameters,
    lines_of,
    listing,
    parameter,
    refusals,
    refused_filters,
    words,
)
from dashboard.search.action_filters import ActionFilter
from dashboard.search.filters import ChangeFilter

TOKEN: list[Json] = [{"token": []}]
SESSION: list[Json] = [{"session": []}]
ANYBODY: list[Json] = []
LIMIT = parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT}, "Most items.")
SIGN_IN: Json = {"302": {"description": "Not signed in: to the page where one does."}}
NOT_ALLOWED: Json = {"405": {"description": SAID[405]}}
LEDGER_HEAD: Json = {"X-Ledger-Head": {"description": "Positions above this are not in it.", "schema": POSITION}}


def get(
    operation: str, summary: str, security: list[Json], responses: Json, parameters: list[Json] | None = None
) -> Json:
    asked = {"operationId": operation, "summary": summary, "security": security, "responses": responses}
    return {"get": asked | ({"parameters": parameters} if parameters else {})}


# --- For tokens ---------------------------------------------------------------------------

CHANGES = get(
    "readChanges",
    "Changes after a position, oldest first; a token of scope changes:read.",
    TOKEN,
    {
        "200": answer("A page.", listing("changes", "Change", next_batch=POSITION)),
        "304": {"description": "Nothing has changed since the ETag in If-None-Match."},
        **refusals(400, 401, 403, 405, 503),
    },
    [
        parameter(
            "from",
            {"anyOf": [POSITION, {"const": "now"}], "default": 0},
            "The last answer's next_batch, not beyond the head; now: the head. Given twice, the first counts.",
        ),
        LIMIT,
        parameter("deleted", TEXT, "1: deletions too."),
    ],
)
QUARANTINED = get(
    "listQuarantined",
    "What is quarantined now, each item as its newest change; a token of scope changes:read.",
    TOKEN,
    {
        "200": answer(
            "A page. Whatever changed during a pass is in the changes after the first page's head.",
            listing("quarantined", "Change", head=POSITION, next_cursor=NULLABLE_POSITION),
        ),
        **refusals(400, 401, 403, 405, 503),
    },
    [parameter("cursor", POSITION, "The last answer's next_cursor."), LIMIT],
)
NAME: Json = TEXT | {"minLength": 1}
DOWNLOAD = get(
    "download",
    "A file, quarantined or not; a token of scope media:read. Off unless MEDIA_DOWNLOADS is on.",
    TOKEN,
    {"200": answer("The file, as an attachment.", {}, "*/*"), **refusals(401, 403, 404, 405, 429, 502, 503)},
    [
        parameter("origin", NAME | {"examples": ["matrix.example"]}, "Server name.", place="path"),
        parameter("media_id", NAME | {"examples": ["hXkQvbTzRtLm"]}, "Media id.", place="path"),
        parameter("admin_unsafely_bypass_quarantine", {"const": "true"}, "Must be true.") | {"required": True},
    ],
)
DESCRIBE = get(
    "describe",
    "This description; a token of any scope, or a session.",
    [*TOKEN, *SESSION],
    {"200": answer("OpenAPI 3.1.", {"type": "object"}), **refusals(401, 403, 405, 503)},
)

METRICS = get(
    "metrics",
    "Figures about the dashboard for Prometheus; a token of scope metrics:read.",
    TOKEN,
    {"200": answer("In Prometheus's text format.", TEXT, "text/plain"), **refusals(401, 403, 405, 503)},
)

# --- For sessions -------------------------------------------------------------------------

EXPORTED: dict[str, Json] = {
    JSON: listing("changes", "Change", next_cursor=NULLABLE_POSITION),
    NDJSON: lines_of("Change"),
}


def export(form: str) -> Json:
    """`raw` is of CSV alone; the rest of what is left out would change nothing."""
    found = answer("The file, newest first.", EXPORTED.get(form, TEXT), CONTENT_TYPES[form])
    left_out = ("since", "fold") if form == "csv" else ("since", "fold", "raw")
    return get(
        f"exportChanges{form.title()}",
        f"Changes as {form.upper()}, as a stream; signed in.",
        SESSION,
        {
            "200": found | {"headers": LEDGER_HEAD},
            **SIGN_IN,
            **refused_filters(),
            **refusals(403, 429, 503),
            **NOT_ALLOWED,
        },
        filter_parameters(ExportFilter, without=left_out),
    )


def listed_export(form: str, *, of: str, what: str, name: str, item: str, filters: type[FilterSet]) -> Json:
    """A list of records that is no part of the ledger."""
    schema = {JSON: listing(name, item), NDJSON: lines_of(item)}.get(form, TEXT)
    return get(
        f"export{of}{form.title()}",
        f"{what} as {form.upper()}; signed in.",
        SESSION,
        {
            "200": answer("The file, newest first.", schema, CONTENT_TYPES[form]),
            **SIGN_IN,
            **refused_filters(),
            **refusals(403, 429, 503),
            **NOT_ALLOWED,
        },
        filter_parameters(filters, without=()),
    )


def exports_of(address: str, *, of: str, what: str, name: str, item: str, filters: type[FilterSet]) -> dict[str, Json]:
    return {
        f"{address}.{form}": listed_export(form, of=of, what=what, name=name, item=item, filters=filters)
        for form in CONTENT_TYPES
    }


EVIDENCE = get(
    "evidence",
    "What is on record of one media item, user or action: give one of the three. Signed in.",
    SESSION,
    {
        "200": answer("A zip that says how to check it.", {}, "application/zip"),
        **SIGN_IN,
        **refused_filters(),
        **refusals(403, 404, 429, 503),
        **NOT_ALLOWED,
    },
    [
        parameter("media", NAME | {"examples": ["mxc://matrix.example/gone"]}, "A media address."),
        parameter("user", NAME, "An uploader, or somebody who changed something."),
        parameter("action", NAME, "The number of an action."),
    ],
)
LIVE = get(
    "watchChanges",
    "Changes as they come, as server-sent events; each event's id is a position. Signed in.",
    SESSION,
    {
        "200": answer("Events change, reset and signed-out; heartbeats are comments.", TEXT, "text/event-stream")
        | {"headers": LEDGER_HEAD},
        "401": words("Signed out."),
        "403": words("The account may not read."),
        "422": words("A filter, or Last-Event-ID, makes no sense."),
        "429": words("Too many different views of one session."),
        "503": words("Stopping; come back."),
        **NOT_ALLOWED,
    },
    [
        *filter_parameters(ChangeFilter, without=("cursor", "limit", "raw", "fold")),
        parameter("Last-Event-ID", POSITION, "Goes on after this event, before since.", place="header"),
    ],
)

# --- For anybody --------------------------------------------------------------------------

ALIVE = get(
    "alive", "Whether this process answers.", ANYBODY, {"200": words("It does."), "405": words("Only GET, HEAD.")}
)
READY = get(
    "ready",
    "Whether requests can be sent here.",
    ANYBODY,
    {
        "200": {
            "description": "Ready; with details for whoever is signed in.",
            "content": {
                "text/plain": {"schema": TEXT},
                "application/json": {"schema": READINESS},
            },
        },
        "503": words("Not ready."),
        **NOT_ALLOWED,
    },
)

PATHS: dict[str, Json] = {
    "/_synapse/admin/v1/media/quarantine_changes": CHANGES,
    "/api/v1/quarantined": QUARANTINED,
    "/_matrix/client/v1/media/download/{origin}/{media_id}": DOWNLOAD,
    "/api/openapi.json": DESCRIBE,
    "/metrics": METRICS,
    **{f"/changes.{form}": export(form) for form in CONTENT_TYPES},
    **exports_of("/actions", of="Actions", what="What staff did", name="actions", item="Action", filters=ActionFilter),
    **exports_of("/record", of="Record", what="The access record", name="entries", item="Entry", filters=RecordFilter),
    "/evidence.zip": EVIDENCE,
    "/changes/live": LIVE,
    "/healthz": ALIVE,
    "/readyz": READY,
}
DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "Quarantine dashboard, for programs", "version": "1"},
    "paths": PATHS,
    "components": {
        "schemas": {"Change": CHANGE, "Action": ACTION, "Entry": ENTRY, "Error": ERROR},
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "session": {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME},
        },
    },
}
