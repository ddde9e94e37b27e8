"""The sessions of the person signed in: which browser, from where, since when; and how they end."""

import re
import time
from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from dashboard.signing_in.session_store import SEEN
from quarantine.models import Staff

UNATTENDED = "X-Unattended"  # a header of what pages ask for every few seconds
NOTED_EVERY = 60  # seconds; less than any idle limit but one of a minute

# In this order: Edge and Opera also call themselves Chrome, and nearly all call themselves Safari.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox|FxiOS", "Firefox"),
    ("Chrom|CriOS", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone|iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class OpenSession:
    number: int  # names it in a URL; the key itself would be as good as a password
    began_at: datetime
    seen_at: datetime
    address: str
    browser: str
    user_agent: str  # whatever the client claimed
    current: bool


def open_sessions(request: HttpRequest, staff: Staff) -> list[OpenSession]:
    """Newest first. A record may outlive its session, so both are asked for, in one query."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    sessions = UserSession.objects.filter(user=staff, session_key__in=alive).order_by("-created_at")
    return [
        OpenSession(
            number=session.pk,
            began_at=session.created_at,
            seen_at=session.last_seen_at,
            address=session.ip,
            browser=browser_name(session.user_agent),
            user_agent=session.user_agent,
            current=session.session_key == request.session.session_key,
        )
        for session in sessions
    ]


def note_activity(request: HttpRequest) -> None:
    """Somebody did something: the session's idle time starts anew. Written once a minute at most.

    What a page asks for by itself is nobody's doing, or a forgotten tab would keep its session for ever.
    """
    now = time.time()
    if UNATTENDED in request.headers or now - request.session.get(SEEN, 0.0) < NOTED_EVERY:
        return
    request.session[SEEN] = now
    UserSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=timezone.now())


def end_other_sessions(request: HttpRequest, staff: Staff) -> int:
    """End all but the one asking; return how many."""
    others = UserSession.objects.filter(user=staff).exclude(session_key=request.session.session_key)
    ended = list(others)
    for session in ended:
        session.end()
    return len(ended)


def browser_name(user_agent: str) -> str:
    """Say it in words a person knows; what claims to be none of these is shown as it called itself."""
    browser = first_match(BROWSERS, user_agent)
    system = first_match(SYSTEMS, user_agent)
    if browser and system:
        return gettext("{browser} on {system}").format(browser=browser, system=system)
    return browser or system or user_agent[:40] or gettext("Unknown browser")


def first_match(names: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((name for pattern, name in names if re.search(pattern, user_agent)), "")
