"""Asking again who one is, before what would do harm in the wrong hands: an open browser, a stolen cookie.

What was posted waits in the session meanwhile and is done when the answer is right: no form is lost.
"""

import time
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from allauth.core.internal.httpkit import deserialize_request, serialize_request
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import resolve, reverse

from dashboard.signing_in.session_store import BEGAN

WAITING = "waiting_request"  # in a session


def require_fresh(request: HttpRequest) -> None:
    """Raise ReauthenticationRequired, for FreshnessMiddleware, if it was too long ago that this person showed who they are."""
    if not is_fresh(request):
        raise ReauthenticationRequired


def is_fresh(request: HttpRequest) -> bool:
    return not settings.REAUTH_MINUTES or time.time() - shown_at(request) < 60 * settings.REAUTH_MINUTES


def shown_at(request: HttpRequest) -> float:
    """When this person last showed who they are in this session: by signing in, or asked again."""
    records = get_authentication_records(request, request.user)
    times: list[float] = [record["at"] for record in records]
    began: float = request.session.get(BEGAN, 0.0)
    return max([began, *times])


def ask_again(request: HttpRequest) -> HttpResponseRedirect:
    """To the page that asks; from there back here."""
    back = request.get_full_path()
    if request.method == "POST":
        request.session[WAITING] = serialize_request(request)
        back = request.path  # its query waits with it
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")


def resume(request: HttpRequest, *, back: str) -> HttpResponseBase:
    """Do what waited, if it is what `back` leads to; else go there."""
    waiting = request.session.pop(WAITING, None)
    if waiting:
        suspended = deserialize_request(waiting, request)
        if suspended.path == back:
            view = suspended.resolver_match = resolve(suspended.path_info)
            response: HttpResponseBase = view.func(suspended, *view.args, **view.kwargs)
            return response
    return HttpResponseRedirect(back)
