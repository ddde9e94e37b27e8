"""Signing in at a provider of OpenID Connect: allauth makes the trip, here is what its answer is worth.

An account is opened at its first sign-in if a role maps, and its role follows at each. The provider's own
id of a person (`sub`, of this issuer) leads to the account and nothing else does: a name or an address that
is the same as somebody's here opens nothing.
"""

import logging
import secrets
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from allauth.account.internal.flows.login import record_authentication
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_login_failed
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext
from requests import RequestException

from dashboard.configuration.oidc_settings import is_loopback
from dashboard.errors import Words, error_page
from dashboard.signing_in.freshness import resume
from dashboard.signing_in.session_store import RENEWED
from quarantine.accounts.single_sign_on import follow_role, open_account, role_given
from quarantine.accounts.staff import StaffError
from quarantine.models import Staff

logger = logging.getLogger(__name__)

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
TROUBLE = (RequestException, OAuth2Error, KeyError, TypeError, ValueError)  # what a provider's answers can lead to
FRESH = 300  # seconds ago at most that the provider asked again


class RefusedError(Exception):
    """The provider's answer opens nothing; the text is a sentence for whoever came with it."""


class IssuerAdapter(OpenIDConnectOAuth2Adapter):
    @property
    def openid_config(self) -> dict[str, Any]:
        """What the issuer says of itself; refused if it speaks for another, or would have secrets sent in the clear."""
        config: dict[str, Any] = super().openid_config
        if str(config["issuer"]).rstrip("/") != settings.OIDC_ISSUER.rstrip("/"):
            msg = f"it calls itself {config['issuer']!r}"
            raise OAuth2Error(msg)
        for name in ENDPOINTS:
            parts = urlsplit(config[name])
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                msg = f"its {name} is not https"
                raise OAuth2Error(msg)
        return config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("sso-callback"))


class ProviderAdapter(DefaultSocialAccountAdapter):
    """The hooks allauth calls when somebody comes back from the provider."""

    def get_requests_session(self) -> Any:
        """Nobody but the issuer is asked: a redirect is an error."""
        session = super().get_requests_session()
        session.max_redirects = 0
        return session

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        try:
            claims = claims_of(sociallogin)
            if sociallogin.state["process"] in AGAIN:
                raise ImmediateHttpResponse(AGAIN[sociallogin.state["process"]](request, sociallogin, claims))
            admit(request, sociallogin, claims)
        except (RefusedError, StaffError) as error:
            raise ImmediateHttpResponse(refusal(request, sociallogin, str(error))) from error

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        logger.warning("single sign-on failed: %r %r", error, exception)
        text = gettext("Nobody was signed in. The sign-in at {provider} was not finished, or took too long. Try again.")
        text = text.format(provider=settings.OIDC_NAME)
        raise ImmediateHttpResponse(words_page(request, text, HTTPStatus.FORBIDDEN))


def claims_of(sociallogin: SocialLogin) -> dict[str, Any]:
    """What the provider says, checked to be the answer to our question and about one and the same person."""
    data = sociallogin.account.extra_data
    token, info = data.get("id_token") or {}, data.get("userinfo") or {}
    if not constant_time_compare(str(token.get("nonce", "")), sociallogin.state["nonce"]):
        msg = gettext("Nobody was signed in. The provider's answer belongs to another sign-in.")
        raise RefusedError(msg)
    if info.get("sub", token["sub"]) != token["sub"]:
        msg = gettext("Nobody was signed in. The provider's answers contradict each other.")
        raise RefusedError(msg)
    return {**token, **info}


def admit(request: HttpRequest, sociallogin: SocialLogin, claims: dict[str, Any]) -> None:
    """Make this a sign-in to an account that is open and has the role the provider gives. Raises RefusedError, StaffError."""
    role = role_given(claims)
    if sociallogin.is_existing:
        follow_role(sociallogin.user, role)
    elif role is not None:
        with transaction.atomic():
            sociallogin.connect(request, open_account(name=name_in(claims), role=role))
    # Who this is stands in the account; what else the provider tells of people is not ours to keep.
    SocialAccount.objects.filter(pk=sociallogin.account.pk).update(extra_data={})
    if role is None:
        raise RefusedError(no_role())
    sociallogin.state["auth_time"] = claims.get("auth_time")  # for whoever has signed in: a session begins anew then


def name_in(claims: dict[str, Any]) -> str:
    """Keycloak and most others say `preferred_username`, Matrix Authentication Service `username`."""
    return str(claims.get("preferred_username") or claims.get("username") or "")


def shown_again(request: HttpRequest, sociallogin: SocialLogin, claims: dict[str, Any]) -> HttpResponseBase:
    """Whoever was asked again has shown who they are at the provider, just now: go on with what waited."""
    heed(request, sociallogin, claims)
    asked_at = claims.get("auth_time")
    if not isinstance(asked_at, int | float) or time.time() - asked_at > FRESH:
        msg = gettext("Nothing has changed. {provider} did not ask you again. Sign out, and in again.")
        msg = msg.format(provider=settings.OIDC_NAME)
        raise RefusedError(msg)
    account = sociallogin.account
    record_authentication(
        request, request.user, "socialaccount", reauthenticated=True, provider=account.provider, uid=account.uid
    )
    return resume(request, back=sociallogin.state.get("next") or reverse("account"))


def renewed(request: HttpRequest, sociallogin: SocialLogin, claims: dict[str, Any]) -> HttpResponseBase:
    """The provider still vouches for them. It may have asked them nothing, so this shows nobody anew."""
    heed(request, sociallogin, claims)
    request.session[RENEWED] = time.time()
    return HttpResponseRedirect(sociallogin.state.get("next") or "/")


AGAIN = {"redirect": shown_again, "renew": renewed}


def heed(request: HttpRequest, sociallogin: SocialLogin, claims: dict[str, Any]) -> None:
    """What the provider says of whoever is signed in. Raises RefusedError; without a role every session of theirs has ended."""
    if not isinstance(request.user, Staff) or sociallogin.user != request.user:
        msg = gettext("Nothing has changed. You showed there that you are somebody else.")
        raise RefusedError(msg)
    role = role_given(claims)
    follow_role(request.user, role)
    if role is None:
        logout(request)
        raise RefusedError(no_role())


def no_role() -> str:
    return gettext("Nobody was signed in. {provider} gives you no role here.").format(provider=settings.OIDC_NAME)


def to_provider(request: HttpRequest, *, process: str, back: str | None, **asked: str) -> HttpResponseBase:
    """State, nonce and the PKCE verifier stay in the session."""
    provider = get_adapter().get_provider(request, settings.OIDC_PROVIDER_ID)
    provider.oauth2_adapter_class = IssuerAdapter
    nonce = secrets.token_urlsafe()
    response: HttpResponseBase = provider.redirect(
        request, process, next_url=back, nonce=nonce, auth_params={"nonce": nonce, **asked}
    )
    return response


def refusal(request: HttpRequest, sociallogin: SocialLogin, why: str) -> HttpResponseBase:
    name = name_in(sociallogin.account.extra_data.get("userinfo") or {})
    logger.warning("refused single sign-on of %r: %s", name or sociallogin.account.uid, why, extra={"personal": True})
    user_login_failed.send(sender=__name__, credentials={"username": name}, request=request)
    return words_page(request, why, HTTPStatus.FORBIDDEN)


def words_page(request: HttpRequest, text: str, status: HTTPStatus) -> HttpResponseBase:
    heading, title = gettext("Signing in did not work"), gettext("Not signed in")
    return error_page(request, Words(icon="key", title=title, heading=heading, text=text, bare=True), status=status)
