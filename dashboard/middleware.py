"""What every request passes: headers Django has no setting for, the sign-in gate, errors mapped once."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRedirect

from dashboard.errors import TREES_FOR_PROGRAMS, not_allowed, signed_out, too_large
from dashboard.references import HEADER, reference
from dashboard.serving.wire import GUARDS
from dashboard.signing_in.factors import lacks_factor
from dashboard.signing_in.freshness import ask_again
from dashboard.signing_in.renewal import renewal
from dashboard.signing_in.sessions import UNATTENDED, note_activity
from dashboard.signing_in.unsent import note_unsent, sent_from, within_ours
from dashboard.wording.languages import speak_to
from quarantine.accounts.staff import NotAllowedError, require
from quarantine.models import Capability, Staff

type GetResponse = Callable[[HttpRequest], HttpResponse]

UNUSED_FEATURES = (
    "accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "hid", "idle-detection",
    "magnetometer", "microphone", "midi", "payment", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
EXTRA_HEADERS = {
    # Also for whatever might one day run in our pages.
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in UNUSED_FEATURES),
    "Cross-Origin-Resource-Policy": "same-origin",
}
# What somebody may open who has yet to set up the second factor that is required.
WITHOUT_FACTOR = {"mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_view_recovery_codes"}
WITHOUT_FACTOR |= {"account_logout", "account_reauthenticate", "theme"}


FOR_PROGRAMS = (*TREES_FOR_PROGRAMS, "/metrics")


class HeadersMiddleware:
    """First of all, so that static files, redirects and errors carry them too."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = refusal_in_the_clear(request) or self.get_response(request)
        for name, value in EXTRA_HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            response.headers[HEADER] = reference(request)
        return response


def refusal_in_the_clear(request: HttpRequest) -> HttpResponse | None:
    """A program that asks by plain HTTP has sent its token unencrypted: a redirect would hide that for ever."""
    if not settings.SECURE_SSL_REDIRECT or request.is_secure() or not request.path.startswith(FOR_PROGRAMS):
        return None
    refused = {
        "errcode": "M_FORBIDDEN",
        "error": "Ask by https. If you sent a token, it crossed the network unencrypted.",
    }
    return JsonResponse(refused, status=HTTPStatus.FORBIDDEN, headers=GUARDS)


class PagesMiddleware:
    """What holds for every page, signed in or not, but for no static file."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Keep pages out of every cache: shared ones, and that of a browser someone else uses next."""
        request.path = "/" + request.path.lstrip("/")  # a link back to this page: of two slashes, to another host
        response = too_large(request) if getattr(request, "cut_short", False) else self.get_response(request)
        if "no-store" not in response.headers.get("Cache-Control", ""):
            response.headers["Cache-Control"] = "no-store"
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what the core refuses, so that no view has to catch it."""
        if isinstance(exception, NotAllowedError):
            return not_allowed(request, exception)
        return None


class PackingMiddleware(GZipMiddleware):
    """Packs pages: 200 kB of rows become 15. Streams go out past Django, so theirs must stay as they are.

    What a page says to its owner can't be guessed from the packed length: our cookies don't go with other
    sites' requests, the tokens of forms are masked anew each time, and Django pads at random.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        html = response.headers.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if html and not response.streaming else response


class SignInMiddleware(LoginRequiredMiddleware):
    """Django's gate, and behind it those of second factors and of reading; what needs more asks for it.

    Where they send people can be followed by htmx and leads back to a page.
    """

    def process_view(self, request: HttpRequest, view: Any, *more: Any) -> HttpResponseBase | None:
        answer = super().process_view(request, view, *more)
        if answer is not None:
            return signed_out(request) if UNATTENDED in request.headers else followed(request, answer)
        if not getattr(view, "login_required", True) or not isinstance(request.user, Staff):
            return None  # it answers for itself, by `admission` or a token
        speak_to(request.user)
        if lacks_factor(request) and name_of(request) not in WITHOUT_FACTOR:
            if UNATTENDED in request.headers:
                # A part of the page that leads there: it would lead there again and again.
                return HttpResponse(status=HTTPStatus.NO_CONTENT)
            return followed(request, redirect("mfa_index"))
        note_activity(request)
        try:
            require(request.user, Capability.READ)
        except NotAllowedError as error:
            return not_allowed(request, error)
        return renewal(request)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponseRedirect:
        answer = redirect_to_login(page_behind(request), settings.LOGIN_URL)
        note_unsent(request, answer)
        return answer


class FreshnessMiddleware:
    """Last of all, before allauth's own answer to the same: that one knows neither htmx nor queries of posted forms."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        return followed(request, ask_again(request)) if isinstance(exception, ReauthenticationRequired) else None


def followed(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """Tell htmx by a header; it would follow a redirect and put the form inside a table."""
    by_htmx = request.headers.get("HX-Request") == "true"
    if not by_htmx:
        return answer
    led = HttpResponseClientRedirect(answer["Location"])
    led.cookies = answer.cookies
    return led


def name_of(request: HttpRequest) -> str | None:
    return request.resolver_match.url_name if request.resolver_match else None


def page_behind(request: HttpRequest) -> str:
    """The page to come back to: not a fragment of it, and never something that was posted."""
    shown = within_ours(request, request.headers.get("HX-Current-URL", ""))
    if shown is not None:
        return shown
    return request.get_full_path() if request.method in {"GET", "HEAD"} else sent_from(request)
