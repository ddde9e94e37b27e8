"""The OpenAPI description of what programs ask for; the suite checks the answers against it."""

from typing import Any

from dashboard.changes_api import DEFAULT_LIMIT, MOST

type Json = dict[str, Any]

POSITION: Json = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
NULLABLE_TEXT: Json = {"type": ["string", "null"]}
CHANGE: Json = {
    "type": "object",
    "description": "One change of state of one media item.",
    "properties": {
        "stream_id": POSITION | {"description": "Position: rises in commit order."},
        "origin": {"type": "string"},
        "media_id": {"type": "string"},
        "quarantined": {"type": "boolean"},
        "deleted": {"type": "boolean", "description": "Removed from the homeserver while quarantined."},
        "seen_at": {"type": "string", "format": "date-time"},
        "not_before": NULLABLE_TEXT | {"format": "date-time"},
        "changed_by": {"type": "string"},
        "source": {"enum": ["action", "feed", "audit", "backfill"]},
        "cause": {"enum": ["item", "user", "room", "hash", "origin", "list", "unknown"]},
        "reason": {"type": "string"},
        "action": {"type": ["integer", "null"]},
        "media_type": {"type": "string"},
        "media_length": {"type": ["integer", "null"]},
        "upload_name": {"type": "string"},
        "uploader": {"type": "string"},
        "sha256": NULLABLE_TEXT | {"pattern": "^[0-9a-f]{64}$"},
        "mxc": {"type": "string"},
    },
}
CHANGE["required"] = list(CHANGE["properties"])
CHANGE["additionalProperties"] = False
ERROR: Json = {
    "type": "object",
    "properties": {"errcode": {"type": "string"}, "error": {"type": "string"}},
    "required": ["errcode", "error"],
}


def listing(name: str, **others: Json) -> Json:
    changes = {"type": "array", "items": {"$ref": "#/components/schemas/Change"}}
    return {"type": "object", "properties": others | {name: changes}, "required": [*others, name]}


def answer(description: str, schema: Json, media_type: str = "application/json") -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def refusals(*statuses: int) -> Json:
    said = {
        400: "A parameter makes no sense.",
        401: "No token, or one that is unknown, revoked or expired.",
        403: "The token does not open this, or it is switched off.",
        404: "It can't be had: not cached, deleted, its file lost, or too large.",
        502: "The homeserver refuses us: its operator has to mend something.",
        503: "Not now; try again after Retry-After seconds.",
    }
    return {str(status): answer(said[status], {"$ref": "#/components/schemas/Error"}) for status in statuses}


def parameter(name: str, schema: Json, description: str, *, place: str = "query") -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": description,
        # An empty value is refused, not taken for a missing one.
        **({"allowEmptyValue": False} if place == "query" else {}),
    }


LIMIT = parameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT}, "Most items.")
PATHS: Json = {
    "/_synapse/admin/v1/media/quarantine_changes": {
        "get": {
            "operationId": "readChanges",
            "summary": "Changes after a position, oldest first; a token of scope changes:read.",
            "parameters": [
                parameter(
                    "from",
                    {"anyOf": [POSITION, {"const": "now"}], "default": 0},
                    "The last answer's next_batch; now: the head.",
                ),
                LIMIT,
                parameter("deleted", {"enum": ["0", "1"]}, "1: deletions too."),
            ],
            "responses": {
                "200": answer("A page.", listing("changes", next_batch=POSITION)),
                "304": {"description": "Nothing has changed since the ETag in If-None-Match."},
            }
            | refusals(400, 401, 403, 503),
        }
    },
    "/api/v1/quarantined": {
        "get": {
            "operationId": "listQuarantined",
            "summary": "What is quarantined now, each item as its newest change; a token of scope changes:read.",
            "parameters": [parameter("cursor", POSITION, "The last answer's next_cursor."), LIMIT],
            "responses": {
                "200": answer(
                    "A page. Whatever changed during a pass is in the changes after the first page's head.",
                    listing("quarantined", head=POSITION, next_cursor={"type": ["integer", "null"]}),
                )
            }
            | refusals(400, 401, 403, 503),
        }
    },
    "/_matrix/client/v1/media/download/{origin}/{media_id}": {
        "get": {
            "operationId": "download",
            "summary": "A file, quarantined or not; a token of scope media:read. Off unless MEDIA_DOWNLOADS is on.",
            "parameters": [
                parameter("origin", {"type": "string", "minLength": 1}, "Server name.", place="path"),
                parameter("media_id", {"type": "string", "minLength": 1}, "Media id.", place="path"),
                parameter("admin_unsafely_bypass_quarantine", {"const": "true"}, "Must be true.") | {"required": True},
            ],
            "responses": {"200": answer("The file, as an attachment.", {}, "*/*")} | refusals(401, 403, 404, 502, 503),
        }
    },
    "/api/openapi.json": {
        "get": {
            "operationId": "describe",
            "summary": "This description; a token of any scope, or a session.",
            "responses": {"200": answer("OpenAPI 3.1.", {"type": "object"})} | refusals(401),
        }
    },
    "/healthz": {
        "get": {
            "operationId": "alive",
            "summary": "Whether this process answers.",
            "security": [],
            "responses": {"200": answer("It does.", {"type": "string"}, "text/plain")},
        }
    },
    "/readyz": {
        "get": {
            "operationId": "ready",
            "summary": "Whether requests can be sent here.",
            "security": [],
            "responses": {
                "200": answer("Ready.", {"type": "string"}, "text/plain"),
                "503": answer("Not ready.", {"type": "string"}, "text/plain"),
            },
        }
    },
}
DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "info": {"title": "Quarantine dashboard, for programs", "version": "1"},
    "security": [{"token": []}],
    "paths": PATHS,
    "components": {
        "schemas": {"Change": CHANGE, "Error": ERROR},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
}
