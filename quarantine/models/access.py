"""The five roles, and what each may do. Nothing else in the code knows what a role includes.

A check names a capability, `quarantine.accounts.staff.require(staff, Capability.ACT)`, and never compares roles.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    MODERATOR = "moderator", _("Moderator")
    LEAD = "lead", _("Lead")
    ADMIN = "admin", _("Admin")
    AUDITOR = "auditor", _("Auditor")


class Capability(models.TextChoices):
    """What can be asked for. The label goes on from "may": it is told to whoever may not."""

    READ = "ledger:read", _("read the timeline, media, activity and insights")
    EXPORT = "ledger:export", _("export")
    KEEP_VIEWS = "views:keep", _("save views")
    ACT = "media:act", _("act on media")
    PREVIEW = "media:preview", _("look at files")
    READ_REVEALS = "reveals:read", _("read who looked at a file")
    RELEASE_BULK = "media:release-bulk", _("release that many media items at once")
    ACT_ON_SERVER = "servers:act", _("act on a whole server")
    APPROVE = "actions:approve", _("approve what needs a second person")
    SHARE_VIEWS = "views:share", _("share views")
    MANAGE_SHARED_VIEWS = "views:manage", _("change the views that others share")
    READ_REASONS = "reasons:read", _("read the kinds of reasons")
    MANAGE_REASONS = "reasons:manage", _("change the kinds of reasons")
    READ_OPERATIONS = "operations:read", _("read about backfill, consumers and settings")
    BACKFILL = "backfill:run", _("run backfill and audit")
    MANAGE_TOKENS = "tokens:manage", _("make and revoke tokens")
    MANAGE_ACCOUNTS = "accounts:manage", _("manage accounts")
    MANAGE_SETTINGS = "settings:manage", _("change settings")
    READ_ACCESS_RECORD = "access:read", _("read the record of reveals, sign-ins, roles, tokens and exports")


VIEWER = frozenset({Capability.READ, Capability.EXPORT, Capability.KEEP_VIEWS})
MODERATOR = VIEWER | {Capability.ACT, Capability.PREVIEW, Capability.READ_REVEALS}
LEAD = MODERATOR | {
    Capability.RELEASE_BULK,
    Capability.ACT_ON_SERVER,
    Capability.APPROVE,
    Capability.SHARE_VIEWS,
    Capability.MANAGE_SHARED_VIEWS,
    Capability.READ_REASONS,
    Capability.MANAGE_REASONS,
}
ADMIN = LEAD | {
    Capability.READ_OPERATIONS,
    Capability.BACKFILL,
    Capability.MANAGE_TOKENS,
    Capability.MANAGE_ACCOUNTS,
    Capability.MANAGE_SETTINGS,
    Capability.READ_ACCESS_RECORD,
}
AUDITOR = frozenset(
    {
        Capability.READ,
        Capability.EXPORT,
        Capability.READ_REVEALS,
        Capability.READ_REASONS,
        Capability.READ_OPERATIONS,
        Capability.READ_ACCESS_RECORD,
    }
)

CAPABILITIES: dict[str, frozenset[Capability]] = {
    Role.VIEWER: VIEWER,
    Role.MODERATOR: MODERATOR,
    Role.LEAD: LEAD,
    Role.ADMIN: ADMIN,
    Role.AUDITOR: AUDITOR,
}


def roles_that_may(capability: Capability) -> list[str]:
    return [role for role, held in CAPABILITIES.items() if capability in held]


def includes(role: str, capability: Capability) -> bool:
    """Whether the role includes this; one that this version doesn't know includes nothing."""
    return capability in CAPABILITIES.get(role, frozenset())
