"""Acting on media: the plan first, then the deed, then what really happened."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.exports.action_exports import action_export as exported
from dashboard.http import render_page
from dashboard.planned import SHOWN, held_plan_context, plan_context
from dashboard.recorded import recorded
from dashboard.search.action_filters import ActionFilter
from dashboard.search.intake import Request
from dashboard.signing_in.admission import admission
from dashboard.signing_in.freshness import require_fresh
from dashboard.told import tell
from dashboard.views.account import StaffRequest
from dashboard.views.exports import opening, problem
from dashboard.wording.languages import in_english
from quarantine.accounts.staff import require
from quarantine.acting import actions
from quarantine.acting.actions import ActionError
from quarantine.acting.aims import AimError
from quarantine.acting.plans import Plan, PlanError, plan, plan_undo
from quarantine.acting.two_persons import adds_up, why_held
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Action, Capability, Category, Cause, Change, Fate, Return, Verb, Work
from quarantine.worker import perform_if_small

SUBMISSION = 64  # characters
SAID = "said_of_plan"  # in a session: the reason that was given on the way to a plan, and the plan's address
SWAPS = {"progress": "progress-update"}
WITH = ("work", "staff", "undoes", "proposal", "ruling__staff")
CONTROLS = {"pause": actions.pause, "resume": actions.resume, "cancel": actions.cancel}


@require_http_methods(["GET", "HEAD", "POST"])
def action_new(request: StaffRequest) -> HttpResponse:
    """What would happen; posted with the plan's digest, it happens."""
    require(request.user, Capability.ACT)
    data = request.POST if request.method == "POST" else request.GET
    try:
        asked = Request.read(data)
        if request.method == "POST" and asked.wants_address and asked.address:
            return lead_to(request, asked)
        shown = plan(verb=asked.verb, aim=asked.aim, homeserver=gateway())
    except (AimError, PlanError) as error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY if data.get("verb") else HTTPStatus.OK
        return refused(request, str(error), data, status)
    except (HomeserverError, HomeserverAwayError) as error:
        return refused(request, recorded(str(error)), data, HTTPStatus.SERVICE_UNAVAILABLE)
    return decide(request, shown, hidden=asked.hidden)


@require_http_methods(["GET", "HEAD", "POST"])
def action_undo(request: StaffRequest, number: int) -> HttpResponse:
    """The opposite of an action, planned and done like any other."""
    require(request.user, Capability.ACT)
    action = get_object_or_404(Action.objects.select_related("work"), pk=number)
    try:
        gateway()
        shown = plan_undo(action)
    except PlanError as error:
        return refused(request, str(error), request.GET, HTTPStatus.CONFLICT)
    except (HomeserverError, HomeserverAwayError) as error:
        return refused(request, recorded(str(error)), request.GET, HTTPStatus.SERVICE_UNAVAILABLE)
    return decide(request, shown, hidden=[])


def lead_to(request: StaffRequest, asked: Request) -> HttpResponse:
    """To the plan's own address; what was said already is there when it is shown."""
    address = asked.address
    request.session[SAID] = {"address": address, "category": asked.category, "reason": asked.reason}
    return redirect(address)


def said_of(request: StaffRequest) -> Mapping[str, str]:
    """The kind of reason and the note of a plan that is shown: as posted, or as said on the way to it."""
    if request.method == "POST":
        return request.POST.dict()
    said = request.session.get(SAID, {"address": ""})
    return {name: said[name] for name in said if name != "address" and said["address"] == request.get_full_path()}


