"""Acting on media: the plan first, then the deed, then what really happened."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.http import render_page
from dashboard.intake import Request
from dashboard.views.account import StaffRequest
from quarantine import actions
from quarantine.actions import ActionError, Outcome
from quarantine.aims import AimError
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Action, Category, Change, Fate, Role, Verb, Work
from quarantine.performance import perform_if_small
from quarantine.plans import INVERSE, Plan, PlanError, plan, plan_undo
from quarantine.staff import require

SHOWN = 100  # media items of a plan or an action that are listed
SWAPS = {"progress": "progress"}
CONTROLS = {"pause": actions.pause, "resume": actions.resume, "cancel": actions.cancel}


@require_http_methods(["GET", "HEAD", "POST"])
def action_new(request: StaffRequest) -> HttpResponse:
    """What would happen; posted with the plan's digest, it happens."""
    require(request.user, Role.MODERATOR)
    data = request.POST if request.method == "POST" else request.GET
    try:
        asked = Request.read(data)
        shown = plan(verb=asked.verb, aim=asked.aim, homeserver=gateway())
    except (AimError, PlanError) as error:
        return refused(request, str(error), data, HTTPStatus.UNPROCESSABLE_ENTITY)
    except (HomeserverError, HomeserverAwayError) as error:
        return refused(request, str(error), data, HTTPStatus.SERVICE_UNAVAILABLE)
    return decide(request, shown, hidden=asked.hidden)


@require_http_methods(["GET", "HEAD", "POST"])
def action_undo(request: StaffRequest, number: int) -> HttpResponse:
    """The opposite of an action, planned and done like any other."""
    require(request.user, Role.MODERATOR)
    action = get_object_or_404(Action.objects.select_related("work"), pk=number)
    try:
        gateway()
        shown = plan_undo(action)
    except (HomeserverError, HomeserverAwayError) as error:
        return refused(request, str(error), request.GET, HTTPStatus.SERVICE_UNAVAILABLE)
    return decide(request, shown, hidden=[])


def decide(request: StaffRequest, shown: Plan, *, hidden: list[tuple[str, str]]) -> HttpResponse:
    """Show the plan; or do it, if that is the plan that was seen and a reason came with it."""
    problem = ""
    if request.POST.get("digest"):
        category, reason = request.POST.get("category", ""), request.POST.get("reason", "")
        if request.POST["digest"] != shown.digest:
            problem = "This is no longer what you saw: something changed meanwhile. Look again, then decide."
        else:
            try:
                action = actions.start(shown, staff=request.user, category=category, reason=reason)
            except ActionError as error:
                problem = str(error)
            else:
                perform_if_small(action)
                return redirect("action-detail", action.pk)
    context = {
        "plan": shown,
        "hidden": hidden,
        "listed": shown.items[:SHOWN],
        "unlisted": max(0, len(shown.items) - SHOWN),
        "categories": Category.objects.filter(retired=False),
        "problem": problem,
        "posted": request.POST,
        "needs_note": shown.verb in actions.NEEDS_NOTE,
        "back": safe_back(request),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return render_page(request, "dashboard/action_plan.html", context, status=status)


def refused(request: StaffRequest, problem: str, data: QueryDict, status: HTTPStatus) -> HttpResponse:
    """What was asked can't even be planned: say why, and let it be mended."""
    verb = data.get("verb", "")
    context = {
        "problem": problem,
        "verb": Verb(verb) if verb in Verb.values else None,
        "lines": data.get("list", ""),
        "asked": any(data.values()),
    }
    return render_page(request, "dashboard/action_new.html", context, status=status)


@dataclass(frozen=True, slots=True)
class Told:
    """An action as its page tells it."""

    action: Action
    silent: bool

    @property
    def work(self) -> Work:
        return self.action.work

    @property
    def status(self) -> str:
        return "silent" if self.silent else self.work.status

    @property
    def going(self) -> bool:
        return self.work.status in {Work.Status.WAITING, Work.Status.RUNNING}

    @property
    def outcome(self) -> Outcome:
        return Outcome(**self.work.outcome)

    @property
    def undo(self) -> Verb:
        return INVERSE[Verb(self.action.verb)]


@require_safe
def action_detail(request: StaffRequest, number: int) -> HttpResponse:
    """Everything one action touched."""
    action = get_object_or_404(Action.objects.select_related("work", "staff", "undoes"), pk=number)
    other = action.intents.exclude(fate__in=[Fate.CHANGED, Fate.PENDING]).order_by("pk")
    context = {
        "told": Told(action, action.work.is_silent(datetime.now(UTC))),
        "action": action,
        "category": Category.objects.filter(slug=action.category).first(),
        "changes": Change.objects.filter(action=action).order_by("-stream_id")[:SHOWN],
        "other": other[:SHOWN],
        "undone_by": action.undone_by.select_related("staff", "work").order_by("pk"),
        "may_act": request.user.may(Role.MODERATOR),
        "shown": SHOWN,
    }
    return render_page(request, "dashboard/action_detail.html", context, swaps=SWAPS)


@require_POST
def action_control(request: StaffRequest, number: int, control: str) -> HttpResponse:
    require(request.user, Role.MODERATOR)  # before anybody learns which actions there are
    action = get_object_or_404(Action, pk=number)
    CONTROLS[control](action, staff=request.user)
    messages.success(
        request,
        {
            "pause": "It pauses after the call under way.",
            "resume": "It goes on.",
            "cancel": "What was not done yet will not be done.",
        }[control],
    )
    return redirect("action-detail", number)


def safe_back(request: StaffRequest) -> str:
    """Where "keep it as it is" leads: the page one came from, never another site's."""
    before = request.headers.get("Referer", "")
    ok = url_has_allowed_host_and_scheme(before, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return before if ok and request.method == "GET" else "/"
