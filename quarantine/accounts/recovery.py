"""Ways in from a terminal, for somebody who lost theirs, and for accounts that become a provider's."""

from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import StaffError, StaffInputError, end_sessions, find, refuse_reserved, set_checked
from quarantine.models import Access, Staff

SUBJECT_LENGTH = 191


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    staff: Staff
    factors: list[str]  # what they were, in words
    sessions: int


def recover(*, name: str, password: str) -> Recovered:
    """A new password, no second factor, no session: all or nothing. Role, and being disabled, stay as they are."""
    refuse_reserved(name)
    with transaction.atomic():
        staff = find(name)
        set_checked(staff, password, any_password=False)
        staff.save(update_fields=["password"])
        factors = Authenticator.objects.filter(user=staff)
        removed = [str(factor.get_type_display()) for factor in factors.order_by("pk")]
        factors.delete()
        sessions = UserSession.objects.filter(user=staff).count()
        end_sessions(staff)
        record(Access.PASSWORD_CHANGED, by=None, target=name, factors_removed=removed, sessions_ended=sessions)
    return Recovered(staff=staff, factors=removed, sessions=sessions)


def link(*, name: str, subject: str) -> Staff:
    """From now on whom the provider calls `subject` signs in to this account. Raises StaffError."""
    refuse_reserved(name)
    if not settings.OIDC_ISSUER:
        msg = gettext("There is no provider: OIDC_ISSUER is not set.")
        raise StaffError(msg)
    if not subject.isprintable() or not 0 < len(subject) <= SUBJECT_LENGTH:
        msg = gettext("The provider's id of a person has 1 to {most} characters.").format(most=SUBJECT_LENGTH)
        raise StaffInputError(msg)
    staff = find(name)
    accounts = SocialAccount.objects.filter(provider=settings.OIDC_PROVIDER_ID)
    try:
        with transaction.atomic():
            if accounts.filter(user=staff).exists():
                msg = gettext("{name!r} belongs to somebody at the provider already.").format(name=name)
                raise StaffError(msg)
            SocialAccount.objects.create(provider=settings.OIDC_PROVIDER_ID, uid=subject, user=staff)
            record(Access.ACCOUNT_LINKED, by=None, target=name, subject=subject)
    except IntegrityError as error:
        msg = gettext("{subject!r} has another account here.").format(subject=subject)
        raise StaffError(msg) from error
    return staff
