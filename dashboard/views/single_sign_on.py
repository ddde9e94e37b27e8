"""The way to the provider of single sign-on, and back."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from allauth.account.utils import get_next_redirect_url
from allauth.core.ratelimit import consume_or_429
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from dashboard.signing_in.single_sign_on import TROUBLE, IssuerAdapter, to_provider, words_page
from dashboard.views.account import StaffRequest

logger = logging.getLogger(__name__)


def with_provider(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """404 without a provider; words where it is away or talks nonsense."""

    @wraps(view)
    def wrapped(request: HttpRequest) -> HttpResponseBase:
        if not settings.OIDC_ISSUER:
            raise Http404
        try:
            return view(request)
        except TROUBLE as error:
            logger.warning("single sign-on: %s answers wrongly or not at all: %r", settings.OIDC_ISSUER, error)
            text = gettext("Nobody was signed in. {provider} does not answer as it should. Try again in a moment.")
            return words_page(request, text.format(provider=settings.OIDC_NAME), HTTPStatus.BAD_GATEWAY)

    return wrapped


@require_POST
@login_not_required
@with_provider
def sso_begin(request: HttpRequest) -> HttpResponseBase:
    """For strangers: each time a session is kept and the provider asked, so not without end."""
    too_often = consume_or_429(request, action="sso_begin")
    return too_often or to_provider(request, process="login", back=get_next_redirect_url(request))


@require_POST
@with_provider
def sso_confirm(request: StaffRequest) -> HttpResponseBase:
    """Asked again, there: the provider is told to let nobody through on an earlier sign-in."""
    back = get_next_redirect_url(request) or reverse("account")
    return to_provider(request, process="redirect", back=back, prompt="login", max_age="0")


@require_safe
@login_not_required
@with_provider
def sso_callback(request: HttpRequest) -> HttpResponseBase:
    view: Callable[[HttpRequest], HttpResponseBase]
    view = OAuth2CallbackView.adapter_view(IssuerAdapter(request, settings.OIDC_PROVIDER_ID))
    return view(request)
