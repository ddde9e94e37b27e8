"""The people who work here, and what each may do. Every rule about that is asked of `require`."""

from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.models import Access, Capability, Role, Staff
from quarantine.models.access import includes, roles_that_may

PREFERENCES = {"single_keys", "previews", "language", "local_times"}
# Accounts that act and that nobody can sign in to: made when first needed.
TERMINAL, AUTOMATION = "terminal", "automation"
RESERVED = {TERMINAL, AUTOMATION}


class StaffError(Exception):
    """What was asked of an account can't be done; the text is a sentence for whoever asked."""


class StaffInputError(StaffError):
    """What was given can't be right, or names an account that is not there."""


class NotAllowedError(Exception):
    """This person's role does not include what they tried."""


def require(staff: Staff, capability: Capability) -> None:
    """Raise NotAllowedError unless the account is active and its role includes this."""
    if not staff.is_active:
        msg = gettext("The account %(name)s is disabled.") % {"name": staff.username}
        raise NotAllowedError(msg)
    if not staff.may(capability):
        names = {"role": staff.get_role_display().lower(), "what": capability.label}
        raise NotAllowedError(gettext("The role %(role)s may not %(what)s.") % names)


def require_manager(by: Staff | None) -> None:
    """`by` is None at a terminal: whoever has a shell here needs no account."""
    if by is not None:
        require(by, Capability.MANAGE_ACCOUNTS)


def add_staff(*, name: str, role: Role, password: str, any_password: bool = False, by: Staff | None = None) -> Staff:
    """Open an account. `any_password` is for the demo, which prints its passwords on the screen.

    A name that differs from another's only by case is refused: in a history the two read the same.
    """
    require_manager(by)
    staff = Staff(username=name, role=role)
    check_name(staff)
    set_checked(staff, password, any_password=any_password)
    try:
        with transaction.atomic():
            staff.save(force_insert=True)
            record(Access.ACCOUNT_ADDED, by=by, target=name, role=role)
    except IntegrityError as error:  # somebody else was quicker
        msg = gettext("There is an account {name!r} already.").format(name=name)
        raise StaffError(msg) from error
    return staff


def account_of_terminal() -> Staff:
    """On whose behalf the commands act where no account is named."""
    return reserved_account(TERMINAL, Role.LEAD)


def account_of_automation() -> Staff:
    """On whose behalf the dashboard acts by itself, where an admin had that turned on."""
    return reserved_account(AUTOMATION, Role.MODERATOR)


def reserved_account(name: str, role: Role) -> Staff:
    """May act, and nobody can sign in to it. One that was made by an earlier version gets its role here."""
    staff, _made = Staff.objects.get_or_create(username=name, defaults={"role": role, "password": make_password(None)})
    if staff.role != role:
        staff.role = role
        staff.save(update_fields=["role"])
    return staff


def disable_staff(name: str, *, by: Staff | None = None) -> Staff:
    """Shut the account and end its sessions; what it did keeps its name."""
    require_manager(by)
    with transaction.atomic():
        staff = find(name)
        keep_one_admin(without=staff)
        staff.is_active = False
        staff.save(update_fields=["is_active"])
        end_sessions(staff)
        record(Access.ACCOUNT_DISABLED, by=by, target=name)
    return staff


def enable_staff(name: str, *, by: Staff | None = None) -> Staff:
    """Open a disabled account again, with the password and the role it had."""
    require_manager(by)
    with transaction.atomic():
        staff = find(name)
        staff.is_active = True
        staff.save(update_fields=["is_active"])
        record(Access.ACCOUNT_ENABLED, by=by, target=name, role=staff.role)
    return staff


def set_role(*, name: str, role: Role, by: Staff | None = None) -> Staff:
    """Takes effect with the person's next request; their sessions go on."""
    require_manager(by)
    refuse_reserved(name)
    with transaction.atomic():
        staff = find(name)
        if not includes(role, Capability.MANAGE_ACCOUNTS):
            keep_one_admin(without=staff)
        before, staff.role = staff.role, role
        staff.save(update_fields=["role"])
        record(Access.ROLE_CHANGED, by=by, target=name, before=before, after=role)
    return staff


def set_preferences(staff: Staff, **chosen: object) -> None:
    """How the pages work for this person: any of PREFERENCES."""
    for name in PREFERENCES & chosen.keys():
        setattr(staff, name, chosen[name])
    staff.save(update_fields=sorted(PREFERENCES & chosen.keys()))


def set_password(*, name: str, password: str, by: Staff | None = None) -> Staff:
    """Replace a forgotten password, and end every session that began with the old one."""
    require_manager(by)
    refuse_reserved(name)
    with transaction.atomic():
        staff = find(name)
        set_checked(staff, password, any_password=False)
        staff.save(update_fields=["password"])
        end_sessions(staff)
        record(Access.PASSWORD_CHANGED, by=by, target=name)
    return staff


def end_sessions(staff: Staff) -> None:
    for session in UserSession.objects.filter(user=staff):
        end_session(session)


def end_session(session: UserSession) -> None:
    """By what the database has of its key. Not allauth's `end`: that takes it for the key."""
    Session.objects.filter(pk=session.session_key).delete()
    session.delete()


def find(name: str) -> Staff:
    staff = None if "\0" in name else Staff.objects.filter(username=name).first()  # PostgreSQL refuses to look for NUL
    if staff is None:
        msg = gettext("There is no account {name!r}.").format(name=name)
        raise StaffInputError(msg)
    return staff


def keep_one_admin(*, without: Staff) -> None:
    """Refuse if no active admin but this one is left. The rows are locked: two admins can't shut out each other."""
    able = roles_that_may(Capability.MANAGE_ACCOUNTS)
    admins = Staff.objects.select_for_update().filter(role__in=able, is_active=True).order_by("pk")
    if {admin.pk for admin in admins} == {without.pk}:
        msg = gettext("{name!r} is the last admin. Make someone else an admin first.").format(name=without.username)
        raise StaffError(msg)


def refuse_reserved(name: str) -> None:
    if name.lower() in RESERVED:
        msg = gettext("{name!r} is not a person's account: the dashboard acts in its name.").format(name=name)
        raise StaffInputError(msg)


def check_name(staff: Staff) -> None:
    refuse_reserved(staff.username)
    try:
        staff.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise StaffInputError(" ".join(error.messages)) from error
    taken = Staff.objects.filter(username__iexact=staff.username).first()
    if taken:
        msg = gettext("There is an account {name!r} already.").format(name=taken.username)
        if not taken.is_active:
            msg += " " + gettext("It is disabled; it can be enabled again.")
        raise StaffError(msg)


def set_checked(staff: Staff, password: str, *, any_password: bool) -> None:
    try:
        if not any_password:
            validate_password(password, user=staff)
    except ValidationError as error:
        raise StaffInputError(" ".join(error.messages)) from error
    staff.set_password(password)
