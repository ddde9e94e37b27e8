"""The pages, as any WSGI server can run them."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections

from dashboard.configuration.databases import bounded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
application = get_wsgi_application()
# Here alone: the process that follows, and commands, take the time they need.
connections.settings["default"] |= bounded(connections.settings["default"], seconds=settings.DATABASE_STATEMENT_SECONDS)
