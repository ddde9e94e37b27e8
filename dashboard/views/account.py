"""Signing in, and what people manage of their own account: password and sessions."""

from http import HTTPStatus
from typing import Any

from allauth.account.forms import ChangePasswordForm
from allauth.account.views import LoginView, PasswordChangeView
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import get_language_from_request, gettext, gettext_lazy, ngettext, override
from django.views.decorators.http import require_POST, require_safe

from dashboard.errors import Words, error_page
from dashboard.http import HtmxRequest
from dashboard.signing_in.addresses import address_of
from dashboard.signing_in.sessions import end_other_sessions, open_sessions, own_key
from dashboard.wording.languages import languages, remember
from quarantine.accounts.access_record import record, record_failure
from quarantine.accounts.staff import end_session as end_it
from quarantine.accounts.staff import set_preferences
from quarantine.models import Access, Staff

SSO_ALONE = Words(
    icon="key",
    title=gettext_lazy("Not signed in"),
    heading=gettext_lazy("Passwords and passkeys open nothing here"),
    text=gettext_lazy("Nobody was signed in. Everybody signs in at the provider of single sign-on."),
    bare=True,
)
AT_PROVIDER = Words(
    icon="key",
    title=gettext_lazy("Not signed in"),
    heading=gettext_lazy("This account signs in at the provider"),
    text=gettext_lazy(
        "Nobody was signed in. Sign in at the provider of single sign-on; the passkey is asked for after that."
    ),
    bare=True,
)
THROTTLED = {"too_many_login_attempts", "rate_limited"}  # codes of allauth's errors
THROTTLED_FOR = 600  # seconds; the longest window of ACCOUNT_RATE_LIMITS["login_failed"]


class HonestForm:
    """Before allauth's views, which answer 200 to all: 422 for a form with errors, 429 for too many attempts."""

    def form_invalid(self, form: Form) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc] # of the view this is mixed into
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        if any(error.code in THROTTLED for errors in form.errors.as_data().values() for error in errors):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response.headers["Retry-After"] = str(THROTTLED_FOR)
        return response


@method_decorator(login_not_required, name="dispatch")
class SignInView(HonestForm, LoginView):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.SSO_ONLY and request.method == "POST":
            return error_page(request, SSO_ALONE, status=HTTPStatus.FORBIDDEN)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**more)
        return context | {"provider": settings.OIDC_ISSUER and settings.OIDC_NAME, "sso_only": settings.SSO_ONLY}


class StaffRequest(HtmxRequest):
    """A request that has passed the sign-in gate."""

    user: Staff


@require_safe
def account(request: StaffRequest) -> HttpResponse:
    context = {
        "sessions": open_sessions(request, request.user),
        "previews_on": settings.MEDIA_PREVIEWS,
        "sso_only": settings.SSO_ONLY,
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


class PasswordView(HonestForm, PasswordChangeView):
    """allauth's view; a new password ends every session that began with the old one."""

    template_name = "account/password.html"
    success_url = reverse_lazy("account")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Nothing to change for whoever signs in at the provider; allauth would let them set one."""
        staff = request.user
        if settings.SSO_ONLY or not (isinstance(staff, Staff) and staff.has_usable_password()):
            return redirect("account")
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def form_invalid(self, form: ChangePasswordForm) -> HttpResponse:
        """Whoever guesses it at an open session is looked for."""
        if form.has_error("oldpassword", "enter_current_password"):
            record_failure(form.user.username, address=address_of(self.request), what=Access.NOT_SHOWN)
        return super().form_invalid(form)

    def form_valid(self, form: ChangePasswordForm) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        end_other_sessions(self.request, form.user)
        return response


@require_POST
def end_session(request: StaffRequest, number: int) -> HttpResponseRedirect:
    """End one of one's own sessions; somebody else's is as unknown as one that never was."""
    session = get_object_or_404(UserSession, pk=number, user=request.user)
    if session.session_key == own_key(request):
        logout(request)
        end_it(session)
        return redirect("account")
    with transaction.atomic():
        end_it(session)
        note_ended(request, 1)
    return redirect("account")


@require_POST
def end_others(request: StaffRequest) -> HttpResponseRedirect:
    with transaction.atomic():
        ended = end_other_sessions(request, request.user)
        if ended:
            note_ended(request, ended)
    said = ngettext("Ended {number} other session.", "Ended {number} other sessions.", ended)
    messages.success(request, said.format(number=ended))
    return redirect("account")


def note_ended(request: StaffRequest, number: int) -> None:
    """Of the person's own, from another: it may be a thief who shuts them out."""
    staff = request.user
    record(Access.SESSIONS_ENDED, by=staff, target=staff.username, address=address_of(request), sessions=number)
