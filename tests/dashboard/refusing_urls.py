"""The site with two views more: one the core may refuse, one that breaks."""

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


def broken(request):
    password = SECRET
    raise RuntimeError(password)


urlpatterns = [path("moderate/", moderate), path("broken/", broken), *real]
