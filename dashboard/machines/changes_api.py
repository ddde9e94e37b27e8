"""The changes API, in Synapse's own shape, so that a client of Synapse's endpoint can be pointed here unchanged.

`from` is exclusive, `next_batch` is always there and never goes back. Positions are the
ledger's: they rise in commit order, so a reader that keeps `next_batch` misses nothing.
"""

import gzip
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from dashboard.exports.change_json import compact
from dashboard.machines.bearer import HEADERS, RefusedError, caller, only_get, uses
from dashboard.machines.change_pages import MOST, ChangePage, read_page
from dashboard.replica import read_anywhere
from quarantine.consumers import Caller
from quarantine.fold import LedgerError
from quarantine.models import Scope

logger = logging.getLogger(__name__)

INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
DEFAULT_LIMIT = 100
NOW = "now"
WORTH_PACKING = 1000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What counts of a request."""

    method: str | None
    authorization: str = ""
    if_none_match: str = ""
    accept_encoding: str = ""
    values: Mapping[str, Sequence[str]]  # of the query string


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@csrf_exempt
@login_not_required
def quarantine_changes(request: HttpRequest) -> HttpResponse:
    """Under plain WSGI. `dashboard.asgi` answers by itself, without the middleware."""
    question = Question(
        method=request.method,
        authorization=request.headers.get("Authorization", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        values=dict(request.GET.lists()),
    )
    answer = answer_to(question)
    uses.write()
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def answer_to(question: Question) -> Answer:
    try:
        return read_changes(question)
    except (RefusedError, DatabaseError, LedgerError) as error:
        return refusal(refused_by(error))


def refused_by(error: Exception) -> RefusedError:
    """What a program is told of an error: a ledger that can't be read may be read later."""
    if isinstance(error, RefusedError):
        return error
    logger.error("the ledger can't be read", exc_info=error)
    return RefusedError(503, "M_UNKNOWN", "The ledger can't be read now.", headers={"Retry-After": "5"})


def refusal(refused: RefusedError) -> Answer:
    body = compact({"errcode": refused.errcode, "error": str(refused)}).encode("utf-8", "replace")
    headers = HEADERS | refused.headers | {"Content-Type": "application/json"}
    return Answer(status=refused.status, body=body, headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A page by its request: changes above `position` (exclusive)."""

    position: int
    limit: int
    deleted: bool


def read_changes(question: Question) -> Answer:
    only_get(question.method)
    who = caller(question.authorization, Scope.CHANGES)
    wanted = to_wanted(question, head=who.head)
    return page_answer(question, who, wanted, read_somewhere(wanted, head=who.head))


def to_wanted(question: Question, *, head: int) -> Wanted:
    """Raises RefusedError for what makes no sense, with a ledger that has got so far."""
    return Wanted(
        position=parse_from(question.values.get("from", ()), head=head),
        limit=parse_limit(question.values.get("limit", ())),
        deleted=question.values.get("deleted", [""])[0] == "1",
    )


def read_somewhere(wanted: Wanted, *, head: int) -> ChangePage:
    """From the replica where it has something newer; a lagging one shows a complete beginning, so nothing is skipped.

    One that has got just as far would say that this is the head, for as long as it lags.
    """
    if wanted.position >= head:
        return ChangePage(next_batch=head, rows=b"")
    page = partial(read_page, position=wanted.position, limit=wanted.limit, deleted=wanted.deleted)
    return read_anywhere(page, position=wanted.position + 1)


def page_answer(question: Question, who: Caller, wanted: Wanted, page: ChangePage) -> Answer:
    """A page is told by where it ends: what stands between two positions never changes."""
    uses.note(who, position=wanted.position, given=page.next_batch > wanted.position)
    tag = f'"{page.next_batch}"'
    headers = HEADERS | {"ETag": f"W/{tag}", "Vary": "Accept-Encoding"}
    if tag in {known.strip().removeprefix("W/") for known in question.if_none_match.split(",")}:
        return Answer(status=HTTPStatus.NOT_MODIFIED, body=b"", headers=headers)
    body = b'{"next_batch":%d,"changes":[%b]}' % (page.next_batch, page.rows)
    headers["Content-Type"] = "application/json"
    if len(body) >= WORTH_PACKING and accepts_gzip(question.accept_encoding):
        body = gzip.compress(body, 1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Answer(status=HTTPStatus.OK, body=body, headers=headers)


def accepts_gzip(header: str) -> bool:
    for offer in header.lower().split(","):
        coding, _, weight = offer.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return weight.strip("0.") != "" or not weight
    return False


def parse_from(values: Sequence[str], *, head: int) -> int:
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


def parse_limit(values: Sequence[str], *, name: str = "limit", default: int = DEFAULT_LIMIT, most: int = MOST) -> int:
    limit = parse_integer(name, values[0]) if values else default
    if not 1 <= limit <= most:
        raise RefusedError(400, "M_INVALID_PARAM", f"Query parameter {name} must be from 1 to {most}.")
    return limit


def parse_integer(name: str, value: str) -> int:
    if not INTEGER.fullmatch(value):
        raise RefusedError(400, "M_INVALID_PARAM", f"Query parameter {name} must be an integer")
    return int(value)
