"""Signing in: django-allauth, narrowed to what this site offers.

No sign-up, no e-mail, no way in but a name and a password. What is overridden here is what
allauth leaves looser than we want: where `next` may lead, and what the throttle counts by.
"""

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.core import context
from allauth.core.internal.ratelimit import consume
from django.contrib import messages
from django.contrib.auth.signals import user_login_failed
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext, gettext_lazy

from dashboard.signing_in.devices import known_device, remember_device
from dashboard.signing_in.freshness import is_fresh, note_asked_there
from dashboard.signing_in.unsent import tell_unsent
from quarantine.models import Staff

logger = logging.getLogger(__name__)


class SignInForm(LoginForm):
    """allauth's form under the names that password managers and scripts expect."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = gettext("User name")
        self.fields["login"].widget.attrs |= {"spellcheck": "false", "autocapitalize": "none"}
        self.fields["password" if self.is_bound else "login"].widget.attrs["autofocus"] = True
        dress(self)

    def add_prefix(self, field_name: str) -> str:
        return "username" if field_name == "login" else str(super().add_prefix(field_name))


class PasswordForm(ChangePasswordForm):
    """allauth's form in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in (
            ("oldpassword", gettext("Current password")),
            ("password1", gettext("New password")),
            ("password2", gettext("New password again")),
        ):
            self.fields[name].label = label
        dress(self)


def dress(form: Form) -> None:
    """Our class, and labels instead of placeholders, which vanish while one types."""
    form.label_suffix = ""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)
        field.widget.attrs["class"] = "input"


class StaffAdapter(DefaultAccountAdapter):
    """The hooks allauth calls while somebody signs in."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": gettext_lazy("That user name and password do not match."),
        "too_many_login_attempts": gettext_lazy("Too many attempts. Wait ten minutes, then try again."),
        "enter_current_password": gettext_lazy("That is not your current password."),
    }

    def is_safe_url(self, url: str | None) -> bool:
        """Whether `url` stays on this origin; allauth would also follow every allowed and trusted host."""
        request = context.request
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """What allauth asks before second factors change. It would not count the sign-in itself."""
        return not is_fresh(context.request)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Count by name, and apart where somebody signed in to it before. allauth adds what a client may write."""
        name = str(credentials.get("username", "")).lower()
        return f"{name}\n{known_device(request, name)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count by address too: but one office may share an address, so not in a browser that is known."""
        self._from_address = None
        if not known_device(request, str(credentials.get("username", ""))):
            self._from_address = consume(request, app="allauth.account", action="login_failed_from")
            if not self._from_address:
                raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def _rollback_login_failed_rl_usage(self) -> None:
        super()._rollback_login_failed_rl_usage()
        if self._from_address:
            self._from_address.rollback()

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Leave out what the next page shows anyway; after signing out there is no session to keep it in."""
        if message_template not in {"account/messages/logged_in.txt", "account/messages/logged_out.txt"}:
            super().add_message(request, level, message_template, *args, **kwargs)

    def post_login(self, request: HttpRequest, user: Staff, **details: Any) -> HttpResponse:
        """Take the occasion to forget sessions that have run out: an index away, and nobody else does it."""
        request.session.clear_expired()
        by_provider = (details.get("signal_kwargs") or {}).get("sociallogin")
        if by_provider:
            note_asked_there(request, by_provider.state.get("auth_time"))
        response: HttpResponse = super().post_login(request, user, **details)
        remember_device(request, response, user.username)
        tell_unsent(request, response)
        return response

    def respond_user_inactive(self, request: HttpRequest, user: Staff) -> HttpResponse:
        """By a passkey or at a provider: whoever gets so far has shown that the account is theirs, and may know."""
        user_login_failed.send(sender=__name__, credentials={"username": user.username}, request=request)
        messages.error(request, gettext("This account is disabled."))
        return redirect("account_login")

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        # repr: what was typed may hold line breaks, and a log line must stay one line.
        who, where = credentials.get("username"), self.get_client_ip(request)
        logger.warning("failed sign-in as %r from %s", who, where, extra={"personal": True})
