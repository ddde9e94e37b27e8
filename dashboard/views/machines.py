"""What programs read beside the changes API: what is quarantined now, files, and the description of it all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from dashboard.exports.change_json import change_text, compact
from dashboard.machines.bearer import HEADERS, RefusedError, caller, only_get, uses
from dashboard.machines.changes_api import parse_integer, parse_limit, refusal, refused_by
from dashboard.machines.media_downloads import DownloadOpening, new_slots, open_download
from dashboard.machines.openapi import DESCRIPTION
from dashboard.replica import read_anywhere
from dashboard.serving.room import MOST_OF_ACCOUNT, RETRY_AFTER, has_room
from dashboard.signing_in.addresses import address_of
from dashboard.signing_in.admission import admission
from dashboard.wording.languages import in_english
from dashboard.wording.terms import BIGGEST
from quarantine.consumers import Caller
from quarantine.downloads import record_download
from quarantine.fold import LedgerError
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import Download
from quarantine.models import Change, MediaItem, Scope, State
from quarantine.mxc import Mxc

BYPASS = "admin_unsafely_bypass_quarantine"
DISPOSITION = {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'"}

slots = new_slots()


def for_programs(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Neither session nor form: a token or a refusal in Synapse's shape, never a page to sign in on."""

    @csrf_exempt
    @login_not_required
    @in_english
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            only_get(request.method)
            return view(request, *args, **kwargs)
        except (RefusedError, DatabaseError, LedgerError) as error:
            answer = refusal(refused_by(error))
            return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))

    return wrapped


def authorization(request: HttpRequest) -> str:
    return request.headers.get("Authorization", "")


@for_programs
def quarantined(request: HttpRequest) -> HttpResponse:
    """By the position of each media item's newest change, rising.

    A change moves an item to the end, and nothing moves forward past a cursor: so a pass meets every item
    that was quarantined all the while. What changed meanwhile is in the changes after the first page's `head`.
    """
    who = caller(authorization(request), Scope.CHANGES)
    cursor = parse_cursor(request.GET.getlist("cursor"))
    limit = parse_limit(request.GET.getlist("limit"))
    changes, next_cursor = read_anywhere(partial(held_page, cursor, limit), position=who.head)
    uses.note(who)
    uses.write()
    rows = ",".join(map(change_text, changes))
    body = f'{{"head":{who.head},"next_cursor":{compact(next_cursor)},"quarantined":[{rows}]}}'
    return HttpResponse(body, content_type="application/json", headers=HEADERS)


def held_page(cursor: int, limit: int, _alias: str) -> tuple[list[Change], int | None]:
    """The newest changes of what is quarantined, and where to go on, if there is more."""
    held = MediaItem.objects.filter(state=State.QUARANTINED, stream_id__gt=cursor).order_by("stream_id")
    positions = list(held.values_list("stream_id", flat=True)[: limit + 1])
    changes = Change.objects.newer_than(0).filter(pk__in=positions[:limit]).select_related("action")
    return list(changes), positions[limit - 1] if len(positions) > limit else None


def parse_cursor(values: list[str]) -> int:
    cursor = parse_integer("cursor", values[0]) if values else 0
    if not 0 <= cursor <= BIGGEST:
        raise RefusedError(400, "M_INVALID_PARAM", "Query parameter cursor must be a positive integer.")
    return cursor


@for_programs
def download(request: HttpRequest, origin: str, media_id: str) -> HttpResponseBase:
    """As Synapse's own, for a program that was given no token of Synapse. Off unless MEDIA_DOWNLOADS is on.

    Off is 403 and not 404: whoever skips what is not found would skip everything, unseen.
    """
    who = caller(authorization(request), Scope.MEDIA)
    if not settings.MEDIA_DOWNLOADS:
        raise RefusedError(403, "M_FORBIDDEN", "Media downloads are off here (MEDIA_DOWNLOADS).")
    if request.GET.get(BYPASS) != "true":
        raise RefusedError(404, "M_NOT_FOUND", f"Not found without {BYPASS}=true.")
    uses.note(who)
    uses.write()
    if not has_room(request, who.consumer_id):
        text = f"{MOST_OF_ACCOUNT} downloads of this token are running already."
        raise RefusedError(429, "M_LIMIT_EXCEEDED", text, headers={"Retry-After": str(RETRY_AFTER)})
    opened = open_download(fetched(Mxc(origin, media_id), who=who, address=address_of(request)), slots=slots)
    headers = HEADERS | DISPOSITION
    if opened.length is not None:
        headers["Content-Length"] = str(opened.length)
    return DownloadOpening(opened, headers=headers)


@contextmanager
def fetched(mxc: Mxc, *, who: Caller, address: str) -> Iterator[Download]:
    """That it was handed out is recorded beforehand; what can't be had isn't."""
    with gateway().download(mxc) as file:
        record_download(who.consumer_id, mxc, address=address)
        yield file


@for_programs
def openapi(request: HttpRequest) -> HttpResponse:
    """For a token of any scope, and for whoever is signed in."""
    if admission(request) is None:
        caller(authorization(request), *Scope)
    return HttpResponse(compact(DESCRIPTION), content_type="application/json", status=HTTPStatus.OK, headers=HEADERS)
