"""What the filters of lists outside the ledger share: activity, and the access record."""

from typing import Any, ClassVar

import django_filters
from django.db.models import Model, QuerySet

from dashboard.search.filters import ChangeForm, query_string

PAGE = 50


class ListFilter[Record: Model](django_filters.FilterSet):
    """Records by key, newest first. Subclasses declare `after`, `before` and `cursor` last, beside filters of their own."""

    moment: ClassVar[str]  # the column that `after` (inclusive) and `before` (exclusive) are about

    class Meta:
        form = ChangeForm

    @property
    def problems(self) -> list[str]:
        return [message for messages in self.errors.values() for message in messages]

    def found(self) -> "QuerySet[Record]":
        """What matches, newest first; nothing when something is wrong with the query string."""
        if not self.is_valid():
            nothing: QuerySet[Record] = self.queryset.none()
            return nothing
        records: QuerySet[Record] = self.filter_queryset(self.queryset)
        for name, lookup in (("after", f"{self.moment}__gte"), ("before", f"{self.moment}__lt"), ("cursor", "pk__lt")):
            value = self.form.cleaned_data.get(name)
            if value:
                records = records.filter(**{lookup: value})
        return records.order_by("-pk")

    def page(self) -> tuple[list[Record], str | None]:
        """One page, and the query string that leads on from it."""
        records = list(self.found()[: PAGE + 1])
        if len(records) <= PAGE:
            return records, None
        return records[:PAGE], self.query(cursor=records[PAGE - 1].pk)

    def query(self, **positions: int | None) -> str:
        cleaned: dict[str, Any] = self.form.cleaned_data if self.is_valid() else {}
        return query_string({name: value for name, value in cleaned.items() if value and name != "cursor"}, positions)
