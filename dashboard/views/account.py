"""Signing in, and what people manage of their own account: password and sessions."""

from http import HTTPStatus

from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.account.views import LoginView, PasswordChangeView
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.template.response import TemplateResponse
from django.urls import reverse_lazy
from django.utils.translation import get_language_from_request, gettext, ngettext, override
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import HtmxRequest
from dashboard.languages import languages, remember
from dashboard.sessions import end_other_sessions, open_sessions
from quarantine.models import Staff
from quarantine.staff import set_preferences

THROTTLED_FOR = 600  # seconds; the longest window of ACCOUNT_RATE_LIMITS["login_failed"]


class SignInView(LoginView):
    """allauth's view with honest statuses: 422 for a form with errors, 429 for too many attempts."""

    def form_invalid(self, form: LoginForm) -> TemplateResponse:
        response: TemplateResponse = super().form_invalid(form)
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        if form.has_error("__all__", "too_many_login_attempts"):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response.headers["Retry-After"] = str(THROTTLED_FOR)
        return response


class StaffRequest(HtmxRequest):
    """A request that has passed the sign-in gate."""

    user: Staff


@require_safe
def account(request: StaffRequest) -> HttpResponse:
    context = {
        "sessions": open_sessions(request, request.user),
        "previews_on": settings.MEDIA_PREVIEWS,
        "languages": languages(),
    }
    return render(request, "dashboard/account.html", context)


@require_POST
def preferences(request: StaffRequest) -> HttpResponseRedirect:
    """What a browser leaves out of a form is off."""
    previews = "previews" in request.POST if settings.MEDIA_PREVIEWS else request.user.previews  # not asked where off
    language = request.POST.get("language", "")
    language = language if language in languages() else ""
    set_preferences(
        request.user,
        single_keys="single_keys" in request.POST,
        previews=previews,
        language=language,
        local_times=request.POST.get("times") == "local",
    )
    with override(language or get_language_from_request(request)):
        messages.success(request, gettext("Saved."))
    response = redirect("account")
    remember(response, language)
    return response


class PasswordView(PasswordChangeView):
    """allauth's view; a new password ends every session that began with the old one."""

    template_name = "account/password.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: ChangePasswordForm) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        end_other_sessions(self.request, form.user)
        return response

    def form_invalid(self, form: ChangePasswordForm) -> TemplateResponse:
        response: TemplateResponse = super().form_invalid(form)
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        return response


@require_POST
def end_session(request: StaffRequest, number: int) -> HttpResponseRedirect:
    """End one of one's own sessions; somebody else's is as unknown as one that never was."""
    session = get_object_or_404(UserSession, pk=number, user=request.user)
    if session.session_key == request.session.session_key:
        logout(request)
    session.end()
    return redirect("account")


@require_POST
def end_others(request: StaffRequest) -> HttpResponseRedirect:
    ended = end_other_sessions(request, request.user)
    said = ngettext("Ended {number} other session.", "Ended {number} other sessions.", ended)
    messages.success(request, said.format(number=ended))
    return redirect("account")
