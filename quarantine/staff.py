"""The people who work here, and what each may do. Every rule about roles is asked of `require`."""

from quarantine.models import Role, Staff


class StaffError(Exception):
    """What was asked of an account can't be done; the text is a sentence for whoever asked."""


class NotAllowedError(Exception):
    """This person's role does not include what they tried."""


def require(staff: Staff, role: Role) -> None:
    """Raise NotAllowedError unless the account is active and its role includes `role`."""
    if not staff.may(role):
        msg = f"This needs the role {role.label.lower()}."
        raise NotAllowedError(msg)
