"""Alerts: what somebody should look at, who has, and what admins want to be told of."""

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import render_page
from dashboard.signing_in.freshness import require_fresh
from dashboard.views.account import StaffRequest
from dashboard.wording.alert_lines import Line, RuleLine
from quarantine.accounts.staff import require
from quarantine.alerting import alert_rules
from quarantine.alerting.alert_rules import LONGEST_MUTE, AlertError
from quarantine.alerting.configured import configured
from quarantine.models import Alert, AlertKind, Capability, Mute

PAGE = 50
COUNTED = 99
MUTES_SHOWN = 200
LONGEST_NUMBER = 19  # digits
SHOWN: dict[str, tuple[Promise | str, dict[str, Any]]] = {
    "open": (gettext_lazy("Open"), {"acknowledged_at": None, "muted": False}),
    "acknowledged": (gettext_lazy("Acknowledged"), {"acknowledged_at__isnull": False}),
    "muted": (gettext_lazy("Muted"), {"muted": True}),
    "all": (gettext_lazy("All"), {}),
}
SWAPS = {"alerts": "alerts"}


@require_safe
def alert_list(request: StaffRequest) -> HttpResponse:
    shown, cursor = request.GET.get("show", "open"), request.GET.get("cursor", "")
    problem = (
        "" if shown in SHOWN and cursor_of(cursor) else _("There is no such list of alerts, or no such place in it.")
    )
    found: list[Alert] = []
    if not problem:
        alerts = Alert.objects.filter(**SHOWN[shown][1]).select_related("acknowledged_by").order_by("-pk")
        found = list((alerts.filter(pk__lt=cursor_of(cursor)) if cursor else alerts)[: PAGE + 1])
    context = {
        "lines": [Line(alert) for alert in found[:PAGE]],
        "older": found[PAGE - 1].pk if len(found) > PAGE else None,
        "shown": shown,
        "lists": [(name, label) for name, (label, _condition) in SHOWN.items()],
        "cursor": cursor,
        "problem": problem,
        "ways": [way.label for way in configured()],
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/alert_list.html", context, swaps=SWAPS, status=status)


def cursor_of(text: str) -> int:
    """0 for what is none; of a page without a cursor any number does."""
    if not text:
        return 1
    return int(text) if text.isascii() and text.isdigit() and len(text) < LONGEST_NUMBER else 0


@require_safe
def alert_count(request: StaffRequest) -> HttpResponse:
    """For the header of every page: how many wait for somebody."""
    number = Alert.objects.unanswered()[: COUNTED + 1].count()
    return render_page(
        request, "dashboard/_alert_count.html", {"number": min(number, COUNTED), "more": number > COUNTED}
    )


@require_safe
def alert_detail(request: StaffRequest, number: int) -> HttpResponse:
    return detail(request, number)


@require_POST
def alert_acknowledge(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.ACT)
    alert = get_object_or_404(Alert, pk=number)
    try:
        first = alert_rules.acknowledge(alert, note=request.POST.get("note", ""), staff=request.user)
    except AlertError as error:
        return detail(request, number, problem=str(error))
    messages.success(request, _("Acknowledged.") if first else _("Somebody else was quicker; their note stays."))
    return redirect("alert-detail", number)


def detail(request: StaffRequest, number: int, *, problem: str = "") -> HttpResponse:
    alert = get_object_or_404(Alert.objects.select_related("acknowledged_by"), pk=number)
    context = {
        "line": Line(alert),
        "deliveries": alert.deliveries.order_by("way"),
        "may_act": request.user.may(Capability.ACT),
        "may_mute": request.user.may(Capability.MANAGE_SETTINGS),
        "problem": problem,
        "note": request.POST.get("note", "") if problem else "",
        "note_length": alert_rules.NOTE_LENGTH,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/alert_detail.html", context, status=status)


# --- Rules and mutes ----------------------------------------------------------------------


@require_safe
def alert_rules_page(request: StaffRequest) -> HttpResponse:
    return rules(request)


@require_POST
def alert_rule_change(request: StaffRequest, kind: str) -> HttpResponse:
    require(request.user, Capability.MANAGE_SETTINGS)
    require_fresh(request)
    number, minutes = (number_in(request, name) for name in ("number", "minutes"))
    try:
        on = request.POST.get("on") == "on"
        alert_rules.change_rule(AlertKind(kind), on=on, number=number, minutes=minutes, staff=request.user)
    except AlertError as error:
        return rules(request, problem=str(error))
    messages.success(request, _("Saved."))
    return redirect("alert-rules")


@require_POST
def alert_mute(request: StaffRequest, kind: str) -> HttpResponse:
    require(request.user, Capability.MANAGE_SETTINGS)
    require_fresh(request)
    subject, hours = request.POST.get("subject", "").strip(), number_in(request, "hours")
    try:
        alert_rules.mute(AlertKind(kind), subject=subject, hours=hours, staff=request.user)
    except AlertError as error:
        return rules(request, problem=str(error))
    messages.success(request, _("Muted. What happens is recorded all the same."))
    return redirect("alert-rules")


@require_POST
def alert_unmute(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.MANAGE_SETTINGS)  # before anybody learns which there are
    require_fresh(request)
    alert_rules.end_mute(get_object_or_404(Mute, pk=number), staff=request.user)
    messages.success(request, _("No longer muted."))
    return redirect("alert-rules")


def number_in(request: StaffRequest, name: str) -> int:
    """0, which no rule takes, for what is no number."""
    text = request.POST.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def rules(request: StaffRequest, *, problem: str = "") -> HttpResponse:
    mutes = Mute.objects.select_related("staff", "ended_by").order_by("-pk")[:MUTES_SHOWN]
    context = {
        "rules": [RuleLine(rule) for rule in alert_rules.rules()],
        "mutes": mutes,
        "may_change": request.user.may(Capability.MANAGE_SETTINGS),
        "longest_mute": LONGEST_MUTE,
        "problem": problem,
        "ways": [way.label for way in configured()],
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/alert_rules.html", context, status=status)
