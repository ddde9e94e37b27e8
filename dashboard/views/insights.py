"""Insights: what happened in a period, added up."""

from http import HTTPStatus
from urllib.parse import urlencode

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.http import render_page
from dashboard.plots.cards import busiest, cards, week
from dashboard.plots.figures import SERIES, Figures, figures
from dashboard.plots.periods import PRESETS, Period, PeriodForm
from dashboard.plots.totals import tiles
from dashboard.replica import may_read_replica
from dashboard.views.account import StaffRequest
from quarantine.models import Ledger, Source

TEMPLATE = "dashboard/insights.html"
WIDE, NARROW = (1320, 16), (520, 5)  # width of the chart, and how many labels it has room for


@require_safe
@may_read_replica
def insights(request: StaffRequest) -> HttpResponse:
    now = timezone.now()
    form = PeriodForm(request.GET)
    if not form.is_valid():
        context = {"form": form, "presets": presets("", "")}
        return render_page(request, TEMPLATE, context, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    period = form.period(now=now)
    held = Ledger.objects.first()
    told = figures(period) if held and held.head else None
    context = {"form": form, "period": period, "told": told} | controls(period)
    return render_page(request, TEMPLATE, context | (content(told) if told and not told.empty else {}))


def controls(period: Period) -> dict[str, object]:
    """Which periods and switches there are to choose from, as query strings."""
    switch = "" if period.backfill else "off"
    return {
        "presets": presets(period.preset, switch),
        "export": urlencode(period.pairs),
        "switches": [(urlencode(period.query(backfill=on)), on, on == period.backfill) for on in (True, False)],
    }


def presets(chosen: str, switch: str) -> list[tuple[str, str, bool]]:
    also = {"backfill": switch} if switch else {}
    return [(urlencode({"range": name} | also), str(label), name == chosen) for name, label in PRESETS.items()]


def content(told: Figures) -> dict[str, object]:
    lines, days = told.lines, week(told)
    return {
        "tiles": tiles(told),
        "lines": lines,
        "highest": max(lines, key=lambda line: sum(number for number, _ in line.cells)),
        "series": [(name, label) for name, (label, _) in SERIES.items() if name != "found" or told.period.backfill],
        "sources": [label for _, label in Source.choices],
        "charts": [
            ("wide", told.chart(lines, width=WIDE[0], labels=WIDE[1])),
            ("narrow", told.chart(lines, width=NARROW[0], labels=NARROW[1])),
        ],
        "cards": cards(told),
        "week": days,
        "busiest": busiest(days),
    }
