"""What machines ask of the server itself."""

from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from dashboard.machines.bearer import HEADERS, caller
from dashboard.serving.metrics import exposition
from dashboard.signing_in.admission import admission
from dashboard.views.machines import authorization, for_programs
from quarantine import ledger
from quarantine.fold import LedgerError
from quarantine.models import Ledger, Scope
from quarantine.preparation import migrations_due


@require_safe
@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. `serve` answers it without asking Django, even when every thread is busy."""
    return HttpResponse("ok\n", content_type="text/plain")


@csrf_exempt  # a method that may not be used is told so
@require_safe
@login_not_required
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether requests can be sent here: the ledger is reachable, migrated and the right one."""
    try:
        held = None if migrations_due() else ledger.current()
    except (DatabaseError, LedgerError):
        held = None
    if held is None:
        return HttpResponse("not ready\n", status=HTTPStatus.SERVICE_UNAVAILABLE, content_type="text/plain")
    # No details to strangers; and only now: who asks is read from the same database.
    if admission(request) is None:
        return HttpResponse("ready\n", content_type="text/plain")
    return JsonResponse(lag(held))


def lag(held: Ledger) -> dict[str, object]:
    """How far the ledger has got, and how old its knowledge of the homeserver is."""
    read_at = held.feed_read_at
    age = (timezone.now() - read_at).total_seconds() if read_at else None
    return {
        "ready": True,
        "head": held.head,
        "feed_position": held.feed_position,
        "feed_read_at": read_at,
        "feed_lag_seconds": age,
    }


@for_programs
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus, with a token of scope metrics:read."""
    caller(authorization(request), Scope.METRICS)
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST, headers=HEADERS)
