"""Second factors: setting them up and removing them, and giving one while signing in."""

import json
from http import HTTPStatus
from typing import Any

from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.internal.flows import perform_passwordless_login
from allauth.mfa.webauthn.views import AddWebAuthnView, LoginWebAuthnView, RemoveWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.signals import user_login_failed
from django.core.serializers.json import DjangoJSONEncoder
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from dashboard.errors import error_page
from dashboard.signing_in.factors import FactorAdapter, factors_of, is_providers, lacks_factor, qr_rows
from dashboard.signing_in.freshness import require_fresh
from dashboard.signing_in.passkeys import PasskeyForm, PasskeySignInForm
from dashboard.views.account import AT_PROVIDER, SSO_ALONE, HonestForm, StaffRequest

PASSKEY = {"residentKey": "required", "requireResidentKey": True, "userVerification": "required"}


@require_safe
def factors(request: StaffRequest) -> HttpResponse:
    codes = Authenticator.objects.filter(user=request.user, type=Authenticator.Type.RECOVERY_CODES).first()
    own = factors_of(request.user)
    context = {
        "factors": own,
        "has_app": Authenticator.Type.TOTP in {factor.type for factor in own},
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "lacking": lacks_factor(request),
    }
    return render(request, "mfa/index.html", context)


class FreshOnly:
    """Before allauth's views, which take accounts without a password for fresh at any time."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        require_fresh(request)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc] # of the view
        return response


def as_json(options: Any) -> str:
    return json.dumps(options, cls=DjangoJSONEncoder)


class AppView(FreshOnly, HonestForm, ActivateTOTPView):
    template_name = "mfa/app.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**more)
        return context | {"side": len(qr_rows(context["totp_url"]))}


class AppRemoveView(FreshOnly, HonestForm, DeactivateTOTPView):
    template_name = "mfa/remove.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**more)
        return context | {"factor": self.authenticator}


class CodesView(FreshOnly, ViewRecoveryCodesView):
    template_name = "mfa/codes.html"


class NewCodesView(FreshOnly, HonestForm, GenerateRecoveryCodesView):
    template_name = "mfa/codes_new.html"


class PasskeyAddView(FreshOnly, HonestForm, AddWebAuthnView):
    """Passkeys, which also stand in for the password: kept on the device, opened by a finger, a face or a PIN."""

    template_name = "mfa/passkey.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**more)
        options = json.loads(as_json(context["js_data"]["creation_options"]))
        options["publicKey"]["authenticatorSelection"] = PASSKEY
        return context | {"form": more.get("form") or context["form"], "options": json.dumps(options)}


class PasskeyRemoveView(FreshOnly, RemoveWebAuthnView):
    template_name = "mfa/remove.html"
    success_url = reverse_lazy("mfa_index")
    context_object_name = "factor"

    def form_valid(self, form: Form) -> HttpResponse:
        if not FactorAdapter().can_delete_authenticator(self.object):
            messages.error(self.request, FactorAdapter.error_messages["cannot_delete_authenticator"])
            return redirect("mfa_index")
        response: HttpResponse = super().form_valid(form)
        return response


class SecondStepView(HonestForm, AuthenticateView):
    """After the password: a code or a passkey."""

    webauthn_form_class = PasskeyForm
    template_name = "mfa/authenticate.html"

    def get_context_data(self, **more: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**more)
        types = {factor.type for factor in factors_of(self.stage.login.user)}
        return context | {
            "options": as_json(context["js_data"]["request_options"]),
            "has_passkey": Authenticator.Type.WEBAUTHN in types,
            "has_app": Authenticator.Type.TOTP in types,
        }


@method_decorator(login_not_required, name="dispatch")
class PasskeySignInView(LoginWebAuthnView):
    """Instead of name and password. Asked by the script for what the browser is to sign, then posted with the answer."""

    form_class = PasskeySignInForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if settings.SSO_ONLY:
            return error_page(request, SSO_ALONE, status=HTTPStatus.FORBIDDEN)
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def form_valid(self, form: Form) -> HttpResponse:
        authenticator = form.cleaned_data["credential"]
        if is_providers(authenticator.user):
            told = {"username": authenticator.user.username}
            user_login_failed.send(sender=__name__, credentials=told, request=self.request)
            return error_page(self.request, AT_PROVIDER, status=HTTPStatus.FORBIDDEN)
        login = Login(user=authenticator.user, redirect_url=get_next_redirect_url(self.request))
        response: HttpResponse = perform_passwordless_login(self.request, authenticator, login)
        return response
