"""The timeline: every change, newest first."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import groupby
from typing import cast

from django.http import HttpResponse, QueryDict
from django.template.loader import get_template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, gettext_lazy
from django.views.decorators.http import require_safe

from dashboard.http import HtmxRequest, render_page
from dashboard.plots.spark import spark
from dashboard.replica import may_read_replica
from dashboard.rows import badge, row_context, row_html
from dashboard.search.counts import Wider, without_narrowest
from dashboard.search.filters import ChangeFilter, given_query
from dashboard.search.folds import FoldedPage, Line, folded_page
from dashboard.search.meant import meant, searched_words
from dashboard.search.pages import BUDGET, ChangePage
from dashboard.search.shelf import shelf
from dashboard.search.toolbar import Toolbar, toolbar
from dashboard.serving.memory import Memory
from dashboard.views.account import StaffRequest
from quarantine.counting.summaries import Standing, standing
from quarantine.models import Capability, Change

SWAPS = {"results": "results-update", "summary": "summary"}


@dataclass(frozen=True, slots=True)
class Day:
    date: date
    name: str  # "Today", "Yesterday", or nothing
    rows: SafeString


KINDS = {
    "action": gettext_lazy("by one action"),
    "backfill": gettext_lazy("that were quarantined before the ledger looked"),
    "history": gettext_lazy("that were in the homeserver's stream when it was first read"),
    "copies": gettext_lazy("of copies of one file"),
    "sweep": gettext_lazy("to media of one uploader, by one person"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One query string's page of one state of the ledger. The filters were read to make it, so they need not be again."""

    filters: ChangeFilter
    folded: FoldedPage
    days: list[Day]


SHOWN = Memory[Shown](size=20)  # of some 330 kB
MENUS = Memory[Toolbar](size=50)  # half of what a page whose rows are known costs


@require_safe
@may_read_replica
def timeline(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    stands = standing(now)
    shown = SHOWN.recall(
        (stands.edition, stands.categories, given_query(request.GET), now.date(), get_language()),
        partial(read_page, request.GET, stands, today=now.date()),
        worth_keeping=partial(is_of, stands),
    )
    filters, folded = shown.filters, shown.folded
    context = {
        "spark": spark(stands),
        "shelf": shelf(request.user, query=filters.canonical_query()),
        **for_empty(filters, folded.page, head=stands.head),
        "standing": stands,
        "filters": filters,
        "page": folded.page,
        "folded": folded,
        "days": shown.days,
        "toolbar": menus_of(filters, username=request.user.get_username(), now=now),
        "live": True,
        "may_act": request.user.may(Capability.ACT),
    }
    return render_page(
        request,
        "dashboard/timeline.html",
        context,
        swaps=SWAPS | opened(request),
        url=canonical_url(request, filters, folded.page.query),
        status=HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def menus_of(filters: ChangeFilter, *, username: str, now: datetime) -> Toolbar:
    """The filter menus, rendered: for one view and person, on whichever page of it, they change with the minute alone."""

    def made() -> Toolbar:
        bar = toolbar(filters, username=username, now=now)
        html = get_template("dashboard/_menus.html").render({"toolbar": bar, "filters": filters})
        return replace(bar, html=cast("SafeString", html))

    query = given_query(filters.data, without=("cursor", "since"))
    key = (query, filters.is_valid(), username, now.replace(second=0, microsecond=0), get_language())
    return MENUS.recall(key, made, worth_keeping=lambda _: True)


def for_empty(filters: ChangeFilter, page: ChangePage, *, head: int) -> dict[str, object]:
    """What a page without changes says beside that."""
    words = searched_words(filters) if page.newest and not page.changes else ""
    return {"words": words, "meant": meant(words), "wider": wider(filters, page, head=head)}


def wider(filters: ChangeFilter, page: ChangePage, *, head: int) -> Wider | None:
    """What there would be without one of the filters, where there is nothing with it."""
    return without_narrowest(filters, head=head, budget=BUDGET) if is_empty(filters, page) else None


def is_empty(filters: ChangeFilter, page: ChangePage) -> bool:
    """Whether nothing at all matches, as far as one search tells."""
    return filters.narrows and not page.changes and page.newest and not page.searched_back_to


def read_page(query: QueryDict, stands: Standing, *, today: date) -> Shown:
    filters = ChangeFilter(query, queryset=Change.objects.all())
    folded = folded_page(filters, head=stands.head, left_out=stands.head - stands.changes, edition=stands.edition)
    return Shown(filters, folded, list(by_day(folded, filters, today=today)))


def is_of(stands: Standing, shown: Shown) -> bool:
    """Whether it is all there is to say of that state of the ledger: a search may find more the next time."""
    return bool(stands.edition) and shown.folded.page.searched_back_to is None


def by_day(folded: FoldedPage, filters: ChangeFilter, *, today: date) -> Iterator[Day]:
    names = {today: gettext("Today"), today - timedelta(days=1): gettext("Yesterday")}
    for day, lines in groupby(folded.lines, key=lambda line: line.change.seen_at.date()):
        rows = [fold_html(line, filters) if line.kind else row_html(line.change) for line in lines]
        yield Day(day, names.get(day, ""), format_html_join("", "{}", ((row,) for row in rows)))


def fold_html(line: Line, filters: ChangeFilter) -> SafeString:
    """Not cached, unlike rows: how far it goes depends on the filters."""
    state = badge(line.change) if line.kind != "history" else ""
    query = filters.canonical_query(cursor=line.high + 1, since=line.low - 1, fold="off")
    context = row_context(line.change) | {"line": line, "what": KINDS[line.kind], "badge": state, "query": query}
    return cast("SafeString", get_template("dashboard/_fold.html").render(context))


def opened(request: HtmxRequest) -> dict[str, str]:
    """A fold that is being opened is a region too: it gets rows and nothing else."""
    target = request.htmx.target or ""
    return {target: "fold"} if target.startswith("fold-") else {}


def canonical_url(request: HtmxRequest, filters: ChangeFilter, query: str) -> str | None:
    """The address to show for these results; a refreshed summary leaves it alone."""
    if request.htmx.target != "results":
        return None
    shown = query if filters.is_valid() else filters.given_query
    return reverse("timeline") + (f"?{shown}" if shown else "")
