"""Saved views: filters under a name."""

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from dashboard.http import render_page
from dashboard.search.filters import ChangeFilter
from dashboard.search.shelf import shelf
from dashboard.views.account import StaffRequest
from quarantine.models import Change, SavedView
from quarantine.saved_views import SavedViewError, change_view, delete_view, save_view, visible_to


@require_safe
def saved_views(request: StaffRequest) -> HttpResponse:
    return listing(request, query=request.GET.get("query", ""))


@require_POST
def view_add(request: StaffRequest) -> HttpResponse:
    query, name = request.POST.get("query", ""), request.POST.get("name", "")
    filters = ChangeFilter(QueryDict(query), queryset=Change.objects.all())
    if not filters.is_valid():
        return listing(request, query=query, name=name, problem=" ".join(filters.problems))
    try:
        shared = "shared" in request.POST
        view = save_view(staff=request.user, name=name, query=filters.canonical_query(), shared=shared)
    except SavedViewError as error:
        return listing(request, query=query, name=name, problem=str(error))
    messages.success(request, gettext("Saved “{name}”.").format(name=view.name))
    return redirect(f"/?{view.query}" if view.query else "/")


@require_POST
def view_change(request: StaffRequest, number: int) -> HttpResponse:
    try:
        view = change_view(
            view_of(request, number),
            staff=request.user,
            name=request.POST.get("name", ""),
            shared="shared" in request.POST,
        )
    except SavedViewError as error:
        return listing(request, query="", problem=str(error))
    messages.success(request, gettext("Changed “{name}”.").format(name=view.name))
    return redirect("saved-views")


@require_POST
def view_delete(request: StaffRequest, number: int) -> HttpResponse:
    view = view_of(request, number)
    delete_view(view, staff=request.user)
    messages.success(request, gettext("Deleted “{name}”.").format(name=view.name))
    return redirect("saved-views")


def view_of(request: StaffRequest, number: int) -> SavedView:
    """Somebody else's own view is as unknown as one that never was."""
    return get_object_or_404(visible_to(request.user), pk=number)


def listing(request: StaffRequest, *, query: str, name: str = "", problem: str = "") -> HttpResponse:
    filters = ChangeFilter(QueryDict(query), queryset=Change.objects.all())
    context = {
        "shelf": shelf(request.user, query="", with_owners=True),
        "filters": filters,
        "query": query,
        "name": name,
        "problem": problem or " ".join(filters.problems),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if context["problem"] else HTTPStatus.OK
    return render_page(request, "dashboard/saved_views.html", context, status=status)
