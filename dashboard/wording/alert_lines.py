"""Alerts and rules as the pages tell them: people who are signed in may read names that no message carries."""

from dataclasses import dataclass
from datetime import UTC
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from dashboard.wording.terms import Term
from quarantine.alerting.alert_rules import DEFAULTS
from quarantine.models import Alert, AlertKind, AlertRule

HAPPENED = {
    AlertKind.BURST: _("Files of one server were quarantined in a burst"),
    AlertKind.RELEASE: _("Files were released that somebody else had quarantined"),
    AlertKind.BACK: _("Files that were quarantined are back"),
    AlertKind.FAILED: _("Actions, backfills or audits failed"),
    AlertKind.STUCK: _("A program comes back for the same changes again and again"),
    AlertKind.SILENT: _("The homeserver's stream was not read to its end"),
}
TO_DO = {
    AlertKind.BURST: _("Look at uploaders and rooms; quarantine the whole server if it is an attack."),
    AlertKind.RELEASE: _("Ask whoever released them, or quarantine them again."),
    AlertKind.BACK: _("Quarantine them again, or protect those that are wanted."),
    AlertKind.FAILED: _("Its page says why; mend that, then resume it."),
    AlertKind.STUCK: _("The consumers page names what it probably chokes on."),
    AlertKind.SILENT: _("Look at the service quarantine-follow and at the homeserver's database. Nothing is lost."),
}
ASKS = {
    AlertKind.BURST: _("When so many files of one server are quarantined within so many minutes."),
    AlertKind.RELEASE: _("When one person releases so many files that others quarantined within so many minutes."),
    AlertKind.BACK: _("When so many quarantined files are there again within so many minutes."),
    AlertKind.FAILED: _("When an action stops or a run fails; all within so many minutes are one alert."),
    AlertKind.STUCK: _("When a program was given the same changes so often, for so many minutes."),
    AlertKind.SILENT: _("When the stream was not read to its end for so many minutes."),
}


@dataclass(frozen=True, slots=True)
class Line:
    alert: Alert

    @property
    def happened(self) -> str:
        return str(HAPPENED[AlertKind(self.alert.kind)])

    @property
    def to_do(self) -> str:
        return str(TO_DO[AlertKind(self.alert.kind)])

    @property
    def counts(self) -> bool:
        """Whether its number says anything."""
        return self.alert.kind not in {AlertKind.STUCK, AlertKind.SILENT}

    @property
    def subject(self) -> str:
        return "" if self.alert.kind == AlertKind.FAILED else self.alert.subject

    @property
    def link(self) -> str:
        """The page that shows what it is about; empty where there is none."""
        after = f"{self.alert.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
        who = str(Term(self.alert.subject, self.alert.subject))
        match AlertKind(self.alert.kind):
            case AlertKind.BURST:
                return timeline(origin=who, state="quarantined", after=after)
            case AlertKind.RELEASE:
                return timeline(by=who, state="released", after=after)
            case AlertKind.BACK:
                return reverse("action-list")
            case AlertKind.FAILED:
                actions = f"{reverse('action-list')}?status=stopped"
                return actions if self.alert.subject == "action" else reverse("backfill")
            case AlertKind.STUCK:
                return reverse("consumer-list")
            case AlertKind.SILENT:
                return ""


def timeline(**filters: str) -> str:
    return f"{reverse('timeline')}?{urlencode(filters)}"


@dataclass(frozen=True, slots=True)
class RuleLine:
    rule: AlertRule

    @property
    def asks(self) -> str:
        return str(ASKS[AlertKind(self.rule.kind)])

    @property
    def counted(self) -> bool:
        return DEFAULTS[AlertKind(self.rule.kind)].counted

    @property
    def has_subjects(self) -> bool:
        """Whether one server, person or program can be muted alone."""
        return self.rule.kind in {AlertKind.BURST, AlertKind.RELEASE, AlertKind.STUCK}
