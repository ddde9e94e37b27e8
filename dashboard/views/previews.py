"""One file, for the one person who asked to see it now."""

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase
from django.utils.csp import CSP
from django.utils.translation import gettext
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_POST

from dashboard.machines.bearer import RefusedError
from dashboard.machines.media_downloads import DownloadOpening, new_slots, open_download
from dashboard.recorded import recorded
from dashboard.serving.room import MOST_OF_ACCOUNT, RETRY_AFTER, has_room
from dashboard.views.account import StaffRequest
from quarantine.mxc import Mxc
from quarantine.reveals import NotShowableError, reveal

HEADERS = {"Content-Disposition": "attachment", "Cache-Control": "no-store"}

slots = new_slots()


@require_POST
@csp_override({"default-src": [CSP.NONE], "sandbox": [""]})
def preview(request: StaffRequest, origin: str, media_id: str) -> HttpResponseBase:
    """Posted, never linked: no address shows a file. An attachment, should anybody get there all the same.

    What goes wrong is told in a sentence of plain text.
    """
    if not has_room(request, request.user.pk):
        text = gettext("You are looking at {number} files already. Let one go, then try again.")
        refused = sentence(text.format(number=MOST_OF_ACCOUNT), status=HTTPStatus.TOO_MANY_REQUESTS)
        refused.headers["Retry-After"] = str(RETRY_AFTER)
        return refused
    try:
        opened = open_download(reveal(Mxc(origin, media_id), staff=request.user), slots=slots)
    except NotShowableError as error:
        return sentence(str(error), status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    except RefusedError as refused:
        return sentence(recorded(str(refused)), status=refused.status)
    headers = HEADERS if opened.length is None else HEADERS | {"Content-Length": str(opened.length)}
    return DownloadOpening(opened, headers=headers)


def sentence(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
