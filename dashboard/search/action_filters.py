"""ActionFilter: the query string of the activity list as a queryset."""

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy

from dashboard.search.filter_kinds import MomentFilter, PositionFilter, TermsFilter, one_of
from dashboard.search.filters import choice
from dashboard.search.list_filters import ListFilter
from quarantine.models import Action, Cause, Verb, Work


class ActionFilter(ListFilter[Action]):
    verb = choice(gettext_lazy("Verb"), dict(Verb.choices), one_of("verb"))
    by = TermsFilter(label=gettext_lazy("By"), matches=one_of("staff__username"))
    category = TermsFilter(label=gettext_lazy("Kind of reason"), matches=one_of("category"))
    cause = choice(gettext_lazy("Cause"), dict(Cause.choices), one_of("cause"))
    status = choice(gettext_lazy("Status"), dict(Work.Status.choices), one_of("work__status"))
    after = MomentFilter(label=gettext_lazy("From"))
    before = MomentFilter(label=gettext_lazy("Before"))
    cursor = PositionFilter(label=gettext_lazy("Cursor"))

    moment = "created_at"

    def found(self) -> "QuerySet[Action]":
        return super().found().select_related("staff", "work", "ruling__staff")
