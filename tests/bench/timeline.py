"""Time and queries of a timeline page, on a ledger filled with sample data; prints a table.

    .venv/bin/python -m tests.bench.timeline 100000 [DATABASE_URL]

Everything is made in a temporary folder; a PostgreSQL named by its URL must be empty.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

REQUESTS = 40
PAGES = {
    "newest": "/",
    "deep": "/?cursor={middle}",
    "released": "/?state=released",
    "remote": "/?scope=remote",
    "by system": "/?by=system",
    "image/png": "/?type=image/png",
    "last day": "/?after={day}",
    "two filters": "/?scope=remote&by=system",
    "words, no match": "/?q=zzzzqqqq",
}


def main(changes: int, url: str) -> None:
    folder = tempfile.mkdtemp(prefix="quarantine-bench-")
    os.environ |= {"SECRET_KEY": "bench-" + "0123456789" * 5, "HTTPS": "off", "DATA_DIR": folder}
    os.environ |= {"DATABASE_URL": url} if url else {}
    os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.settings"
    import django  # noqa: PLC0415 - the environment comes first

    django.setup()
    measure(changes)


def measure(changes: int) -> None:
    from django.core.management import call_command  # noqa: PLC0415 - as above
    from django.db import connection  # noqa: PLC0415 - as above
    from django.test import Client  # noqa: PLC0415 - as above
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415 - as above

    from quarantine.models import Change, Role, Staff  # noqa: PLC0415 - as above

    call_command("prepare", verbosity=0)
    call_command("sample", changes=changes, media=changes, seed=1)
    client = Client(headers={"Host": "localhost"})
    client.force_login(Staff.objects.create_user("bench", role=Role.VIEWER))
    newest = Change.objects.older_than(None)[0]
    facts = {"middle": newest.stream_id // 2, "day": f"{newest.seen_at:%Y-%m-%d}"}
    print(f"{connection.vendor}, {newest.stream_id:,} changes, median and p95 of {REQUESTS} requests")
    for name, address in PAGES.items():
        path = address.format(**facts)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        number = len(queries)  # now: the next request empties the log
        taken = sorted(timed(client, path) for _ in range(REQUESTS))
        p95 = taken[int(len(taken) * 0.95)]
        print(f"{name:18} {statistics.median(taken):7.1f} ms {p95:7.1f} ms {number:3} queries")


def timed(client, path: str) -> float:
    began = time.perf_counter()
    client.get(path)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else "")
