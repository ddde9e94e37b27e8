"""Asking the provider of single sign-on again, by the way: a role that it takes from somebody must not hold until tomorrow.

A session that began there ends OIDC_SESSION_MINUTES after the provider last spoke for it. From half of that on, the
next page that is opened leads over the provider and back, where it asks nothing of whoever is signed in there still.
"""

import logging
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from dashboard.signing_in.session_store import SessionStore
from dashboard.signing_in.sessions import UNATTENDED

logger = logging.getLogger(__name__)

TRIED = "renewal_tried_at"  # in a session
BETWEEN = 300  # seconds between two tries, where the provider doesn't answer or leads nobody back


def renewal(request: HttpRequest) -> HttpResponseBase | None:
    """The way over the provider, where it is due and somebody opens a page."""
    now = time.time()
    if not is_due(request, now) or not opens_page(request) or now - request.session.get(TRIED, 0.0) < BETWEEN:
        return None
    from dashboard.signing_in.single_sign_on import TROUBLE, to_provider  # noqa: PLC0415 - it takes long to load, and nobody else needs it

    request.session[TRIED] = now
    try:
        return to_provider(request, process="renew", back=request.get_full_path())
    except TROUBLE as error:
        logger.warning("single sign-on: %s answers wrongly or not at all: %r", settings.OIDC_ISSUER, error)
        return None


def is_due(request: HttpRequest, now: float) -> bool:
    if not settings.OIDC_ISSUER or not settings.OIDC_SESSION_MINUTES or not isinstance(request.session, SessionStore):
        return False
    vouched = request.session.vouched_at()
    return vouched is not None and now - vouched > 30 * settings.OIDC_SESSION_MINUTES


def opens_page(request: HttpRequest) -> bool:
    """Not what a page asks for: it could not be led there. Browsers that don't say so are not led there either."""
    return (
        request.method == "GET"
        and request.headers.get("Sec-Fetch-Dest") == "document"
        and UNATTENDED not in request.headers
    )
