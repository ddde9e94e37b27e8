"""The page that asks again who one is: the password, a code or a passkey."""

import json
from http import HTTPStatus
from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.account.internal.flows.reauthentication import reauthenticate_by_password
from allauth.account.utils import get_next_redirect_url
from allauth.core import ratelimit
from allauth.mfa.base.forms import ReauthenticateForm as CodeForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import ReauthenticateWebAuthnForm
from allauth.mfa.webauthn.internal.auth import begin_authentication
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.forms import Form
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.signing_in.freshness import resume
from dashboard.signing_in.sign_in import dress
from dashboard.views.account import StaffRequest

FORMS = {"password": ReauthenticateForm, "code": CodeForm, "passkey": ReauthenticateWebAuthnForm}


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: StaffRequest) -> HttpResponseBase:
    back = get_next_redirect_url(request) or reverse("account")
    ways, form, status = ways_of(request), None, HTTPStatus.OK
    if request.method == "POST":
        way = request.POST.get("way", "")
        form, status = read(request, way if way in ways & FORMS.keys() else None)
        if form is not None and form.is_valid():
            record(request, form)
            return resume(request, back=back)
    return ask(request, ways, back=back, form=form, status=status)


def ways_of(request: StaffRequest) -> set[str]:
    """How this person can show who they are."""
    types = set(Authenticator.objects.filter(user=request.user).values_list("type", flat=True))
    ways = {"password"} if request.user.has_usable_password() and not settings.SSO_ONLY else set()
    if (
        settings.OIDC_ISSUER
        and SocialAccount.objects.filter(user=request.user, provider=settings.OIDC_PROVIDER_ID).exists()
    ):
        ways.add("provider")
    ways |= {"passkey"} if Authenticator.Type.WEBAUTHN in types else set()
    return ways | ({"code"} if Authenticator.Type.TOTP in types else set())


def read(request: StaffRequest, way: str | None) -> tuple[Form | None, HTTPStatus]:
    """What was posted; None where there were too many attempts, or in no way one has. The status is for what is wrong."""
    if not ratelimit.consume(request, action="reauthenticate", user=request.user):
        return None, HTTPStatus.TOO_MANY_REQUESTS
    if way is None:
        return None, HTTPStatus.UNPROCESSABLE_ENTITY
    return FORMS[way](user=request.user, data=request.POST), HTTPStatus.UNPROCESSABLE_ENTITY


def record(request: StaffRequest, form: Form) -> None:
    if isinstance(form, CodeForm | ReauthenticateWebAuthnForm):
        form.save()
    else:
        reauthenticate_by_password(request)


def ask(request: StaffRequest, ways: set[str], *, back: str, form: Form | None, status: HTTPStatus) -> HttpResponse:
    password = form if isinstance(form, ReauthenticateForm) else ReauthenticateForm(user=request.user)
    password.fields["password"].widget.attrs.pop("autofocus", None)
    dress(password)
    context: dict[str, Any] = {
        "ways": ways,
        "provider": settings.OIDC_NAME,
        "back": back,
        "form": password,
        "code_form": form if isinstance(form, CodeForm) else CodeForm(user=request.user),
        "passkey_failed": isinstance(form, ReauthenticateWebAuthnForm),
        "throttled": status == HTTPStatus.TOO_MANY_REQUESTS,
    }
    if "passkey" in ways:
        context["options"] = json.dumps(begin_authentication(request.user), cls=DjangoJSONEncoder)
    response = render(request, "account/confirm.html", context, status=status)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["Retry-After"] = "60"
    return response
