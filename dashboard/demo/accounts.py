"""The accounts one signs in to the demo with."""

from django.conf import settings

from quarantine.accounts.staff import add_staff, end_sessions, set_checked
from quarantine.models import Role, Staff

DEFAULT_PASSWORD = "demo"  # noqa: S105 - printed on the screen, and never served beyond this machine
ROLES = {str(role): role for role in (Role.ADMIN, Role.LEAD, Role.MODERATOR, Role.VIEWER, Role.AUDITOR)}


def make_accounts() -> list[Staff]:
    """One for each role, with the password of the settings; a changed one is applied."""
    return [ensure_account(name, role) for name, role in ROLES.items()]


def ensure_account(name: str, role: Role) -> Staff:
    password = settings.DEMO_PASSWORD
    staff = Staff.objects.filter(username=name).first()
    if staff is None:
        return add_staff(name=name, role=role, password=password, any_password=True)
    if not staff.check_password(password):
        set_checked(staff, password, any_password=True)
        end_sessions(staff)
    staff.role, staff.is_active = role, True
    staff.save(update_fields=["password", "role", "is_active"])
    return staff
