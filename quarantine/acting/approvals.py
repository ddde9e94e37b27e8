"""The two-person rule: what is large waits until somebody else has seen the same plan and approved it.

Off unless TWO_PERSON_RULE is on. Nothing of a held action is done: nobody takes up work that is HELD.
A ruling and what follows from it are one transaction, so a killed process leaves both or neither.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from quarantine.accounts.access_record import write
from quarantine.accounts.staff import require
from quarantine.acting.actions import ActionError, change, clean_note
from quarantine.acting.aims import Aim
from quarantine.acting.plans import Plan, plan
from quarantine.acting.two_persons import accounts_of
from quarantine.homeserver.gateway import Homeserver
from quarantine.models import Access, Action, Capability, Fate, Proposal, Ruling, Staff, Verb, Work

EXPIRED_AT_ONCE = 100
MOST_COUNTED = 100


class RulingError(ActionError):
    """It can't be ruled so; the text is a sentence for whoever asked."""


def awaiting(staff: Staff) -> int:
    """How many held actions this person could rule on; counts no further than MOST_COUNTED."""
    if not staff.may(Capability.APPROVE):
        return 0
    return open_proposals().exclude(action__staff__in=accounts_of(staff))[:MOST_COUNTED].count()


def open_proposals() -> QuerySet[Work]:
    return Work.objects.filter(status=Work.Status.HELD, action__proposal__expires_at__gt=datetime.now(UTC))


def plan_again(action: Action, *, homeserver: Homeserver) -> Plan:
    """What a held action would do now: the same media that was asked for and is not settled, as it is by now."""
    asked = action.intents.filter(fate=Fate.PENDING).order_by("pk")
    return plan(verb=Verb(action.verb), aim=Aim(media=tuple(intent.mxc for intent in asked)), homeserver=homeserver)


def approve(action: Action, *, staff: Staff, note: str, seen: str, homeserver: Homeserver) -> None:
    """Let it begin. `seen` is the digest of the plan that this person saw, which must still be the plan.

    Raises NotAllowedError, and RulingError where it is one's own, or over, or no longer as seen.
    """
    require(staff, Capability.APPROVE)
    refuse_own(action, staff)
    asker = Staff.objects.get(pk=action.staff_id)
    if not asker.may(Capability.ACT):
        msg = gettext(
            "Who asked for this may no longer act: the account was disabled, or has another role. Decline it."
        )
        raise RulingError(msg)
    note = clean_note(note)
    shown = plan_again(action, homeserver=homeserver)
    if shown.digest != seen:
        msg = gettext("This is no longer what you saw: something changed meanwhile. Look again, then decide.")
        raise RulingError(msg)
    if not shown.affected:
        raise RulingError(gettext("Nothing of it would change any more: decline it."))
    rule(action, Ruling.Kind.APPROVED, staff=staff, note=note, affected=shown.affected)


def decline(action: Action, *, staff: Staff, note: str) -> None:
    """Have it never be done. Raises NotAllowedError and RulingError."""
    require(staff, Capability.APPROVE)
    refuse_own(action, staff)
    note = clean_note(note)
    if not note:
        raise RulingError(gettext("Say why: who asked for it should know the reason."))
    rule(action, Ruling.Kind.DECLINED, staff=staff, note=note)


def withdraw(action: Action, *, staff: Staff) -> None:
    """Take back what one asked for oneself. Raises NotAllowedError and RulingError."""
    require(staff, Capability.ACT)
    if action.staff_id != staff.pk:
        raise RulingError(gettext("Only who asked for it can withdraw it; you can decline it."))
    rule(action, Ruling.Kind.WITHDRAWN, staff=staff)


def expire_late() -> None:
    """What nobody ruled on in time is over. Called by the process that follows; `rule` minds the time by itself."""
    late = Work.objects.filter(status=Work.Status.HELD, action__proposal__expires_at__lte=datetime.now(UTC))
    for work in late.select_related("action")[:EXPIRED_AT_ONCE]:
        record(work.action, Ruling.Kind.EXPIRED)


def refuse_own(action: Action, staff: Staff) -> None:
    if action.staff_id in accounts_of(staff):
        raise RulingError(gettext("You asked for this yourself: somebody else has to look at it."))


def rule(action: Action, kind: Ruling.Kind, *, staff: Staff, note: str = "", affected: int | None = None) -> None:
    proposal = Proposal.objects.filter(action=action).first()
    if proposal is None:
        raise RulingError(gettext("This action needs no approval."))
    late = proposal.is_late(datetime.now(UTC))
    if late:
        record(action, Ruling.Kind.EXPIRED)
    if late or not record(action, kind, staff=staff, note=note, affected=affected):
        raise RulingError(already(action))


def record(action: Action, kind: Ruling.Kind, **said: Any) -> bool:
    """Whether this ruling is the one; False where another was there before."""
    now = datetime.now(UTC)
    begun = kind is Ruling.Kind.APPROVED
    follows: dict[str, object] = (
        {"status": Work.Status.WAITING} if begun else {"status": Work.Status.CANCELLED, "ended_at": now}
    )
    try:
        with transaction.atomic():
            Ruling.objects.create(action=action, kind=kind, ruled_at=now, **said)
            change(action, {Work.Status.HELD}, **follows)
            write_down(action, kind, **said)
    except IntegrityError:
        return False
    return True


def write_down(action: Action, kind: Ruling.Kind, *, staff: Staff | None = None, **said: Any) -> None:
    """In the access record, whose chain vouches for it."""
    who = staff.username if staff else ""
    write(Access.RULING, staff=staff, who=who, target=str(action.pk), ruling=kind.value, **said)


def already(action: Action) -> str:
    """Why it is too late to rule."""
    ruling = Ruling.objects.select_related("staff").get(action=action)
    if ruling.staff is None:
        return gettext("It has expired: nobody approved it in time. It can be asked for again.")
    told = {
        Ruling.Kind.APPROVED: gettext("It is too late for that: {name} has approved it already."),
        Ruling.Kind.DECLINED: gettext("It is too late for that: {name} has declined it already."),
        Ruling.Kind.WITHDRAWN: gettext("It is too late for that: {name} has withdrawn it already."),
    }
    return told[Ruling.Kind(ruling.kind)].format(name=ruling.staff.username)
