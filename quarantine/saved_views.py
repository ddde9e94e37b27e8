"""Saved views: filters under a name, for oneself or for everybody. Every rule about them is here.

The query string is checked by whoever knows the filters; here it is text.
"""

from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import NotAllowedError, require
from quarantine.models import VIEW_NAME_LENGTH, Access, Capability, SavedView, Staff

MOST = 100  # of one person
LONGEST_QUERY = 8_000  # characters: an address that browsers and proxies still carry


class SavedViewError(Exception):
    """It can't be saved as asked; the text is a sentence for whoever asked."""


def visible_to(staff: Staff) -> QuerySet[SavedView]:
    """Their own and everybody's, by name."""
    return SavedView.objects.filter(Q(staff=staff) | Q(shared=True))


def save_view(*, staff: Staff, name: str, query: str, shared: bool) -> SavedView:
    """Raises SavedViewError; NotAllowedError for whoever may not keep or share it."""
    require(staff, Capability.KEEP_VIEWS)
    if shared:
        require(staff, Capability.SHARE_VIEWS)
    if len(query) > LONGEST_QUERY:
        msg = gettext("These are too many filters to be one address.")
        raise SavedViewError(msg)
    if SavedView.objects.filter(staff=staff).count() >= MOST:
        msg = gettext("You have {number} views already. Delete one first.").format(number=MOST)
        raise SavedViewError(msg)
    view = SavedView(staff=staff, query=query, shared=shared, created_at=datetime.now(UTC))
    return named(view, name, by=staff, was="")


def change_view(view: SavedView, *, staff: Staff, name: str, shared: bool) -> SavedView:
    """Rename it, share it, or keep it to oneself."""
    require_ownership(view, staff)
    if shared and not view.shared:
        require(staff, Capability.SHARE_VIEWS)
    was, view.shared = view.name if view.shared else "", shared
    return named(view, name, by=staff, was=was)


def delete_view(view: SavedView, *, staff: Staff) -> None:
    require_ownership(view, staff)
    with transaction.atomic():
        view.delete()
        if view.shared:
            note_shared(view, by=staff, before=view.name)


def may_change(view: SavedView, staff: Staff) -> bool:
    """One's own; a lead also what others share, because those who shared one leave."""
    own = view.staff_id == staff.pk and staff.may(Capability.KEEP_VIEWS)
    return own or (view.shared and staff.may(Capability.MANAGE_SHARED_VIEWS))


def require_ownership(view: SavedView, staff: Staff) -> None:
    if not may_change(view, staff):
        msg = "This view is not yours to change."
        raise NotAllowedError(msg)


def named(view: SavedView, name: str, *, by: Staff, was: str) -> SavedView:
    """Save it under this name. `was`: what everybody saw it under before."""
    view.name = " ".join(name.split())
    if not view.name or not view.name.isprintable() or len(view.name) > VIEW_NAME_LENGTH:
        msg = gettext("A view needs a name of 1 to {number} visible characters.").format(number=VIEW_NAME_LENGTH)
        raise SavedViewError(msg)
    try:
        with transaction.atomic():
            view.save()
            if was or view.shared:
                names = {"before": was, "after": view.name if view.shared else ""}
                note_shared(view, by=by, **{when: each for when, each in names.items() if each})
    except IntegrityError as error:
        msg = gettext("There is a view “{name}” already.").format(name=view.name)
        raise SavedViewError(msg) from error
    return view


def note_shared(view: SavedView, *, by: Staff, **names: str) -> None:
    """On the access record: what everybody is led to look at. `before` and `after`: the names, where it was and is shared."""
    record(Access.SHARED_VIEW, by=by, target=view.name, owner=view.staff.username, filters=view.query, **names)
