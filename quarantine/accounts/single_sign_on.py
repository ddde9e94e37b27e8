"""Accounts that a provider of single sign-on vouches for: which role its word gives, and whose account it opens."""

from collections.abc import Mapping

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from quarantine.accounts.access_record import write
from quarantine.accounts.staff import StaffError, check_name, end_sessions
from quarantine.models import Access, Role, Staff

PROVIDER = "single sign-on"  # who did it, on record


def role_given(claims: Mapping[str, object]) -> Role | None:
    """By the first of OIDC_ROLES that the claim holds; None where it holds none."""
    held = values_of(claims, settings.OIDC_ROLE_CLAIM)
    return next((Role(role) for value, role in settings.OIDC_ROLES.items() if value in held), None)


def values_of(claims: Mapping[str, object], name: str) -> set[str]:
    """Of a claim that is one text or a list of them; a dotted name leads into claims that hold others."""
    found: object = claims.get(name)
    if found is None and "." in name:
        outer, _, inner = name.partition(".")
        deeper = claims.get(outer)
        return values_of(deeper, inner) if isinstance(deeper, Mapping) else set()
    values = found if isinstance(found, list) else [found]
    return {value for value in values if isinstance(value, str)}


def open_account(*, name: str, role: Role) -> Staff:
    """A new account without a password. Raises StaffError; also where the name is taken, whoever has it."""
    staff = Staff(username=name, role=role)
    check_name(staff)
    staff.set_unusable_password()
    try:
        with transaction.atomic():
            staff.save(force_insert=True)
            write(Access.ACCOUNT_ADDED, staff=None, who=PROVIDER, target=name, role=role)
    except IntegrityError as error:  # somebody else was quicker
        msg = gettext("There is an account {name!r} already.").format(name=name)
        raise StaffError(msg) from error
    return staff


def follow_role(staff: Staff, role: Role | None) -> None:
    """What the provider says now is what counts, be it the last admin; without a role every session ends."""
    if role is None:
        end_sessions(staff)
    elif staff.role != role:
        before, staff.role = staff.role, role
        with transaction.atomic():
            staff.save(update_fields=["role"])
            write(Access.ROLE_CHANGED, staff=None, who=PROVIDER, target=staff.username, before=before, after=role)
