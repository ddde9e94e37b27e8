"""A form that is sent when the session has ended: it is not done, and whoever signs in again is told so.

What was sent is kept nowhere, for nobody knows whose it was; a cookie says that there was something.
"""

from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

TOLD_WITHIN = 3600  # seconds
# Pages to act from; others may be the answer to a form that was refused, and can't be opened.
FORMS_ON = {"timeline", "media-detail", "action-new", "action-undo", "action-list", "action-detail"}


def note_unsent(request: HttpRequest, answer: HttpResponse) -> None:
    if request.method == "POST":
        answer.set_cookie(
            settings.UNSENT_COOKIE_NAME,
            "1",
            max_age=TOLD_WITHIN,
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )


def tell_unsent(request: HttpRequest, answer: HttpResponse) -> None:
    """Whoever has signed in, on the next page."""
    if request.COOKIES.get(settings.UNSENT_COOKIE_NAME):
        said = gettext("You were signed out by then, so what you sent was not done. Choose it and send it again.")
        messages.warning(request, said)
        answer.delete_cookie(settings.UNSENT_COOKIE_NAME, samesite="Lax")


def sent_from(request: HttpRequest) -> str:
    """The page a form was on, as the browser says: one of ours, or the first page."""
    before = within_ours(request, request.headers.get("Referer", ""))
    if before is None:
        return "/"
    try:
        known = resolve(urlsplit(before).path).url_name in FORMS_ON
    except Resolver404:
        known = False
    return before if known else "/"


def within_ours(request: HttpRequest, address: str) -> str | None:
    """Path and query of a page that a browser names; None where it is nothing of ours."""
    if not url_has_allowed_host_and_scheme(address, allowed_hosts={request.get_host()}):
        return None
    return urlsplit(address)._replace(scheme="", netloc="", fragment="").geturl()
