"""What staff did, as CSV, JSON and NDJSON, newest first."""

from dataclasses import asdict
from typing import Any

from dashboard.exports.change_json import timestamp
from dashboard.exports.paged_exports import PagedExport
from dashboard.search.action_filters import ActionFilter
from quarantine.acting.actions import Outcome
from quarantine.models import Action

NAMES = (
    "action", "verb", "cause", "target", "category", "reason", "staff", "created_at", "ended_at", "status", "undoes", "ruling", "ruled_by",
    *asdict(Outcome()),
)  # fmt: skip


def action_json(action: Action) -> dict[str, Any]:
    """The action and what came of it; fetch as ActionFilter does."""
    work, ruling = action.work, getattr(action, "ruling", None)
    return {
        "action": action.pk,
        "verb": action.verb,
        "cause": action.cause,
        "target": action.target,
        "category": action.category,
        "reason": action.reason,
        "staff": action.staff.username,
        "created_at": timestamp(action.created_at),
        "ended_at": timestamp(work.ended_at) if work.ended_at else None,
        "status": work.status,
        "undoes": action.undoes_id,
        "ruling": ruling.kind if ruling else None,
        "ruled_by": ruling.staff.username if ruling and ruling.staff else None,
        **asdict(Outcome(**work.outcome)),
    }


def action_export(filters: ActionFilter, *, form: str) -> PagedExport[Action]:
    return PagedExport(filters=filters, form=form, name="actions", columns=NAMES, to_json=action_json)
