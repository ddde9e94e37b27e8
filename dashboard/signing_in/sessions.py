"""The sessions of the person signed in: which browser, from where, since when; and how they end."""

import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.signals import password_changed, password_set, user_logged_in
from allauth.usersessions import signals as allauth_signals
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext

from dashboard.signing_in.session_store import SEEN, stored
from quarantine.accounts.staff import end_session
from quarantine.models import Staff

LONGEST = UserSession._meta.get_field("user_agent").max_length
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


def listen() -> None:
    """In place of allauth's own list, which would hold the keys themselves."""
    for signal, theirs in (
        (user_logged_in, allauth_signals.on_user_logged_in),
        (password_changed, allauth_signals.on_password_changed),
        (password_set, allauth_signals.on_password_changed),
    ):
        signal.disconnect(theirs)
        signal.connect(put_on_list, dispatch_uid="sessions")


def put_on_list(*, request: HttpRequest, **_: Any) -> None:
    """The session of who signed in, or who goes on under a new key; strike those that have ended."""
    if not request.session.session_key:
        request.session.save()
    facts = {"ip": get_adapter().get_client_ip(request), "user_agent": request.headers.get("User-Agent", "")[:LONGEST]}
    facts |= {"user": request.user, "last_seen_at": timezone.now()}
    UserSession.objects.update_or_create(session_key=own_key(request), defaults=facts)
    UserSession.objects.filter(user=request.user).exclude(session_key__in=alive()).delete()


def own_key(request: HttpRequest) -> str:
    """Of the session asking, as the database has it."""
    return stored(request.session.session_key or "")


def alive() -> "QuerySet[Session, str]":
    return Session.objects.filter(expire_date__gt=timezone.now()).values_list("session_key", flat=True)


@dataclass(frozen=True)
class OpenSession:
    number: int  # names it in a URL
    began_at: datetime
    seen_at: datetime
    address: str
    browser: str
    user_agent: str  # whatever the client claimed
    current: bool


def open_sessions(request: HttpRequest, staff: Staff) -> list[OpenSession]:
    """Newest first. A record may outlive its session, so both are asked for, in one query."""
    sessions = UserSession.objects.filter(user=staff, session_key__in=alive()).order_by("-created_at")
    return [
        OpenSession(
            number=session.pk,
            began_at=session.created_at,
            seen_at=session.last_seen_at,
            address=session.ip,
            browser=browser_name(session.user_agent),
            user_agent=session.user_agent,
            current=session.session_key == own_key(request),
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
    UserSession.objects.filter(session_key=own_key(request)).update(last_seen_at=timezone.now())


def end_other_sessions(request: HttpRequest, staff: Staff) -> int:
    """End all but the one asking; return how many."""
    others = UserSession.objects.filter(user=staff).exclude(session_key=own_key(request))
    ended = list(others)
    for session in ended:
        end_session(session)
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
