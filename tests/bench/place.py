"""Where benchmarks measure: databases of their own, gone afterwards. To import this sets Django up, on empty ones."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.core.management import call_command  # noqa: E402 - after the set-up

from quarantine import ledger  # noqa: E402 - as above
from tests import databases  # noqa: E402 - as above
from tests.environment import settings_with  # noqa: E402 - as above
from tests.postgresql import Cluster, running_cluster  # noqa: E402 - as above


@contextmanager
def on_postgresql() -> Iterator[Cluster]:
    """A fresh ledger, bound to the sample homeserver, on a PostgreSQL started for it."""
    with running_cluster() as cluster:
        url = cluster.url_of(cluster.create_database("ledger"))
        databases.point("default", settings_with({"DATABASE_URL": url})["DATABASES"]["default"])
        databases.CURRENT["DATABASE_URL"] = url
        for alias in ("default", "homeserver"):
            call_command("migrate", database=alias, verbosity=0)
        ledger.bind()
        try:
            yield cluster
        finally:
            databases.forget("default")
