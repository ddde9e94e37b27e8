"""The kinds of filters ChangeFilter is made of."""

from collections.abc import Callable, Sequence
from copy import copy
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, Self

import django_filters
from django.db.models import Q
from django.utils.translation import gettext

from dashboard.wording.terms import MomentField, NumberField, Read, SwitchField, Term, TermsField
from quarantine.models import ChangeQuerySet

MOST_WAYS = 10  # each costs a statement


def one_of(column: str) -> Callable[[Sequence[Any]], Q]:
    """Rows whose column holds any of the values."""

    def matches(values: Sequence[Any]) -> Q:
        return Q(**{column: values[0]}) if len(values) == 1 else Q(**{f"{column}__in": values})

    return matches


def any_of(match: Callable[[Any], Q]) -> Callable[[Sequence[Any]], Q]:
    """Rows that match any of the values."""
    return lambda values: reduce(or_, map(match, values))


class StatelessFilter(django_filters.Filter):
    """Each FilterSet copies all its filters; copied in depth, that would cost more than the query."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return copy(self)


class TermsFilter(StatelessFilter):
    """Any of the wanted values, none of the excluded ones."""

    field_class = TermsField

    def __init__(
        self,
        *,
        label: Any,
        matches: Callable[[Sequence[Any]], Q],
        read: Read[Any] = str,
        names: dict[str, Any] | None = None,
        verbal: bool = False,
        ways: Callable[[Any], list[Q]] | None = None,
    ) -> None:
        super().__init__(label=label, read=read)
        self.matches = matches
        self.verbal = verbal  # its label needs no "is"
        self.names = names or {}
        self.ways = ways or (lambda value: [matches([value])])

    def lane(self, terms: Sequence[Term[Any]]) -> list[Q]:
        """Conditions which indexes hold in order, and of which one is true wherever this filter lets through; or none."""
        each = [self.ways(term.value) for term in terms if not term.excluded]
        found = [way for ways in each for way in ways]
        return found if all(each) and len(found) <= MOST_WAYS else []

    def filter(self, changes: ChangeQuerySet, terms: Sequence[Term[Any]]) -> ChangeQuerySet:
        wanted = [term.value for term in terms if not term.excluded]
        excluded = [term.value for term in terms if term.excluded]
        if wanted:
            changes = changes.filter(self.matches(wanted))
        return changes.exclude(self.matches(excluded)) if excluded else changes

    @property
    def asks(self) -> str:
        return str(self.label) if self.verbal else gettext("{label} is").format(label=self.label)

    def named(self, term: Term[Any]) -> str:
        """The value as people call it."""
        return str(self.names.get(term.text, term.text))


class PositionFilter(StatelessFilter):
    """A number that narrows nothing here: whoever pages applies it."""

    field_class = NumberField

    def filter(self, changes: ChangeQuerySet, value: int | None) -> ChangeQuerySet:
        return changes


class SwitchFilter(StatelessFilter):
    """On or off; narrows nothing: whoever pages heeds it."""

    field_class = SwitchField

    def filter(self, changes: ChangeQuerySet, value: bool | None) -> ChangeQuerySet:
        return changes


class MomentFilter(StatelessFilter):
    """Narrows in ChangeFilter, together with its counterpart, as a range of positions."""

    field_class = MomentField

    def filter(self, changes: ChangeQuerySet, value: datetime | None) -> ChangeQuerySet:
        return changes