def decide(request: StaffRequest, shown: Plan, *, hidden: list[tuple[str, str]]) -> HttpResponse:
    """Show the plan; or do it, if that is the plan that was seen and a reason came with it."""
    said = ""
    if request.POST.get("digest"):
        if len(actions.takes(shown, staff=request.user)) > 1:  # more than it takes for daily work
            require_fresh(request)
        try:
            begun = decided(request, shown)
        except ActionError as error:
            said = str(error)
        else:
            request.session.pop(SAID, None)
            return redirect("action-detail", begun.pk)
    context = plan_context(shown) | {
        "submission": secrets.token_urlsafe(),
        "hidden": hidden,
        "held": why_held(shown, staff=request.user),
        "categories": Category.objects.filter(retired=False),
        "problem": said,
        "forbidden": [
            needed.label for needed in actions.takes(shown, staff=request.user) if not request.user.may(needed)
        ],
        "posted": said_of(request),
        "needs_note": shown.verb in actions.NEEDS_NOTE,
        "kind_optional": shown.verb not in actions.NEEDS_KIND,
        "back": safe_back(request),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if said else HTTPStatus.OK
    return render_page(request, "dashboard/action_plan.html", context, status=status)


def decided(request: StaffRequest, shown: Plan) -> Action:
    """Begin what was seen; what this very form began already, where it is sent again. Raises ActionError."""
    data, submission = request.POST, request.POST.get("submission", "")[:SUBMISSION] or None
    before = actions.started(submission, staff=request.user) if submission else None
    if before is not None:
        return before
    if data["digest"] != shown.digest:
        msg = gettext("This is no longer what you saw: something changed meanwhile. Look again, then decide.")
        raise ActionError(msg)
    category, reason = data.get("category", ""), data.get("reason", "")
    try:
        action = actions.start(shown, staff=request.user, category=category, reason=reason, submission=submission)
    except IntegrityError as error:  # two clicks at the same moment
        msg = gettext("This was sent already, a moment ago: it is under Activity.")
        before = actions.started(submission or "", staff=request.user)
        if before is None:
            raise ActionError(msg) from error
        return before
    perform_if_small(action)
    return action


def refused(request: StaffRequest, why: str, data: QueryDict, status: HTTPStatus) -> HttpResponse:
    """What was asked can't even be planned: say why, and let it be mended."""
    verb = data.get("verb", "")
    context = {
        "problem": why,
        "verb": Verb(verb) if verb in Verb.values else None,
        "lines": data.get("list", ""),
        "origin": data.get("origin", ""),
        "room": data.get("room", ""),
        "asked": status != HTTPStatus.OK,
    }
    return render_page(request, "dashboard/action_new.html", context, status=status)


@require_safe
def action_list(request: StaffRequest) -> HttpResponse:
    """What staff did, newest first."""
    filters = ActionFilter(request.GET, queryset=Action.objects.all())
    page, older = filters.page()
    context = {
        "filters": filters,
        "actions": tell(page, now=datetime.now(UTC)),
        "older": older,
        "labels": Category.names(),
        "choices": choices_of(filters),
        "may_act": request.user.may(Capability.ACT),
        "back": Return.objects.filter(settled_at=None).order_by("-pk")[:SHOWN],
    }
    status = HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY
    return render_page(request, "dashboard/action_list.html", context, status=status)


@require_safe
@in_english
def action_export(request: StaffRequest, form: str) -> HttpResponseBase:
    """All actions that match, as a file."""
    admitted = admission(request, Capability.EXPORT)
    if admitted is None:
        return problem("M_FORBIDDEN", "Your account may not read this.", HTTPStatus.FORBIDDEN)
    filters = ActionFilter(request.GET, queryset=Action.objects.all())
    if not filters.is_valid():
        return problem("M_INVALID_PARAM", " ".join(filters.problems), HTTPStatus.BAD_REQUEST)
    return opening(request, exported(filters, form=form), name="quarantine-actions", admitted=admitted)


def choices_of(filters: ActionFilter) -> dict[str, tuple[str, list[tuple[str, Any]]]]:
    """Label and values of each filter that has a few."""
    categories = list(Category.names().items())
    known: dict[str, Any] = {
        "verb": Verb.choices,
        "category": categories,
        "cause": Cause.choices,
        "status": Work.Status.choices,
    }
    return {name: (str(filters.filters[name].label), list(values)) for name, values in known.items()}


@require_safe
def action_detail(request: StaffRequest, number: int) -> HttpResponse:
    return detail(request, get_object_or_404(Action.objects.select_related(*WITH), pk=number))


def detail(request: StaffRequest, action: Action, *, problem: str = "", status: int = HTTPStatus.OK) -> HttpResponse:
    """Everything one action touched; `problem` is why it could not be ruled on."""
    other = action.intents.exclude(fate__in=[Fate.CHANGED, Fate.PENDING]).order_by("pk")
    context = {
        "told": tell([action], now=datetime.now(UTC))[0],
        "problem": problem,
        "note": request.POST.get("note", ""),
        "action": action,
        "category": Category.objects.filter(slug=action.category).first(),
        "changes": Change.objects.filter(action=action).order_by("-stream_id")[:SHOWN],
        "other": other[:SHOWN],
        "may_act": request.user.may(Capability.ACT),
        "shown": SHOWN,
    }
    if action.work.status == Work.Status.HELD:
        context |= held_context(request, action)
    return render_page(request, "dashboard/action_detail.html", context, swaps=SWAPS, status=status)


def held_context(request: StaffRequest, action: Action) -> dict[str, Any]:
    """Who looks may see the plan as it is by now, as far as they could have planned it."""
    mine = action.staff_id == request.user.pk
    late = action.proposal.is_late(datetime.now(UTC))
    context = {
        "late": late,
        "mine": mine,
        "adds_up": adds_up(action),
        "may_rule": request.user.may(Capability.APPROVE) and not mine,
    }
    if late or not request.user.may(Capability.ACT):
        return context
    try:
        return context | held_plan_context(action)
    except (PlanError, HomeserverError, HomeserverAwayError) as error:
        return context | {"unplanned": str(error)}


@require_POST
def action_control(request: StaffRequest, number: int, control: str) -> HttpResponse:
    require(request.user, Capability.ACT)  # before anybody learns which actions there are
    action = get_object_or_404(Action, pk=number)
    CONTROLS[control](action, staff=request.user)
    messages.success(
        request,
        {
            "pause": gettext("It pauses after the call under way."),
            "resume": gettext("It goes on."),
            "cancel": gettext("What was not done yet will not be done."),
        }[control],
    )
    return redirect("action-detail", number)


def safe_back(request: StaffRequest) -> str:
    """Where "keep it as it is" leads: the page one came from, never another site's."""
    before = request.headers.get("Referer", "")
    ok = url_has_allowed_host_and_scheme(before, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    planning = urlsplit(before).path == request.path  # a plan that was refused, and leads to itself
    return before if ok and not planning else "/"
