"""The access record: written here alone, in the transaction of what it tells wherever there is one.

The chain of the record is locked until that transaction ends, so it is written last in it.
"""

import ipaddress
import json
from datetime import UTC, datetime, timedelta

from django.conf import settings

from quarantine.entries import clean_text
from quarantine.models import NAME_LENGTH, Access, AccessEntry, Staff

TERMINAL = "terminal"  # whoever has a shell on the machine
HOUR = timedelta(hours=1)
# What strangers can write down here in an hour by failing to sign in; all of it is in the log.
MOST_OF_ACCOUNT, MOST_OF_STRANGERS = 20, 100
READ_AGAIN = timedelta(minutes=10)  # who goes on reading the record has read it once
# Characters of a text. An address has 64 KiB at most, its filters in JSON twice as many: nobody can push one out of sight.
LONGEST = 131_072
NETWORKS = {4: 24, 6: 48}  # bits that are kept of an address


def record(what: Access, *, by: Staff | None, target: object = "", address: str = "", **details: object) -> AccessEntry:
    """Write down what `by` did; None is whoever sits at a terminal."""
    return write(what, staff=by, who=by.username if by else TERMINAL, target=str(target), address=address, **details)


def write(
    what: Access, *, staff: Staff | None, who: str, target: str = "", address: str = "", **details: object
) -> AccessEntry:
    told = json.dumps(details, ensure_ascii=False, sort_keys=True, default=str) if details else ""
    return AccessEntry.objects.create(
        what=what,
        at=datetime.now(UTC),
        staff_id=staff.pk if staff else None,
        who=clean_text(who, NAME_LENGTH),
        target=clean_text(target, LONGEST),
        address=kept_of(address),
        details=clean_text(told, LONGEST),
    )


def record_failure(
    name: str, *, address: str = "", what: Access = Access.SIGN_IN_FAILED, factor: str = ""
) -> AccessEntry | None:
    """Somebody failed to sign in under this name, or to show that they are who has. It is bounded; None: it is full."""
    name = clean_text(name, NAME_LENGTH)
    staff = Staff.objects.filter(username=name).first()
    failed = AccessEntry.objects.filter(what=what)
    alike, most = (
        (failed.filter(who=name), MOST_OF_ACCOUNT) if staff else (failed.filter(staff=None), MOST_OF_STRANGERS)
    )
    recent = alike.filter(at__gt=datetime.now(UTC) - HOUR).order_by("-pk").values_list("pk")[:most].count()
    if recent >= most:
        return None
    told = {"factor": factor} if factor else {}
    if recent == most - 1:
        told["more"] = "Further ones in this hour are in the log alone."
    return write(what, staff=staff, who=name, address=address, **told)


def record_reading(staff: Staff, *, filters: str, address: str = "") -> None:
    """That somebody reads the record; who goes on reading the same is not written down with each page."""
    mine = AccessEntry.objects.filter(what=Access.RECORD_READ, who=staff.username).order_by("-pk")
    last = mine.first()
    if last is None or last.at < datetime.now(UTC) - READ_AGAIN or last.target != filters:
        record(Access.RECORD_READ, by=staff, target=filters, address=address)


def kept_of(address: str) -> str:
    """As much of an address as ACCESS_RECORD_ADDRESSES allows."""
    try:
        told = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if settings.ACCESS_RECORD_ADDRESSES == "full":
        return str(told)
    if settings.ACCESS_RECORD_ADDRESSES == "none":
        return ""
    return str(ipaddress.ip_network((told, NETWORKS[told.version]), strict=False))
