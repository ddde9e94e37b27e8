"""One media item: what it is, how it stands, and all that happened to it."""

from http import HTTPStatus

from django.conf import settings
from django.http import HttpResponse
from django.utils.csp import CSP
from django.views.decorators.http import require_safe

from dashboard.dossiers import dossier
from dashboard.http import HtmxRequest, render_page
from dashboard.replica import may_read_replica
from dashboard.rows import row_context
from dashboard.search.filters import ChangeFilter
from dashboard.search.pages import change_page
from dashboard.views.account import StaffRequest
from dashboard.wording.terms import BIGGEST
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Capability, Category, Change
from quarantine.mxc import Mxc
from quarantine.reveals import may_reveal, reveals

SWAPS = {"history": "history"}
MOST_REVEALS = 20
# What was fetched on purpose is shown from memory: on this page alone, and only where previews are offered.
WITH_PREVIEW = settings.SECURE_CSP | {"img-src": [CSP.SELF, "blob:"], "media-src": ["blob:"]}


@require_safe
@may_read_replica
def media_detail(request: StaffRequest, origin: str, media_id: str) -> HttpResponse:
    mxc = Mxc(origin, media_id)
    try:
        found = dossier(mxc)
    except HomeserverAwayError:
        return unknown(request, mxc, status=HTTPStatus.SERVICE_UNAVAILABLE)
    if found is None:
        return unknown(request, mxc, status=HTTPStatus.NOT_FOUND)
    filters = ChangeFilter(request.GET, queryset=Change.objects.filter(origin=origin, media_id=media_id))
    page = change_page(filters, head=BIGGEST - 1)
    offered = may_reveal(request.user) and found.media.row is not None
    context = {
        "preview_offered": offered,
        "reveals": reveals(mxc, most=MOST_REVEALS) if request.user.may(Capability.READ_REVEALS) else [],
        "dossier": found,
        "media": found.media,
        "may_act": request.user.may(Capability.ACT),
        "categories": Category.objects.filter(retired=False),
        "latest": row_context(found.media.last) if found.media.last else None,
        "filters": filters,
        "page": page,
        "events": [row_context(change) for change in page.changes],
    }
    status = HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY
    response = render_page(request, "dashboard/media_detail.html", context, swaps=SWAPS, status=status)
    if offered:
        response._csp_config = WITH_PREVIEW  # type: ignore[attr-defined] # as Django's own decorator sets it
    return response


def unknown(request: HtmxRequest, mxc: Mxc, *, status: HTTPStatus) -> HttpResponse:
    context = {"mxc": mxc, "away": status == HTTPStatus.SERVICE_UNAVAILABLE}
    return render_page(request, "dashboard/media_unknown.html", context, status=status)
