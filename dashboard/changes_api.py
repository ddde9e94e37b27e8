"""The changes API, in Synapse's own shape, so that a client of Synapse's endpoint can be pointed here unchanged.

`from` is exclusive, `next_batch` is always there and never goes back. Positions are the
ledger's: they rise in commit order, so a reader that keeps `next_batch` misses nothing.
"""

import re

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from dashboard.change_json import change_json
from quarantine import consumers, ledger
from quarantine.consumers import UnknownTokenError, WrongScopeError
from quarantine.models import Change, Consumer, Scope

INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
DEFAULT_LIMIT, MOST = 100, 1000
NOW = "now"


class RefusedError(Exception):
    """An answer in Synapse's error shape."""

    def __init__(self, status: int, errcode: str, error: str) -> None:
        super().__init__(error)
        self.status, self.errcode = status, errcode


@csrf_exempt
@login_not_required
def quarantine_changes(request: HttpRequest) -> JsonResponse:
    try:
        answer = read_changes(request)
    except RefusedError as refused:
        answer = JsonResponse({"errcode": refused.errcode, "error": str(refused)}, status=refused.status)
    answer["Cache-Control"] = "no-store"
    return answer


def read_changes(request: HttpRequest) -> JsonResponse:
    if request.method != "GET":
        raise RefusedError(405, "M_UNRECOGNIZED", "Unrecognized request")
    consumer = authenticated(request)
    head = ledger.current().head
    position = parse_from(request.GET.getlist("from"), head=head)
    limit = parse_limit(request.GET.getlist("limit"))
    changes = list(Change.objects.newer_than(position).select_related("action")[:limit])
    consumers.seen(consumer, position=position)
    shown = changes if request.GET.get("deleted") == "1" else [change for change in changes if not change.deleted]
    # With nothing newer the head is where to go on: on an empty ledger also for whoever asked from 1.
    next_batch = changes[-1].stream_id if changes else head
    return JsonResponse({"next_batch": next_batch, "changes": [change_json(change) for change in shown]})


def authenticated(request: HttpRequest) -> Consumer:
    """By the header alone: what stands in a query string ends up in logs."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise RefusedError(401, "M_MISSING_TOKEN", "Missing access token")
    try:
        return consumers.authenticate(token.strip(), scope=Scope.CHANGES)
    except UnknownTokenError:
        raise RefusedError(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.") from None
    except WrongScopeError:
        raise RefusedError(403, "M_FORBIDDEN", "This token does not have the scope changes:read.") from None


def parse_from(values: list[str], *, head: int) -> int:
    """The position to read after. Given twice, the first counts."""
    value = values[0] if values else "0"
    if value == NOW:
        return head
    position = parse_integer("from", value)
    if position < 0:
        raise RefusedError(400, "M_INVALID_PARAM", "Query parameter from must be a positive integer.")
    if position > max(head, 1):
        raise RefusedError(
            400,
            "M_INVALID_PARAM",
            "The `from` token is considered invalid because it includes stream positions greater than the "
            f"furthest persisted position, {head}.",
        )
    return position


def parse_limit(values: list[str]) -> int:
    limit = parse_integer("limit", values[0]) if values else DEFAULT_LIMIT
    if not 1 <= limit <= MOST:
        raise RefusedError(400, "M_INVALID_PARAM", f"Query parameter limit must be from 1 to {MOST}.")
    return limit


def parse_integer(name: str, value: str) -> int:
    if not INTEGER.fullmatch(value):
        raise RefusedError(400, "M_INVALID_PARAM", f"Query parameter {name} must be an integer")
    return int(value)
