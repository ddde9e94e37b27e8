"""Files that were quarantined and are back: Synapse forgets a hash with its last quarantined row, the ledger doesn't.

Media is back when it has the sha256 of media whose last change that is no deletion was a quarantine,
and is not quarantined itself. It is reported; and quarantined, where an admin had that turned on.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from django.db import transaction

from quarantine import ledger
from quarantine.accounts.access_record import record
from quarantine.accounts.staff import NotAllowedError, account_of_automation, require
from quarantine.acting import actions
from quarantine.acting.actions import ActionError, known_hash
from quarantine.acting.aims import Aim
from quarantine.acting.plans import PlanError, plan
from quarantine.entries import clean_mxc
from quarantine.homeserver import media
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import Media
from quarantine.models import Access, Action, Capability, Category, Change, Ledger, Return, Staff, Verb

LOOKED_AT = 500  # open ones each time
REASON = "The same file was quarantined before and is back."


def note(found: Iterable[Media], *, settle: Callable[[], None]) -> list[Return]:
    """Report those of these rows that are back and were not reported yet. `settle` follows the feed to its end first."""
    candidates = {row.mxc: row for row in found if visible(row)}
    known = Return.objects.filter(media_id__in=[mxc.media_id for mxc in candidates])
    fresh = candidates.keys() - {one.mxc for one in known}
    if not fresh:
        return []
    settle()  # a release that is under way is no return
    rows = [row for row in media.read(fresh).values() if visible(row)]
    quarantined = {sha256 for sha256 in {row.sha256 for row in rows} if last_was_quarantine(sha256)}
    back = [
        Return(origin=row.mxc.origin, media_id=row.mxc.media_id, sha256=row.sha256, seen_at=datetime.now(UTC))
        for row in rows
        if row.sha256 in quarantined
    ]
    with transaction.atomic():  # or a crash between the two would leave them to people
        Return.objects.bulk_create(back)
        if back and ledger.current().requarantine:
            requarantine(back)
    return back


def visible(row: Media) -> bool:
    """Whether people can fetch it, and nobody protected it on purpose."""
    mine = row.quarantined_by is None and not row.protected
    return mine and known_hash(row) is not None and clean_mxc(row.mxc) == row.mxc


def last_was_quarantine(sha256: str | None) -> bool:
    last = Change.objects.filter(sha256=sha256, deleted=False).order_by("-stream_id").first()
    return last is not None and last.quarantined


def settle_old() -> None:
    """Strike out what is quarantined or gone by now, or protected."""
    opened = list(Return.objects.filter(settled_at=None).order_by("pk")[:LOOKED_AT])
    rows = media.read([one.mxc for one in opened]) if opened else {}
    over = [one.pk for one in opened if one.mxc not in rows or not visible(rows[one.mxc])]
    Return.objects.filter(pk__in=over).update(settled_at=datetime.now(UTC))


def requarantine(back: list[Return]) -> Action | None:
    """One action for all of these, left to the process that follows; None where nothing could be begun."""
    category = Category.objects.filter(retired=False).order_by("-order").values_list("slug", flat=True).first()
    try:
        shown = plan(verb=Verb.QUARANTINE, aim=Aim(media=tuple(one.mxc for one in back)), homeserver=gateway())
        return actions.start(shown, staff=account_of_automation(), category=category or "", reason=REASON)
    except (ActionError, PlanError, HomeserverError, NotAllowedError):  # they stay reported, and staff decide
        return None


def set_requarantine(*, on: bool, staff: Staff) -> None:
    """Whether what is back is quarantined without asking. NotAllowedError for whoever may not."""
    require(staff, Capability.MANAGE_SETTINGS)
    with transaction.atomic():
        if Ledger.objects.exclude(requarantine=on).update(requarantine=on):
            record(Access.REQUARANTINE_SET, by=staff, on=on)
