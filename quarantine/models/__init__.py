"""What the ledger's database holds."""

from quarantine.models.access import Capability, Role
from quarantine.models.access_record import Access, AccessEntry
from quarantine.models.actions import Action, Category, Fate, Intent, Return, Verb, Work
from quarantine.models.alerts import Alert, AlertKind, AlertRule, Delivery, Mute, Way
from quarantine.models.append_only import AppendOnlyError
from quarantine.models.approvals import Proposal, Ruling
from quarantine.models.chained import Chain, Chained
from quarantine.models.desk import VIEW_NAME_LENGTH, SavedView
from quarantine.models.ledger import (
    FILE_NAME_LENGTH,
    NAME_LENGTH,
    Cause,
    Change,
    ChangeQuerySet,
    Ledger,
    MediaItem,
    OpenHole,
    Source,
    Staff,
    State,
)
from quarantine.models.reveals import Reveal
from quarantine.models.runs import Consumer, Leg, Run, RunQuerySet, Scope
from quarantine.models.tallies import RolledUp, Tally

__all__ = [
    "FILE_NAME_LENGTH",
    "NAME_LENGTH",
    "VIEW_NAME_LENGTH",
    "Access",
    "AccessEntry",
    "Action",
    "Alert",
    "AlertKind",
    "AlertRule",
    "AppendOnlyError",
    "Capability",
    "Category",
    "Cause",
    "Chain",
    "Chained",
    "Change",
    "ChangeQuerySet",
    "Consumer",
    "Delivery",
    "Fate",
    "Intent",
    "Ledger",
    "Leg",
    "MediaItem",
    "Mute",
    "OpenHole",
    "Proposal",
    "Return",
    "Reveal",
    "Role",
    "RolledUp",
    "Ruling",
    "Run",
    "RunQuerySet",
    "SavedView",
    "Scope",
    "Source",
    "Staff",
    "State",
    "Tally",
    "Verb",
    "Way",
    "Work",
]
