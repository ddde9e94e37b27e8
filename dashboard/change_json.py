"""One change as JSON: the same keys, in the same order, in every export and in the changes API."""

from datetime import UTC, datetime
from typing import Any

from quarantine.models import Change


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


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
