"""The access record: who came in, was given something or took something away. For those who may read it."""

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET, require_safe

from dashboard.exports.record_filters import RecordFilter, details_of, record_export
from dashboard.http import render_page
from dashboard.signing_in.addresses import address_of
from dashboard.signing_in.admission import admission
from dashboard.views.account import StaffRequest
from dashboard.views.exports import opening, problem
from dashboard.wording.languages import in_english
from quarantine.accounts.access_record import record_reading
from quarantine.accounts.staff import require
from quarantine.models import Access, AccessEntry, Capability


@require_safe
def access_record(request: StaffRequest) -> HttpResponse:
    """Newest first. That it is read is part of it."""
    require(request.user, Capability.READ_ACCESS_RECORD)
    filters = RecordFilter(request.GET, queryset=AccessEntry.objects.all())
    if filters.is_valid():
        record_reading(request.user, filters=filters.query(), address=address_of(request))
    page, older = filters.page()
    context = {
        "filters": filters,
        "entries": [(entry, details_of(entry)) for entry in page],
        "older": older,
        "choices": Access.choices,
    }
    status = HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY
    return render_page(request, "dashboard/access_record.html", context, status=status)


@require_GET
@in_english
def access_record_export(request: StaffRequest, form: str) -> HttpResponseBase:
    """All entries that match, as a file."""
    admitted = admission(request, Capability.READ_ACCESS_RECORD)
    if admitted is None:
        return problem("M_FORBIDDEN", "Your account may not read this.", HTTPStatus.FORBIDDEN)
    filters = RecordFilter(request.GET, queryset=AccessEntry.objects.all())
    if not filters.is_valid():
        return problem("M_INVALID_PARAM", " ".join(filters.problems), HTTPStatus.BAD_REQUEST)
    export = record_export(filters, form=form)
    return opening(request, export, name="access-record", admitted=admitted)
