"""Asking again who one is, before what would do harm in the wrong hands: an open browser, a stolen cookie.

What was posted waits in the session meanwhile and is done when the answer is right: no form is lost.
"""

import json
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
SHOWN = "shown_there_at"  # in a session: when the provider of single sign-on asked them, as it says
KEPT = {"PATH_INFO", "QUERY_STRING", "HTTP_REFERER"}  # of its META: the rest has the cookie in it, or a token


def require_fresh(request: HttpRequest) -> None:
    """Raise ReauthenticationRequired, for FreshnessMiddleware, if it was too long ago that this person showed who they are."""
    if not is_fresh(request):
        raise ReauthenticationRequired


def is_fresh(request: HttpRequest) -> bool:
    return not settings.REAUTH_MINUTES or time.time() - shown_at(request) < 60 * settings.REAUTH_MINUTES


def shown_at(request: HttpRequest) -> float:
    """When this person last showed who they are in this session: by signing in, or asked again.

    A provider lets in whoever sits at a browser it knows: what counts is when it asked them.
    """
    records = get_authentication_records(request, request.user)
    shown = [record for record in records if record["method"] != "socialaccount" or "reauthenticated" in record]
    by_provider = len(shown) < len(records)
    began: float = request.session.get(SHOWN if by_provider else BEGAN, 0.0)
    times: list[float] = [record["at"] for record in shown]
    return max([began, *times])


def note_asked_there(request: HttpRequest, at: object) -> None:
    """The provider's `auth_time` of a sign-in; one that tells none has shown nobody."""
    request.session[SHOWN] = min(float(at), time.time()) if isinstance(at, int | float) else 0.0


def ask_again(request: HttpRequest) -> HttpResponseRedirect:
    """To the page that asks; from there back here."""
    back = request.get_full_path()
    if request.method == "POST":
        request.session[WAITING] = kept_of(request)
        back = request.path  # its query waits with it
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")


def kept_of(request: HttpRequest) -> str:
    """What is needed to do it later, and no more: sessions stand in the database, where no key of one may be."""
    told = json.loads(serialize_request(request))
    return json.dumps(told | {"META": {name: value for name, value in told["META"].items() if name in KEPT}})


def resume(request: HttpRequest, *, back: str) -> HttpResponseBase:
    """Do what waited, if it is what `back` leads to; else go there."""
    waiting = request.session.pop(WAITING, None)
    if waiting:
        present = request.META
        suspended = deserialize_request(waiting, request)
        suspended.META = present | {name: value for name, value in suspended.META.items() if name in KEPT}
        if suspended.path == back:
            view = suspended.resolver_match = resolve(suspended.path_info)
            response: HttpResponseBase = view.func(suspended, *view.args, **view.kwargs)
            return response
    return HttpResponseRedirect(back)
