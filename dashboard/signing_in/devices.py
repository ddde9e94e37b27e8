"""Browsers that people signed in from before.

Whoever tries many passwords closes an account for ten minutes, and so could keep somebody out of it who
knows the password. But not in a browser that person has signed in from: it holds a signed cookie that says
so, and its wrong passwords are counted apart, by browser. A cookie that was stolen buys ten guesses in ten
minutes, no more than anybody has; it opens nothing.
"""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

SALT = "dashboard.devices"  # stands in the cookies that are out there: it stays, wherever this module goes
KEPT_FOR = 180 * 86_400  # seconds since the last sign-in
MOST_NAMES = 5  # people who share a browser


@dataclass(frozen=True, slots=True)
class Device:
    token: str
    names: list[str]  # of the accounts that signed in from it, the last one last


def device_of(request: HttpRequest) -> Device | None:
    cookie = request.COOKIES.get(settings.DEVICE_COOKIE_NAME, "")
    try:
        return Device(*signing.loads(cookie, salt=SALT, max_age=KEPT_FOR))
    except signing.BadSignature:
        return None


def known_device(request: HttpRequest, name: str) -> str:
    """What to count this browser's attempts at this account by; empty if nobody signed in to it from here."""
    device = device_of(request)
    return device.token if device and name.lower() in device.names else ""


def remember_device(request: HttpRequest, response: HttpResponse, name: str) -> None:
    device = device_of(request) or Device(secrets.token_urlsafe(16), [])
    names = [other for other in device.names if other != name.lower()]
    value = signing.dumps([device.token, [*names, name.lower()][-MOST_NAMES:]], salt=SALT)
    response.set_cookie(
        settings.DEVICE_COOKIE_NAME, value, max_age=KEPT_FOR, secure=settings.HTTPS, httponly=True, samesite="Lax"
    )
