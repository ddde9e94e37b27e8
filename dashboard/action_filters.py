"""ActionFilter: the query string of the activity list as a queryset."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from dashboard.filter_kinds import MomentFilter, PositionFilter, TermsFilter, one_of
from dashboard.filters import ChangeForm, choice, query_string
from quarantine.models import Action, Cause, Verb, Work

PAGE = 50


class ActionFilter(django_filters.FilterSet):
    verb = choice(gettext_lazy("Verb"), dict(Verb.choices), one_of("verb"))
    by = TermsFilter(label=gettext_lazy("By"), matches=one_of("staff__username"))
    category = TermsFilter(label=gettext_lazy("Kind of reason"), matches=one_of("category"))
    cause = choice(gettext_lazy("Cause"), dict(Cause.choices), one_of("cause"))
    status = choice(gettext_lazy("Status"), dict(Work.Status.choices), one_of("work__status"))
    after = MomentFilter(label=gettext_lazy("From"))
    before = MomentFilter(label=gettext_lazy("Before"))
    cursor = PositionFilter(label=gettext_lazy("Cursor"))

    class Meta:
        form = ChangeForm

    @property
    def problems(self) -> list[str]:
        return [message for messages in self.errors.values() for message in messages]

    def found(self) -> "QuerySet[Action]":
        """What matches, newest first; nothing when something is wrong with the query string."""
        if not self.is_valid():
            return Action.objects.none()
        actions: QuerySet[Action] = self.filter_queryset(self.queryset)
        for name, lookup in (("after", "created_at__gte"), ("before", "created_at__lt"), ("cursor", "pk__lt")):
            value = self.form.cleaned_data.get(name)
            if value:
                actions = actions.filter(**{lookup: value})
        return actions.select_related("staff", "work", "ruling__staff").order_by("-pk")

    def page(self) -> tuple[list[Action], str | None]:
        """One page, and the query string that leads on from it."""
        actions = list(self.found()[: PAGE + 1])
        if len(actions) <= PAGE:
            return actions, None
        return actions[:PAGE], self.query(cursor=actions[PAGE - 1].pk)

    def query(self, **positions: int | None) -> str:
        cleaned: dict[str, Any] = self.form.cleaned_data if self.is_valid() else {}
        return query_string({name: value for name, value in cleaned.items() if value and name != "cursor"}, positions)
