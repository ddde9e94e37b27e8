"""The insights page over HTTP, any range of it, beside the same numbers by plain GROUP BY on the ledger's table.

Nothing of the page is kept from one request to the next. The peer counts less: no time to release, no exact number of
what a list leaves out. Before "first after a restart" the database server's own cache is empty; the system's is not.
"""

import random
import statistics
import time
from datetime import UTC, datetime, timedelta

import psycopg

from tests.bench.report import Result
from tests.bench.workshop import Visitor, Workshop, p95, sign_in
from tests.environment import manage

REQUESTS = 20
PAGE = 500  # ms, at most, whatever the range
YEARS = timedelta(days=3 * 365)  # that a filled ledger is about
# The page's preset, and since when that is; a range to the second is another one each time.
RANGES: dict[str, timedelta | None] = {
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "12mo": timedelta(days=365),
    "all": None,
}
PEER = [
    "SELECT date_trunc('day', seen_at), quarantined, deleted, source, c.cause, count(*) FROM {rows} GROUP BY 1, 2, 3, 4, 5",
    "SELECT extract(isodow FROM seen_at), extract(hour FROM seen_at), count(*) FROM {rows} GROUP BY 1, 2",
    "SELECT origin, count(*) FROM {rows} AND quarantined GROUP BY 1 ORDER BY 2 DESC LIMIT 6",
    "SELECT uploader, count(*) FROM {rows} AND quarantined GROUP BY 1 ORDER BY 2 DESC LIMIT 6",
    "SELECT sha256, count(*) FROM {rows} AND quarantined GROUP BY 1 ORDER BY 2 DESC LIMIT 6",
    "SELECT changed_by, count(*) FROM {rows} GROUP BY 1 ORDER BY 2 DESC LIMIT 6",
    "SELECT category, count(*) FROM {rows} GROUP BY 1 ORDER BY 2 DESC LIMIT 6",
]
ROWS = "quarantine_change AS c LEFT JOIN quarantine_action AS a ON a.id = action_id WHERE seen_at >= %(after)s"


def measure(workshop: Workshop, size: int) -> list[Result]:
    environ = workshop.filled(size)
    began = time.perf_counter()
    manage(environ, "prepare")
    rate = size / (time.perf_counter() - began)
    workshop.owned.stop()
    workshop.owned.start()
    taken = pages(workshop, environ)
    first = max(taken, key=lambda name: taken[name][0])
    return [
        *(within(f"{name}: p95 of {REQUESTS}", p95(each)) for name, each in taken.items()),
        *(beside_group_by(name, taken[name], environ["DATABASE_URL"]) for name in RANGES),
        within(f"first after a restart, the slowest: {first}", taken[first][0]),
        Result(
            what="adding up what was there",
            peer="10,000 rows/s",
            ours=rate,
            theirs=10_000,
            unit="rows/s",
            target=">= 1" if size >= 1_000_000 else "",  # a command takes seconds to start
        ),
    ]


def pages(workshop: Workshop, environ: dict[str, str]) -> dict[str, list[float]]:
    """What the page took, in ms, by range."""
    cookie = sign_in(environ)
    with workshop.serving(environ) as server:
        visitor = Visitor(server.port, cookie)
        visitor.get("/")
        taken = {
            name: [visitor.timed(f"/insights/?range={name}") for _ in range(REQUESTS)] for name in reversed(RANGES)
        }
        taken["to the second"] = [visitor.timed(f"/insights/?{any_dates()}") for _ in range(REQUESTS)]
    return taken


def any_dates() -> str:
    """From any second until any later one."""
    now = datetime.now(UTC)
    after, before = sorted(now - YEARS * random.random() for _ in range(2))
    return f"after={after:%Y-%m-%dT%H:%M:%SZ}&before={before + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"


def beside_group_by(name: str, taken: list[float], url: str) -> Result:
    length = RANGES[name] or YEARS * 2
    began = time.perf_counter()
    with psycopg.connect(url) as db:
        for statement in PEER:
            db.execute(statement.format(rows=ROWS).encode(), {"after": datetime.now(UTC) - length}).fetchall()
    theirs = (time.perf_counter() - began) * 1000
    return Result(
        what=f"{name}: median of {len(taken)}", peer="GROUP BY", ours=statistics.median(taken), theirs=theirs, unit="ms"
    )


def within(what: str, ours: float) -> Result:
    return Result(what=what, peer=f"{PAGE} ms", ours=ours, theirs=PAGE, unit="ms", target="<= 1")
