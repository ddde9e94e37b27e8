"""Saved views as a person sees them: which there are, which one is shown, and what each leaves out."""

from dataclasses import dataclass

from django.http import QueryDict

from dashboard.search.filters import ChangeFilter, Chip
from quarantine.models import Change, SavedView, Staff
from quarantine.saved_views import may_change, visible_to


@dataclass(frozen=True, slots=True)
class Kept:
    """One saved view."""

    view: SavedView
    mine: bool
    current: bool
    may_change: bool

    @property
    def chips(self) -> list[Chip]:
        """Its filters in words; empty also when this version no longer understands them."""
        return list(ChangeFilter(QueryDict(self.view.query), queryset=Change.objects.all()).chips)


@dataclass(frozen=True, slots=True)
class Shelf:
    views: list[Kept]

    @property
    def current(self) -> SavedView | None:
        return next((kept.view for kept in self.views if kept.current), None)

    @property
    def mine(self) -> list[Kept]:
        return [kept for kept in self.views if kept.mine]

    @property
    def others(self) -> list[Kept]:
        return [kept for kept in self.views if not kept.mine]


def shelf(staff: Staff, *, query: str, with_owners: bool = False) -> Shelf:
    """`query` is the canonical one of what is shown; empty when it is everything."""
    views = visible_to(staff).select_related("staff") if with_owners else visible_to(staff)
    return Shelf(
        [Kept(view, view.staff_id == staff.pk, view.query == query != "", may_change(view, staff)) for view in views]
    )
