"""One change as JSON: the same keys, in the same order, in every export and in the changes API.

PostgreSQL makes the very same bytes by itself (`CHANGE_SQL`), a hundred changes in half the time Python needs.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from quarantine.models import Action, Change


def change_json(change: Change) -> dict[str, Any]:
    """The change with its action's reason; fetch with `select_related("action")`."""
    return {
        "stream_id": change.stream_id,
        "origin": change.origin,
        "media_id": change.media_id,
        "quarantined": change.quarantined,
        "deleted": change.deleted,
        "seen_at": timestamp(change.seen_at),
        "not_before": timestamp(change.not_before) if change.not_before else None,
        "changed_by": change.changed_by,
        "source": change.source,
        "cause": change.cause,
        "reason": change.action.reason if change.action else "",
        "action": change.action_id,
        "media_type": change.media_type,
        "media_length": change.media_length,
        "upload_name": change.upload_name,
        "uploader": change.uploader,
        "sha256": change.sha256,
        "mxc": str(change.mxc),
    }


def change_text(change: Change) -> str:
    """As it is sent; strangers' lone surrogates never get past the ledger's gate."""
    return compact(change_json(change))


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- The same, made by PostgreSQL of a row `c` of the ledger ---------------------------------

TIME = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
REASON = f"CASE WHEN c.action_id IS NULL THEN {{}} ELSE (SELECT {{}} FROM {Action._meta.db_table} a WHERE a.id = c.action_id) END"  # noqa: S608 - a name of a table
STRANGERS = ("origin", "media_id", "changed_by", "media_type", "upload_name", "uploader")  # may hold any character
TEXTS = " || ".join(f"c.{name}" for name in STRANGERS)
# Each value as JSON text, never null: what stands before it, the value, what stands behind it.
VALUES = {
    "stream_id": ("", "c.stream_id::text", ""),
    "origin": ('"', "c.origin", '"'),
    "media_id": ('"', "c.media_id", '"'),
    "quarantined": ("", "c.quarantined::text", ""),
    "deleted": ("", "c.deleted::text", ""),
    "seen_at": ('"', TIME.format("c.seen_at"), '"'),
    "not_before": ("", f"coalesce('\"' || {TIME.format('c.not_before')} || '\"', 'null')", ""),
    "changed_by": ('"', "c.changed_by", '"'),
    "source": ('"', "c.source", '"'),
    "cause": ('"', "c.cause", '"'),
    "reason": ("", REASON.format("'\"\"'", "to_json(a.reason)::text"), ""),
    "action": ("", "coalesce(c.action_id::text, 'null')", ""),
    "media_type": ('"', "c.media_type", '"'),
    "media_length": ("", "coalesce(c.media_length::text, 'null')", ""),
    "upload_name": ('"', "c.upload_name", '"'),
    "uploader": ('"', "c.uploader", '"'),
    "sha256": ("", "coalesce('\"' || encode(c.sha256, 'hex') || '\"', 'null')", ""),
    "mxc": ('"mxc://', "c.origin || '/' || c.media_id", '"'),
}
ESCAPED = {name: ("", f"to_json(c.{name})::text", "") for name in STRANGERS}
ESCAPED["mxc"] = ("", "to_json('mxc://' || c.origin || '/' || c.media_id)::text", "")


def joined(parts: Sequence[str]) -> str:
    """Texts one after the other. As a tree: a chain of || copies its beginning again and again, concat() is slower yet."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({joined(parts[:middle])} || {joined(parts[middle:])})"


def object_of(values: Mapping[str, tuple[str, str, str]]) -> str:
    parts, behind = list[str](), "{"
    for name, (before, value, after) in values.items():
        parts += [f"'{behind}\"{name}\":{before}'", value]
        behind = after + ","
    return joined([*parts, f"'{behind[:-1]}}}'"])


# Few texts hold what JSON escapes, and to ask once for all of them is cheaper than to escape each.
CHANGE_SQL = f"""CASE WHEN strpos(to_json({TEXTS})::text, '\\') = 0
    THEN {object_of(VALUES)} ELSE {object_of(VALUES | ESCAPED)} END"""
