"""The language of the pages, for those who have no account to choose it in, or are not signed in yet."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponseRedirect
from django.views.decorators.http import require_POST

from dashboard.views.theme import way_back
from dashboard.wording.languages import remember


@require_POST
@login_not_required
def language(request: HttpRequest) -> HttpResponseRedirect:
    """On this browser. Anything but a language of ours means the one the browser asks for."""
    response = HttpResponseRedirect(way_back(request))
    remember(response, request.POST.get("language", ""))
    return response
