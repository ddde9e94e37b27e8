"""Signing in."""

from http import HTTPStatus
from typing import Any

from allauth.account.forms import LoginForm
from allauth.account.views import LoginView
from django.conf import settings
from django.template.response import TemplateResponse

THROTTLED_FOR = 600  # seconds; the longest window of ACCOUNT_RATE_LIMITS["login_failed"]


class SignInView(LoginView):
    """allauth's view with honest statuses: 422 for a form with errors, 429 for too many attempts."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "homeserver_name": settings.HOMESERVER_NAME}

    def form_invalid(self, form: LoginForm) -> TemplateResponse:
        response: TemplateResponse = super().form_invalid(form)
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.has_error("__all__", "too_many_login_attempts"):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response.headers["Retry-After"] = str(THROTTLED_FOR)
        return response
