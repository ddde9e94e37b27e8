"""The product with Django's own admin over the ledger's table beside it: the peer of the timeline."""

from dashboard.settings import *  # noqa: F403 - the same product
from dashboard.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.admin_urls"
