"""Who may go on watching. A page is checked when it is asked for; a stream lasts for hours, so it is checked again."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

from dashboard.signing_in.factors import lacks_factor
from dashboard.signing_in.sessions import own_key
from quarantine.models import Capability, Staff


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What let a reader in: this session, of this account with this password."""

    session_key: str  # as the database has it
    staff_id: int
    auth_hash: str  # of the password: changing it ends the streams of every session
    needed: Capability = Capability.READ  # what its role has to include to the end


def admission(request: HttpRequest, needed: Capability = Capability.READ) -> Admission | None:
    """What lets this request watch; None for strangers, without the role for it, or the second factor required."""
    staff = request.user
    if not isinstance(staff, Staff) or not staff.may(needed) or lacks_factor(request):
        return None
    return Admission(
        session_key=own_key(request), staff_id=staff.pk, auth_hash=staff.get_session_auth_hash(), needed=needed
    )


def still_admitted(admissions: AbstractSet[Admission]) -> set[Admission]:
    """Those that would be let in again now; two queries, however many there are."""
    keys = {each.session_key for each in admissions}
    going_on = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    sessions = set(going_on.values_list("session_key", flat=True))
    accounts = Staff.objects.in_bulk({each.staff_id for each in admissions})
    hashes = {pk: staff.get_session_auth_hash() for pk, staff in accounts.items()}
    same = {each for each in admissions if each.session_key in sessions and hashes.get(each.staff_id) == each.auth_hash}
    return {each for each in same if accounts[each.staff_id].may(each.needed)}
