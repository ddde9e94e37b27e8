"""The two-person rule on record: what waited for a second person, and how that ended."""

from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy

from quarantine.models.actions import Action
from quarantine.models.append_only import AppendOnly, AppendOnlyQuerySet
from quarantine.models.ledger import Staff


class Proposal(AppendOnly):
    """An action that waits, or waited, for a second person. Append-only: how it ended is its Ruling."""

    action = models.OneToOneField(Action, on_delete=models.PROTECT, primary_key=True, related_name="proposal")
    affected = models.IntegerField()  # media items that would have changed when it was asked for
    expires_at = models.DateTimeField()  # exclusive: from then on nobody can approve it

    objects = AppendOnlyQuerySet["Proposal"].as_manager()

    def __str__(self) -> str:
        return f"{self.action_id} until {self.expires_at:%Y-%m-%d %H:%M}"

    def is_late(self, now: datetime) -> bool:
        return now >= self.expires_at


class Ruling(AppendOnly):
    """How a proposal ended. Append-only, and one for each: of two at the same moment the key admits one."""

    class Kind(models.TextChoices):
        APPROVED = "approved", gettext_lazy("Approved")
        DECLINED = "declined", gettext_lazy("Declined")
        WITHDRAWN = "withdrawn", gettext_lazy("Withdrawn")
        EXPIRED = "expired", gettext_lazy("Expired")

    action = models.OneToOneField(Action, on_delete=models.PROTECT, primary_key=True, related_name="ruling")
    kind = models.CharField(max_length=16, choices=Kind)
    staff = models.ForeignKey(Staff, on_delete=models.PROTECT, null=True, related_name="rulings")  # null: it expired
    note = models.TextField(blank=True)
    affected = models.IntegerField(null=True)  # media items that would change in the plan that was approved
    ruled_at = models.DateTimeField()

    objects = AppendOnlyQuerySet["Ruling"].as_manager()

    def __str__(self) -> str:
        return f"{self.action_id}: {self.kind}"
