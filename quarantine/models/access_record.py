"""Who came in, who was given what, who took what away, and who read of it."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from quarantine.models.chained import Chained, ChainedQuerySet
from quarantine.models.ledger import NAME_LENGTH, Staff


class Access(models.TextChoices):
    """What happened."""

    SIGN_IN = "sign-in", _("Signed in")
    SIGN_IN_FAILED = "sign-in-failed", _("Failed to sign in")
    NOT_SHOWN = "not-shown", _("Failed to show who they are")
    SIGN_OUT = "sign-out", _("Signed out")
    SESSIONS_ENDED = "sessions-ended", _("Sessions ended")
    REVEAL = "reveal", _("Looked at a file")
    DOWNLOAD = "download", _("File handed to a program")
    ACCOUNT_ADDED = "account-added", _("Account opened")
    ACCOUNT_DISABLED = "account-disabled", _("Account disabled")
    ACCOUNT_ENABLED = "account-enabled", _("Account enabled again")
    ROLE_CHANGED = "role-changed", _("Role changed")
    PASSWORD_CHANGED = "password-changed", _("Password changed")
    FACTOR_ADDED = "factor-added", _("Second factor set up")
    FACTOR_REMOVED = "factor-removed", _("Second factor removed")
    FACTOR_RENEWED = "factor-renewed", _("Recovery codes made anew")
    ACCOUNT_LINKED = "account-linked", _("Account given to somebody at the provider")
    TOKEN_CREATED = "token-created", _("Token made")
    TOKEN_REVOKED = "token-revoked", _("Token revoked")
    EXPORT = "export", _("Export begun")
    EXPORT_ENDED = "export-ended", _("Export ended")
    EVIDENCE = "evidence", _("Evidence taken")
    REDACTION = "redaction", _("Personal data blanked")
    RULING = "ruling", _("Action ruled on")
    ACTION_CONTROLLED = "action-controlled", _("Action paused, resumed or cancelled")
    RUN_CONTROLLED = "run-controlled", _("Backfill or audit started or paused")
    REASONS_CHANGED = "reasons-changed", _("Kind of reason changed")
    REQUARANTINE_SET = "requarantine-set", _("Automatic quarantine turned on or off")
    SHARED_VIEW = "shared-view", _("Shared view changed")
    ALERT_RULE_CHANGED = "alert-rule-changed", _("Alert rule changed")
    ALERTS_MUTED = "alerts-muted", _("Alerts muted")
    ALERTS_UNMUTED = "alerts-unmuted", _("Alerts no longer muted")
    ALERT_ACKNOWLEDGED = "alert-acknowledged", _("Alert acknowledged")
    ALERT_WAYS_CHANGED = "alert-ways-changed", _("Ways of alerts changed")
    RECORD_READ = "record-read", _("This record read")


class AccessEntry(Chained):
    """One line of the access record. Append-only and chained.

    `who` is the name of an account; of a program (DOWNLOAD), or what somebody typed who has none: then `staff` is null.
    `target` is what it was about (media, an account, a token, a file's name), `details` the rest, as JSON.
    """

    what = models.CharField(max_length=32, choices=Access)
    at = models.DateTimeField()
    # Only the number: an account that is removed leaves its lines as they are.
    staff = models.ForeignKey(
        Staff, on_delete=models.DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False
    )
    who = models.CharField(max_length=NAME_LENGTH, blank=True)
    target = models.TextField(blank=True)
    address = models.CharField(max_length=64, blank=True)  # as ACCESS_RECORD_ADDRESSES allows
    details = models.TextField(blank=True)

    PLAIN = ("what", "at", "staff_id")
    PERSONAL = ("who", "target", "address", "details")

    objects = ChainedQuerySet["AccessEntry"].as_manager()

    class Meta:
        indexes = [
            models.Index("what", F("id").desc(), name="access_what"),
            models.Index("who", F("id").desc(), name="access_who"),
            models.Index("at", F("id").desc(), name="access_at"),
            # Programs fetch millions of files; who was handed one of them is asked by its address.
            models.Index("target", F("id").desc(), condition=Q(what="download"), name="access_download"),
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.who}"
