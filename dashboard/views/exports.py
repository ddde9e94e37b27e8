"""The opening of an export: who asks, for what. The stream goes on from there (`dashboard/export_streams.py`)."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from dashboard.action_exports import ActionExport
from dashboard.admission import Admission, admission, still_admitted
from dashboard.exports import CONTENT_TYPES, Export, ExportFilter
from dashboard.languages import in_english
from quarantine import ledger
from quarantine.models import Capability, Change


class ExportOpening(StreamingHttpResponse):
    """An export that may begin. Under the ASGI composition its chunks are sent natively, under plain WSGI as they are."""

    def __init__(self, export: Export | ActionExport, *, name: str, admission: Admission) -> None:
        self.chunks = export.chunks()
        super().__init__(self.chunks, content_type=CONTENT_TYPES[export.form])
        self.headers["Content-Disposition"] = f'attachment; filename="{name}.{export.form}"'
        self.headers["X-Accel-Buffering"] = "no"
        self.admission = admission

    def may_go_on(self) -> bool:
        """Whether who asked for it would still be let in; asks the database."""
        return bool(still_admitted({self.admission}))


@require_GET
@in_english
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    admitted = admission(request, Capability.EXPORT)
    if admitted is None:
        return problem("M_FORBIDDEN", "Your account may not read this.", HTTPStatus.FORBIDDEN)
    filters = ExportFilter(request.GET, queryset=Change.objects.all())
    if not filters.is_valid():
        return problem("M_INVALID_PARAM", " ".join(filters.problems), HTTPStatus.BAD_REQUEST)
    asked = Export(filters=filters, form=form, head=ledger.current().head)
    opening = ExportOpening(asked, name="quarantine-changes", admission=admitted)
    opening.headers["X-Ledger-Head"] = str(asked.head)
    return opening


def problem(errcode: str, error: str, status: int) -> HttpResponse:
    return JsonResponse({"errcode": errcode, "error": error}, status=status)
