"""The staff of the sample: names in a history. Nobody can sign in with these accounts."""

from quarantine.models import Role, Staff
from quarantine.sample.names import COLLEAGUES


def make_colleagues() -> list[Staff]:
    """The accounts, made if they are not there; disabled, and without a password."""
    found = []
    for name in COLLEAGUES:
        defaults = {"role": Role.LEAD, "is_active": False, "password": "!"}
        staff, _ = Staff.objects.get_or_create(username=name, defaults=defaults)
        found.append(staff)
    return found
