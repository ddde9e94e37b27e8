"""What staff did, as CSV, JSON and NDJSON, newest first."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from dashboard.change_json import timestamp
from dashboard.exports import CSV, JSON, csv_cell
from quarantine.actions import Outcome
from quarantine.models import Action

MOST = 20_000  # actions in one file; `cursor` goes on
NAMES = (
    "action", "verb", "cause", "target", "category", "reason", "staff", "created_at", "ended_at", "status", "undoes",
    *asdict(Outcome()),
)  # fmt: skip


def action_json(action: Action) -> dict[str, Any]:
    """The action and what came of it; fetch with `select_related("staff", "work")`."""
    work = action.work
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
        **asdict(Outcome(**work.outcome)),
    }


def written(actions: Iterable[Action], form: str, *, next_cursor: int | None) -> bytes:
    """The whole file: people act thousands of times, not millions."""
    rows = [action_json(action) for action in actions]
    if form == CSV:
        lines = [",".join(NAMES), *(",".join(csv_cell(row[name], safe=True) for name in NAMES) for row in rows)]
        return ("\n".join(lines) + "\n").encode()
    if form == JSON:
        return json.dumps({"actions": rows, "next_cursor": next_cursor}, ensure_ascii=False).encode()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
