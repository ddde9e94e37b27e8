"""The second person's word on an action that waits for it, and the asker's own to take it back."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from dashboard.planned import forget
from dashboard.signing_in.freshness import require_fresh
from dashboard.views.account import StaffRequest
from dashboard.views.actions import WITH, detail
from quarantine.accounts.staff import require
from quarantine.acting import approvals
from quarantine.acting.actions import ActionError
from quarantine.acting.plans import PlanError
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Action, Capability
from quarantine.worker import perform_if_small


@require_POST
def action_approve(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.APPROVE)  # before anybody learns which actions there are
    require_fresh(request)
    action = get_object_or_404(Action, pk=number)
    note, seen = request.POST.get("note", ""), request.POST.get("digest", "")
    try:
        approvals.approve(action, staff=request.user, note=note, seen=seen, homeserver=gateway())
    except (HomeserverError, HomeserverAwayError) as error:
        return refused(request, number, str(error), HTTPStatus.SERVICE_UNAVAILABLE)
    except (ActionError, PlanError) as error:
        return refused(request, number, str(error), HTTPStatus.CONFLICT)
    perform_if_small(action)
    messages.success(request, gettext("Approved."))
    return redirect("action-detail", number)


@require_POST
def action_decline(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.APPROVE)
    action = get_object_or_404(Action, pk=number)
    try:
        approvals.decline(action, staff=request.user, note=request.POST.get("note", ""))
    except ActionError as error:
        return refused(request, number, str(error), HTTPStatus.CONFLICT)
    messages.success(request, gettext("Declined."))
    return redirect("action-detail", number)


@require_POST
def action_withdraw(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.ACT)
    action = get_object_or_404(Action, pk=number)
    try:
        approvals.withdraw(action, staff=request.user)
    except ActionError as error:
        return refused(request, number, str(error), HTTPStatus.CONFLICT)
    messages.success(request, gettext("Withdrawn."))
    return redirect("action-detail", number)


def refused(request: StaffRequest, number: int, why: str, status: HTTPStatus) -> HttpResponse:
    """The action as it is now, and why that could not be."""
    action = get_object_or_404(Action.objects.select_related(*WITH), pk=number)
    forget(action)
    return detail(request, action, problem=why, status=status)
