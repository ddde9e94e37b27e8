"""What people read where there is no answer: what happened, what still holds, and a reference to quote.

The pages of a stranger, of a request that can't be trusted and of a server that can't reach its database
need neither session nor database. To htmx each is one sentence, for the notice of the page that asked.
"""

import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.core.exceptions import DisallowedHost, RequestDataTooBig, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy
from psycopg.errors import QueryCanceled

from dashboard.references import reference
from dashboard.serving.wire import GUARDS

RETRY_AFTER = 10  # seconds
TREES_FOR_PROGRAMS = ("/_synapse/", "/_matrix/", "/api/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    icon: str
    title: Any
    heading: Any
    text: Any
    passes: bool = False  # the same may work in a moment
    bare: bool = False  # without what is read from the database: navigation, notices, who is signed in


BAD_REQUEST = Words(
    icon="warn",
    title=gettext_lazy("Bad request"),
    heading=gettext_lazy("This request can't be read"),
    text=gettext_lazy("Nothing has changed. Its address or its form was damaged on the way."),
    bare=True,
)
UNKNOWN_HOST = Words(
    icon="plug",
    title=gettext_lazy("Bad request"),
    heading=gettext_lazy("This server does not answer under that name"),
    text=gettext_lazy("Whoever runs it can add the name in the address to ALLOWED_HOSTS."),
    bare=True,
)
NOT_ALLOWED = Words(
    icon="key",
    title=gettext_lazy("Not allowed"),
    heading=gettext_lazy("Your role does not include this"),
    text=gettext_lazy("Nothing has changed. An administrator can give you another role."),
)
FORGED = Words(
    icon="warn",
    title=gettext_lazy("Form refused"),
    heading=gettext_lazy("This form did not come from here"),
    text=gettext_lazy(
        "Nothing has changed. The page may have been open since before you signed in, or cookies are turned off. "
        "Reload it and try again."
    ),
    bare=True,
)
SIGNED_OUT = Words(
    icon="key",
    title=gettext_lazy("Signed out"),
    heading=gettext_lazy("You are signed out"),
    text=gettext_lazy("Reload the page to sign in again and go on."),
    bare=True,
)
NOT_FOUND = Words(
    icon="search",
    title=gettext_lazy("Not found"),
    heading=gettext_lazy("There is no such page"),
    text=gettext_lazy("The address may be mistyped, or what it led to is not on record here."),
)
TOO_LARGE = Words(
    icon="warn",
    title=gettext_lazy("Too large"),
    heading=gettext_lazy("This is more than one form can carry"),
    text=gettext_lazy(
        "Nothing has changed. Up to 1 MB fits, some ten thousand media: send the list in parts, or have it read "
        "from a file by manage.py quarantine --from-file."
    ),
    bare=True,
)
BROKEN = Words(
    icon="error",
    title=gettext_lazy("Something broke"),
    heading=gettext_lazy("Something broke here"),
    text=gettext_lazy(
        "Look whether what you did took effect before you do it again. The ledger records each change wholly or "
        "not at all. The server's log says what broke, under the reference below."
    ),
    passes=True,
    bare=True,
)
AWAY = Words(
    icon="plug",
    title=gettext_lazy("No database"),
    heading=gettext_lazy("The ledger's database does not answer"),
    text=gettext_lazy(
        "Pages can't be read until it does. Nothing is lost: changes made meanwhile appear when it is back. "
        "Look whether what you did took effect before you do it again."
    ),
    passes=True,
    bare=True,
)


SLOW = Words(
    icon="clock",
    title=gettext_lazy("Too slow"),
    heading=gettext_lazy("The ledger's database took too long"),
    text=gettext_lazy(
        "It was stopped, so that it can answer others. Ask for less, a shorter time or fewer filters, or try again in a "
        "moment. Nothing is lost; look whether what you did took effect before you do it again."
    ),
    passes=True,
    bare=True,
)


def error_page(request: HttpRequest, words: Words, *, status: HTTPStatus) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        sentence = f"{words.heading}. {words.text}"
        return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
    skeleton = "bare.html" if words.bare else "base.html"
    again = request.get_full_path() if words.passes and request.method in {"GET", "HEAD"} else None
    context = {"words": words, "skeleton": skeleton, "reference": reference(request), "again": again}
    # A request in the context alone: its processors would read session and account.
    page = render_to_string("error.html", context | {"request": request}, request=None if words.bare else request)
    return HttpResponse(page, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent):
        return too_large(request)
    words = UNKNOWN_HOST if isinstance(exception, DisallowedHost) else BAD_REQUEST
    return error_page(request, words, status=HTTPStatus.BAD_REQUEST)


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_page(request, NOT_ALLOWED, status=HTTPStatus.FORBIDDEN)


def signed_out(request: HttpRequest) -> HttpResponse:
    """To what a page asks for by itself: nobody's page goes away under their eyes for that."""
    return error_page(request, SIGNED_OUT, status=HTTPStatus.UNAUTHORIZED)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_page(request, FORGED, status=HTTPStatus.FORBIDDEN)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(TREES_FOR_PROGRAMS):  # in Synapse's words: they read no page
        unheard = {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}
        return JsonResponse(unheard, status=HTTPStatus.NOT_FOUND, headers=GUARDS)
    return error_page(request, NOT_FOUND, status=HTTPStatus.NOT_FOUND)


def too_large(request: HttpRequest) -> HttpResponse:
    return error_page(request, TOO_LARGE, status=HTTPStatus(413))


def server_error(request: HttpRequest) -> HttpResponse:
    """Called while the exception is handled; a database that is away is no fault of ours and passes."""
    error = sys.exception()
    if not isinstance(error, OperationalError | InterfaceError):
        return error_page(request, BROKEN, status=HTTPStatus.INTERNAL_SERVER_ERROR)
    words = SLOW if isinstance(error.__cause__, QueryCanceled) else AWAY
    response = error_page(request, words, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response
