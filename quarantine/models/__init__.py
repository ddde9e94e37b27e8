"""What the ledger's database holds."""

from quarantine.models.ledger import (
    FILE_NAME_LENGTH,
    NAME_LENGTH,
    Action,
    Cause,
    Change,
    ChangeQuerySet,
    Intent,
    Ledger,
    MediaItem,
    OpenHole,
    Role,
    Source,
    Staff,
    State,
    Verb,
)
from quarantine.models.runs import Consumer, Leg, Run, RunQuerySet, Scope

__all__ = [
    "FILE_NAME_LENGTH",
    "NAME_LENGTH",
    "Action",
    "Cause",
    "Change",
    "ChangeQuerySet",
    "Consumer",
    "Intent",
    "Ledger",
    "Leg",
    "MediaItem",
    "OpenHole",
    "Role",
    "Run",
    "RunQuerySet",
    "Scope",
    "Source",
    "Staff",
    "State",
    "Verb",
]
