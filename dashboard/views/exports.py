"""The opening of an export: who asks, for what. The stream goes on from there (`dashboard/streaming/export_streams.py`)."""

from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from dashboard.exports.evidence import ZIP, Evidence
from dashboard.exports.exports import CONTENT_TYPES, Export, ExportFilter
from dashboard.exports.paged_exports import PagedExport
from dashboard.serving.room import MOST_OF_ACCOUNT, RETRY_AFTER, has_room
from dashboard.signing_in.addresses import address_of
from dashboard.signing_in.admission import Admission, admission, still_admitted
from dashboard.wording.languages import in_english
from quarantine import ledger
from quarantine.accounts.access_record import record
from quarantine.models import Access, Capability, Change, Staff

TYPES = CONTENT_TYPES | {ZIP: "application/zip"}

type Exported = Export | PagedExport[Any] | Evidence


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Who takes something away: told to the access record before the first byte, and after the last."""

    staff: Staff | None  # None: at a terminal
    filters: str = ""
    address: str = ""
    what: Access = Access.EXPORT

    @classmethod
    def by(cls, request: HttpRequest, *, what: Access = Access.EXPORT) -> Self:
        staff = request.user if isinstance(request.user, Staff) else None
        return cls(staff=staff, filters=request.META.get("QUERY_STRING", ""), address=address_of(request), what=what)

    def told(self, export: Exported, name: str) -> Generator[bytes]:
        """The export's chunks; whoever breaks off is told by the number of rows that were read for them."""
        begun = record(self.what, by=self.staff, target=name, address=self.address, filters=self.filters)
        return self.followed(export, name, number=begun.pk)

    def followed(self, export: Exported, name: str, *, number: int) -> Generator[bytes]:
        came = {"complete": False}
        try:
            yield from export.chunks()
            came = {"complete": True}
        finally:
            told = {"begun": number, "rows": export.rows} | came
            record(Access.EXPORT_ENDED, by=self.staff, target=name, address=self.address, **told)


class ExportOpening(StreamingHttpResponse):
    """An export that may begin. Under the ASGI composition its chunks are sent natively, under plain WSGI as they are."""

    def __init__(self, export: Exported, *, name: str, admission: Admission, taken: Taken) -> None:
        self.chunks = taken.told(export, f"{name}.{export.form}")
        super().__init__(self.chunks, content_type=TYPES[export.form])
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
    opened = opening(request, asked, name="quarantine-changes", admitted=admitted)
    opened.headers["X-Ledger-Head"] = str(asked.head)
    return opened


def opening(
    request: HttpRequest, asked: Exported, *, name: str, admitted: Admission, what: Access = Access.EXPORT
) -> HttpResponseBase:
    """An export that may begin, and is on record; or why there is none."""
    if not has_room(request, admitted.staff_id):
        text = f"{MOST_OF_ACCOUNT} exports of your account are running already. Try again in a moment."
        refused = problem("M_LIMIT_EXCEEDED", text, HTTPStatus.TOO_MANY_REQUESTS)
        refused.headers["Retry-After"] = str(RETRY_AFTER)
        return refused
    return ExportOpening(asked, name=name, admission=admitted, taken=Taken.by(request, what=what))


def problem(errcode: str, error: str, status: int) -> HttpResponse:
    return JsonResponse({"errcode": errcode, "error": error}, status=status)
