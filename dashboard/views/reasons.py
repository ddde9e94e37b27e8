"""What leads and admins decide about acting: the kinds of reasons, and what happens to files that are back."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import render_page
from dashboard.signing_in.freshness import require_fresh
from dashboard.views.account import StaffRequest
from quarantine import ledger
from quarantine.accounts.staff import require
from quarantine.acting.actions import ActionError
from quarantine.acting.reasons import add_category, change_category
from quarantine.acting.returns import set_requarantine
from quarantine.models import Capability, Category


@require_safe
def reasons(request: StaffRequest) -> HttpResponse:
    require(request.user, Capability.READ_REASONS)
    return page(request)


@require_POST
def reason_add(request: StaffRequest) -> HttpResponse:
    try:
        add_category(label=request.POST.get("label", ""), staff=request.user)
    except ActionError as error:
        return page(request, problem=str(error))
    return redirect("reasons")


@require_POST
def reason_change(request: StaffRequest, slug: str) -> HttpResponse:
    require(request.user, Capability.MANAGE_REASONS)  # before anybody learns which there are
    category = get_object_or_404(Category, slug=slug)
    label, retired = request.POST.get("label", ""), request.POST.get("offered") != "on"
    try:
        change_category(category, label=label, retired=retired, staff=request.user)
    except ActionError as error:
        return page(request, problem=str(error))
    return redirect("reasons")


@require_POST
def requarantine(request: StaffRequest) -> HttpResponse:
    require(request.user, Capability.MANAGE_SETTINGS)
    require_fresh(request)
    on = request.POST.get("on") == "on"
    set_requarantine(on=on, staff=request.user)
    words = (
        gettext("From now on, files that are back are quarantined.")
        if on
        else gettext("Files that are back are only reported.")
    )
    messages.success(request, words)
    return redirect("reasons")


def page(request: StaffRequest, *, problem: str = "") -> HttpResponse:
    context = {
        "categories": Category.objects.all(),
        "requarantine": ledger.current().requarantine,
        "problem": problem,
        "label": request.POST.get("label", ""),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/reasons.html", context, status=status)
