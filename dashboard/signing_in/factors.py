"""Second factors: authenticator apps, passkeys and recovery codes, by django-allauth; here is what we decide otherwise."""

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING

from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dashboard.signing_in.sessions import browser_name
from quarantine.models import Staff

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)  # recovery codes alone are none


class FactorAdapter(DefaultMFAAdapter):
    """The hooks allauth calls while second factors are set up and used."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("That code does not fit. Codes of an app change every 30 seconds; each works once."),
        "cannot_delete_authenticator": _("A second factor is required here: add another before you remove the last."),
    }

    def encrypt(self, text: str) -> str:
        """So that whoever reads the database or a backup of it holds no second factor."""
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """With another SECRET_KEY than it was kept with, no code fits any more; `staff recover` helps then."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - loaded by those who have a second factor

        try:
            return cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def build_totp_svg(self, url: str) -> str:
        """The outline alone, a path: the template draws it, since our policy admits no data: image."""
        return "".join(f"M{x} {y}h1v1h-1z" for y, row in enumerate(qr_rows(url)) for x, dark in enumerate(row) if dark)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        others = Authenticator.objects.filter(user_id=authenticator.user_id, type__in=FACTORS)
        return not settings.MFA_REQUIRED or others.exclude(pk=authenticator.pk).exists()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's name
        return browser_name(self.request.headers.get("User-Agent", ""))

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": settings.MFA_TOTP_ISSUER}


def qr_rows(text: str) -> list[list[bool]]:
    from qrcode.main import QRCode  # noqa: PLC0415 - loaded by those who set up an app

    code = QRCode(border=0)
    code.add_data(text)
    rows: list[list[bool]] = code.get_matrix()
    return rows


def cipher() -> "Fernet":
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as above

    key = hashlib.sha256(b"second factors:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def factors_of(staff: Staff) -> list[Authenticator]:
    """Oldest first, without the recovery codes."""
    return list(Authenticator.objects.filter(user=staff, type__in=FACTORS).order_by("pk"))


def has_factor(staff: Staff) -> bool:
    found: bool = Authenticator.objects.filter(user=staff, type__in=FACTORS).exists()
    return found


def lacks_factor(request: HttpRequest) -> bool:
    """Whether this session must first set up the second factor that is required.

    Whoever came by the provider of single sign-on showed there what it asks for.
    """
    if not settings.MFA_REQUIRED or not isinstance(request.user, Staff):
        return False
    return not came_by_provider(request) and not has_factor(request.user)


def is_providers(staff: Staff) -> bool:
    """Whether the provider of single sign-on alone says who gets in: a passkey must not outlive its word."""
    return not staff.has_usable_password() and SocialAccount.objects.filter(user=staff).exists()


def came_by_provider(request: HttpRequest) -> bool:
    records = get_authentication_records(request, request.user)
    return any(record["method"] == "socialaccount" for record in records)
