"""What an alert says in a mail, a room and a webhook: what happened, since when, how much, where to look, what to do.

It leaves the house, so it holds no file name, no reason, no media id and no person. The name of a server or a
program is cut and stripped of everything that could be more than a name there: a link, a mention, a line.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.conf import settings
from django.utils.html import format_html, format_html_join

from quarantine.models import Alert, AlertKind

NAME_SHOWN = 80
NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9.:\[\]_ -]")
TITLES = {
    AlertKind.BURST: "Files of {name} quarantined in a burst: {number}",
    AlertKind.RELEASE: "Released by somebody other than who quarantined it: {number}",
    AlertKind.BACK: "Quarantined files that are back: {number}",
    AlertKind.FAILED: "{name} failed: {number}",
    AlertKind.STUCK: "The program {name} is stuck",
    AlertKind.SILENT: "The homeserver's stream is silent",
}
FAILED = {"action": "Actions that", "run": "Backfills or audits that"}
TO_DO = {
    AlertKind.BURST: "Look at the files' uploaders and rooms; quarantine the whole server if it is an attack.",
    AlertKind.RELEASE: "Ask whoever released them, or quarantine them again.",
    AlertKind.BACK: "Quarantine them again, or protect those that are wanted.",
    AlertKind.FAILED: "Its page says why; mend that, then resume it.",
    AlertKind.STUCK: "The consumers page names what it probably chokes on.",
    AlertKind.SILENT: "Look at the service quarantine-follow and at the homeserver's database. Nothing is lost; "
    "nobody sees what happens meanwhile.",
}
PLACES = {AlertKind.BACK: "/actions/", AlertKind.STUCK: "/consumers/"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    title: str
    lines: list[str]
    link: str
    data: dict[str, object]  # for programs

    @property
    def text(self) -> str:
        return "\n".join([self.title, "", *self.lines, *([self.link] if self.link else [])])

    @property
    def html(self) -> str:
        lines = format_html_join("", "<br>{}", ((line,) for line in self.lines))
        link = format_html('<br><a href="{}">{}</a>', self.link, self.link) if self.link.startswith("http") else ""
        return format_html("<strong>{}</strong>{}{}", self.title, lines, link)


def message_of(alert: Alert) -> Message:
    kind = AlertKind(alert.kind)
    name = FAILED.get(alert.subject, "") if kind is AlertKind.FAILED else name_of(alert.subject)
    title = f"[{settings.HOMESERVER_NAME}] {TITLES[kind].format(number=f'{alert.number:,}', name=name)}"
    when = f"Since {minute(alert.since)}" + ("." if kind in {AlertKind.SILENT, AlertKind.STUCK} else so_far(alert))
    link = f"{settings.PUBLIC_URL}{place_of(alert)}"
    data = {"alert": alert.pk, "kind": kind.value, "subject": subject_for_programs(alert), "number": alert.number}
    data |= {"homeserver": settings.HOMESERVER_NAME, "title": title, "to_do": TO_DO[kind], "link": link}
    data |= {"since": second(alert.since), "last": second(alert.last_at)}
    return Message(title=title, lines=[when, TO_DO[kind]], link=link, data=data)


def test_message() -> Message:
    now = datetime.now(UTC)
    title = f"[{settings.HOMESERVER_NAME}] This is a test of the alerts"
    data: dict[str, object] = {"alert": None, "kind": "test", "subject": "", "number": 1}
    data |= {"homeserver": settings.HOMESERVER_NAME, "title": title, "to_do": "Nothing.", "since": second(now)}
    link = f"{settings.PUBLIC_URL}/alerts/"
    data |= {"last": second(now), "link": link}
    return Message(
        title=title, lines=[f"Sent at {minute(now)}.", "Nothing happened; nothing is to be done."], link=link, data=data
    )


def name_of(subject: str) -> str:
    """Made harmless; the page has it whole."""
    clean = NOT_OF_A_NAME.sub("?", subject)
    return clean if len(clean) <= NAME_SHOWN else f"{clean[:NAME_SHOWN]}..."


def subject_for_programs(alert: Alert) -> str:
    """A person's name stays here."""
    return "" if alert.kind == AlertKind.RELEASE else name_of(alert.subject)


def so_far(alert: Alert) -> str:
    return f", so far until {minute(alert.last_at)}."


def place_of(alert: Alert) -> str:
    """The page to look at, with the filter that shows what it is about."""
    kind, after = AlertKind(alert.kind), second(alert.since)
    if kind is AlertKind.BURST and name_of(alert.subject) == alert.subject and not alert.subject.startswith("-"):
        return f"/?{urlencode({'origin': alert.subject, 'state': 'quarantined', 'after': after})}"
    if kind is AlertKind.RELEASE:
        return f"/?{urlencode({'state': 'released', 'after': after})}"
    if kind is AlertKind.FAILED:
        return "/actions/?status=stopped" if alert.subject == "action" else "/backfill/"
    return PLACES.get(kind, f"/alerts/{alert.pk}/")


def minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
