"""Passkeys that do not fit, on record as passwords that don't: allauth, which checks them, tells of codes alone."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AuthenticateWebAuthnForm, LoginWebAuthnForm
from allauth.mfa.webauthn.internal.auth import extract_user_from_response
from django.core.exceptions import ValidationError

from dashboard.signing_in.addresses import address_of
from dashboard.signing_in.factors import FactorAdapter
from quarantine.accounts.access_record import record_failure
from quarantine.models import Staff


class PasskeyForm(AuthenticateWebAuthnForm):
    """After the password. Whoever fails here had that right."""

    def clean_credential(self) -> Authenticator:
        try:
            found: Authenticator = super().clean_credential()
        except ValidationError as error:
            if error.code == "incorrect_code":  # and not one too many attempts, which was not looked at
                self.failed()
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # nothing like an answer of a browser
            self.failed()
            raise FactorAdapter().validation_error("incorrect_code") from error
        return found

    def failed(self) -> None:
        staff = self.user or named_by(self.cleaned_data["credential"])
        name = staff.username if staff else ""
        get_adapter().authentication_failed(context.request, username=name)  # into the log
        record_failure(name, address=address_of(context.request), factor=str(Authenticator.Type.WEBAUTHN))


class PasskeySignInForm(PasskeyForm, LoginWebAuthnForm):
    """Instead of name and password."""


def named_by(credential: Any) -> Staff | None:
    """Whose it says it is, which anybody can write: no more than a name that was typed."""
    try:
        staff: Staff = extract_user_from_response(credential)
    except (ValidationError, AttributeError):  # nobody's
        return None
    return staff
