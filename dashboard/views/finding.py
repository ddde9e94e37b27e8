"""The search box, and the numbers beside the filters."""

from http import HTTPStatus

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe
from django_htmx.http import HttpResponseClientRedirect

from dashboard.heads import read_head
from dashboard.http import render_page
from dashboard.search.counts import FACETS, facet
from dashboard.search.filters import ChangeFilter
from dashboard.search.finding import destination
from dashboard.views.account import StaffRequest
from quarantine.models import Change


@require_safe
def find(request: StaffRequest) -> HttpResponse:
    """Lead to what was pasted. A whole page even for htmx: the form has to show what became of it."""
    address = destination(request.GET, request.user)
    return HttpResponseClientRedirect(address) if request.htmx else redirect(address)


@require_safe
def facets(request: StaffRequest, name: str) -> HttpResponse:
    """One filter's choices with their numbers: a page of links, or for htmx what the menu lacks."""
    if name not in FACETS:
        raise Http404
    filters = ChangeFilter(request.GET, queryset=Change.objects.all())
    status = HTTPStatus.OK if filters.is_valid() else HTTPStatus.UNPROCESSABLE_ENTITY
    username = request.user.get_username()
    found = facet(filters, name, username=username, head=read_head()) if filters.is_valid() else None
    context = {"facet": found, "filters": filters, "name": name}
    swaps = {f"facet-{name}": "numbers"}
    return render_page(request, "dashboard/facets.html", context, swaps=swaps, status=status)
