"""Programs that read from us: how far they have got; admins make their tokens and revoke them."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import render_page
from dashboard.signing_in.freshness import require_fresh
from dashboard.views.account import StaffRequest
from quarantine import consumers
from quarantine.accounts.staff import require
from quarantine.consumer_board import board
from quarantine.consumers import ConsumerError
from quarantine.models import Capability, Consumer, Scope

SWAPS = {"consumers": "consumers"}


@require_safe
def consumer_list(request: StaffRequest) -> HttpResponse:
    require(request.user, Capability.READ_OPERATIONS)
    return page(request)


@require_POST
def consumer_add(request: StaffRequest) -> HttpResponse:
    """Answers with the token itself, not by a redirect: it is shown once and kept nowhere."""
    require(request.user, Capability.MANAGE_TOKENS)
    require_fresh(request)
    name, scopes = request.POST.get("name", "").strip(), request.POST.getlist("scope")
    try:
        days = read_days(request.POST.get("days", ""))
        token = consumers.create(name, scopes=scopes, days=days, staff=request.user)
    except ConsumerError as error:
        return page(request, problem=str(error))
    return page(request, token=token, made=name)


@require_POST
def consumer_revoke(request: StaffRequest, number: int) -> HttpResponse:
    require(request.user, Capability.MANAGE_TOKENS)  # before anybody learns which there are
    require_fresh(request)
    consumer = get_object_or_404(Consumer, pk=number)
    consumers.revoke(consumer.name, staff=request.user)
    messages.success(request, gettext("The token opens nothing any more."))
    return redirect("consumer-list")


def read_days(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        msg = gettext("Days are a whole number, or empty for a token that never expires.")
        raise ConsumerError(msg)
    return int(text)


def page(request: StaffRequest, *, problem: str = "", token: str = "", made: str = "") -> HttpResponse:
    context = {
        "readings": board(),
        "scopes": Scope.choices,
        "chosen": request.POST.getlist("scope") if problem else [Scope.CHANGES],
        "problem": problem,
        "name": request.POST.get("name", "") if problem else "",
        "days": request.POST.get("days", "") if problem else "",
        "token": token,
        "made": made,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/consumer_list.html", context, swaps=SWAPS, status=status)
