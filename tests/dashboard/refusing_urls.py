"""The site with three views more: one the core may refuse, one that finds its request damaged, one that breaks."""

from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.urls import path

from dashboard.urls import handler400, handler403, handler404, handler500  # noqa: F401 - Django looks for them here
from dashboard.urls import urlpatterns as real
from quarantine.accounts.staff import require
from quarantine.models import Capability

SECRET = "hunter2-in-a-local-variable"


def moderate(request):
    require(request.user, Capability.ACT)
    return HttpResponse("done")


def damaged(request):
    raise BadRequest(SECRET)


def broken(request):
    password = SECRET
    raise RuntimeError(password)


urlpatterns = [path("moderate/", moderate), path("damaged/", damaged), path("broken/", broken), *real]
