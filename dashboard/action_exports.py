"""What staff did, as CSV, JSON and NDJSON, newest first: streamed in constant memory."""

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from dashboard.action_filters import ActionFilter
from dashboard.change_json import timestamp
from dashboard.exports import CSV, JSON, csv_cell
from quarantine.actions import Outcome
from quarantine.models import Action

PAGE = 500  # actions at once
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


@dataclass(frozen=True, kw_only=True)
class ActionExport:
    """One export. `chunks` may be advanced from any thread, one at a time."""

    filters: ActionFilter  # valid
    form: str

    def chunks(self) -> Generator[bytes]:
        """The whole file, newest first, a page of actions at a time."""
        blocks = (self.lines(page) for page in pages(self.filters))
        if self.form == CSV:
            yield (",".join(NAMES) + "\n").encode()
        if self.form != JSON:
            yield from blocks
            return
        yield b'{"actions":['
        separator = b"\n"
        for block in blocks:
            # A row ends in a line break, and JSON has none inside.
            yield separator + block.rstrip(b"\n").replace(b"\n", b",\n")
            separator = b",\n"
        yield b"\n]}\n"

    def lines(self, page: list[Action]) -> bytes:
        return "".join(map(self.line, page)).encode()

    def line(self, action: Action) -> str:
        row = action_json(action)
        if self.form == CSV:
            return ",".join(csv_cell(row[name], safe=True) for name in NAMES) + "\n"
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def pages(filters: ActionFilter) -> Iterator[list[Action]]:
    """All that match, newest first, PAGE at a time: no long transaction, no more than that in memory."""
    below = None
    while True:
        older = filters.found() if below is None else filters.found().filter(pk__lt=below)
        page = list(older[:PAGE])
        if not page:
            return
        yield page
        below = page[-1].pk
