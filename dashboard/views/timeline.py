"""The timeline: every change, newest first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from http import HTTPStatus
from itertools import groupby

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from dashboard.counts import without_narrowest
from dashboard.filters import ChangeFilter
from dashboard.http import HtmxRequest, render_page
from dashboard.pages import change_page
from dashboard.replica import may_read_replica
from dashboard.rows import rows_html
from dashboard.shelf import shelf
from dashboard.toolbar import toolbar
from dashboard.views.account import StaffRequest
from quarantine.models import Change, Role
from quarantine.summaries import standing

SWAPS = {"results": "results-update", "summary": "summary"}


@dataclass(frozen=True, slots=True)
class Day:
    date: date
    name: str  # "Today", "Yesterday", or nothing
    rows: list[SafeString]


@require_safe
@may_read_replica
def timeline(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    stands = standing(now)
    filters = ChangeFilter(request.GET, queryset=Change.objects.all())
    page = change_page(filters, head=stands.head)
    empty = filters.narrows and not page.changes and page.newest and not page.searched_back_to
    context = {
        "shelf": shelf(request.user, query=filters.canonical_query()),
        "wider": without_narrowest(filters, head=stands.head) if empty else None,
        "standing": stands,
        "filters": filters,
        "page": page,
        "days": list(by_day(page.changes, today=now.date())),
        "toolbar": toolbar(filters, username=request.user.get_username(), now=now),
        "live": True,
        "may_act": request.user.may(Role.MODERATOR),
    }
    return render_page(
        request,
        "dashboard/timeline.html",
        context,
        swaps=SWAPS,
        url=canonical_url(request, filters, page.query),
        status=HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def by_day(changes: list[Change], *, today: date) -> Iterator[Day]:
    names = {today: "Today", today - timedelta(days=1): "Yesterday"}
    for day, group in groupby(changes, key=lambda change: change.seen_at.date()):
        yield Day(day, names.get(day, ""), rows_html(group))


def canonical_url(request: HtmxRequest, filters: ChangeFilter, query: str) -> str | None:
    """The address to show for these results; a refreshed summary leaves it alone."""
    if request.htmx.target != "results":
        return None
    shown = query if filters.is_valid() else filters.given_query
    return reverse("timeline") + (f"?{shown}" if shown else "")
