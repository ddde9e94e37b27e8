"""Which language a page is in: the account's, else one chosen on this browser, else one the browser asks for, else English."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation import activate, get_language, get_language_from_request, override

from quarantine.models import Staff

YEAR = 365 * 86_400
IN_WORDS = ("text/html", "text/event-stream")  # pages, and the rows that come to them

type View = Callable[..., Any]


class LanguageMiddleware:
    """Pages in the reader's language; addresses have none, so that those that people send each other fit everybody.

    What the account chose follows once it is known who asks: `speak_to`, called by the gate.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with override(get_language_from_request(request)):
            response = self.get_response(request)
            if response.headers.get("Content-Type", "").startswith(IN_WORDS):
                response.headers.setdefault("Content-Language", get_language() or settings.LANGUAGE_CODE)
                patch_vary_headers(response, ["Accept-Language", "Cookie"])
        return response


def speak_to(user: object) -> None:
    """In the language of the account, if it has chosen one."""
    if isinstance(user, Staff) and user.language in languages():
        activate(user.language)


def languages() -> dict[str, str]:
    """Codes, and what each calls itself."""
    return {code: str(name) for code, name in settings.LANGUAGES}


def remember(response: HttpResponse, language: str) -> None:
    """On this browser, for pages that know no account; empty: whatever the browser asks for."""
    if language in languages():
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=YEAR,
            secure=settings.HTTPS,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")


def in_english(view: View) -> View:
    """For what programs and spreadsheets read."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with override(settings.LANGUAGE_CODE):
            return view(*args, **kwargs)

    return wrapped
