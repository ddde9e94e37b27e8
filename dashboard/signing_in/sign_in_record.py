"""Who signs in, fails to, and signs out, for the access record: whatever the way was, Django and allauth send these."""

from functools import partial
from typing import Any

from allauth.account.signals import password_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from dashboard.signing_in.addresses import address_of
from quarantine.accounts.access_record import record, record_failure
from quarantine.models import Access, Staff

FACTOR_SIGNALS = (
    (authenticator_added, Access.FACTOR_ADDED),
    (authenticator_removed, Access.FACTOR_REMOVED),
    (authenticator_reset, Access.FACTOR_RENEWED),
)


def connect() -> None:
    user_logged_in.connect(signed_in, dispatch_uid="access-record")
    user_logged_out.connect(signed_out, dispatch_uid="access-record")
    user_login_failed.connect(failed, dispatch_uid="access-record")
    password_changed.connect(new_password, dispatch_uid="access-record")
    authentication_failed.connect(failed_second_step, dispatch_uid="access-record")
    for signal, what in FACTOR_SIGNALS:
        signal.connect(partial(factor_changed, what), dispatch_uid="access-record", weak=False)


def signed_in(*, request: HttpRequest | None, user: Staff, **_: Any) -> None:
    record(Access.SIGN_IN, by=user, address=address_of(request))


def signed_out(*, request: HttpRequest | None, user: Staff | None, **_: Any) -> None:
    """`user` is None where the session had ended by itself already."""
    if user is not None:
        record(Access.SIGN_OUT, by=user, address=address_of(request))


def new_password(*, request: HttpRequest, user: Staff, **_: Any) -> None:
    """By the person themselves; by others it is recorded where it is done."""
    record(Access.PASSWORD_CHANGED, by=user, target=user.username, address=address_of(request))


def factor_changed(
    what: Access, *, request: HttpRequest | None, user: Staff, authenticator: Authenticator, **_: Any
) -> None:
    """By the person themselves; `staff recover` says so where it is done."""
    record(what, by=user, target=user.username, address=address_of(request), factor=str(authenticator.type))


def failed_second_step(*, request: HttpRequest, user: Staff, reauthentication: bool = False, **_: Any) -> None:
    """Whoever fails here had the password right, or holds a session: of all failures the ones to look at."""
    what = Access.NOT_SHOWN if reauthentication else Access.SIGN_IN_FAILED
    record_failure(user.username, address=address_of(request), what=what)


def failed(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Django has taken the password out of the credentials. Whoever is asked again is signed in."""
    name, user = str(credentials.get("username", "")), getattr(request, "user", None)
    again = isinstance(user, Staff) and user.username == name
    record_failure(name, address=address_of(request), what=Access.NOT_SHOWN if again else Access.SIGN_IN_FAILED)
