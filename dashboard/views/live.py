"""The opening of an event stream: who asks, for what, and what they missed. The hub goes on from there."""

import secrets
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from dashboard.events import TooFarBehindError, read_events, reset
from dashboard.heads import read_head
from dashboard.search.filters import ChangeFilter
from dashboard.signing_in.admission import Admission, admission
from dashboard.wording.languages import speak_to
from dashboard.wording.terms import read_number
from quarantine.models import Change


class Opening(HttpResponse):
    """The first bytes of a stream, with all that its reader missed up to `position`.

    Under plain WSGI it ends there, and an EventSource comes back for more: polling instead of live.
    """

    def __init__(self, *, query: str, position: int, admission: Admission, language: str, missed: bytes) -> None:
        # When a server stops, its readers must not all come back in the same moment.
        pause = 500 + secrets.randbelow(1500)
        super().__init__(b"retry: %d\n\n%b" % (pause, missed), content_type="text/event-stream")
        self.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back until it had 4 kB
        self.headers["X-Ledger-Head"] = str(position)
        self.query = query
        self.position = position
        self.admission = admission
        self.language = language


@require_GET
@login_not_required  # answers itself: a script that was sent to the sign-in page would see a 200
def live(request: HttpRequest) -> HttpResponse:
    admitted = admission(request)
    if admitted is None:
        signed_in = request.user.is_authenticated
        return in_words("Your account may not read this.", 403) if signed_in else in_words("Signed out.", 401)
    filters = ChangeFilter(request.GET, queryset=Change.objects.all())
    if not filters.is_valid():
        return in_words("\n".join(filters.problems), HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        since = resumed_from(request, filters)
    except ValidationError as error:
        return in_words(f"Last-Event-ID: {error.message}", HTTPStatus.UNPROCESSABLE_ENTITY)
    query, head = filters.canonical_query(), read_head()
    speak_to(request.user)
    language = get_language() or settings.LANGUAGE_CODE
    missed = missed_since(since, query=query, head=head, language=language)
    return Opening(query=query, position=head, admission=admitted, language=language, missed=missed)


def in_words(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def resumed_from(request: HttpRequest, filters: ChangeFilter) -> int | None:
    """The position the reader has, from the header that a browser's own reconnecting sets, or from `since`."""
    header = request.headers.get("Last-Event-ID", "").strip()
    if header:
        return read_number(header, lowest=0)
    since: int | None = filters.value("since")
    return since


def missed_since(since: int | None, *, query: str, head: int, language: str) -> bytes:
    if since is None:
        return b""
    if since > head:
        return reset(head)  # no such position yet: the ledger was restored, or is another one
    try:
        return b"".join(event.data for event in read_events(query, after=since, upto=head, language=language))
    except TooFarBehindError:
        return reset(head)
