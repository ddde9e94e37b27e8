"""Timeline pages over HTTP, every filter and the worst pairs, beside Django's admin over the same table.

A page kept by the server would be measured in place of the ledger, so each request asks for another one: at a cursor
drawn from the newest fifth, or with the next of several values. Only "newest page" is asked for as people do.
The menus of a view and how many match are worked out by the first of its pages: that one has a line of its own.
"""

import random
import statistics
import time
from collections.abc import Iterator

from tests.bench.report import Result
from tests.bench.workshop import Visitor, Workshop, cpu_seconds, p95, sign_in
from tests.environment import manage

REQUESTS = 40
ADMIN_REQUESTS = 5  # they take seconds on a large table
PEER = "Django admin"
# The timeline's query, and the admin's for the same rows where it has one.
FILTERS = {
    "everything": ("", ""),
    "released": ("state=released", "quarantined__exact=0"),
    "remote": ("scope=remote", "local__exact=0"),
    "an origin": ("origin=server0.example", "origin=server0.example"),
    "a rare origin": ("origin=server4711.example", "origin=server4711.example"),
    "by a moderator": ("by=mod1", "changed_by=mod1"),
    "source": ("source=audit", "source__exact=audit"),
    "cause": ("cause=hash", "cause__exact=hash"),
    "a type": ("type=video/mp4", "media_type=video/mp4"),
    "a class": ("type=image", "media_class=image"),
    "an uploader": ("uploader=@user7:matrix.example", "uploader=@user7:matrix.example"),
    "an action": ("action=7", "action__id__exact=7"),
    "a category": ("category=spam", ""),
    "words": ("q=cat", "q=cat"),
    "words, no match": ("q=zzzzqqqq", "q=zzzzqqqq"),
    "last year": ("after={year}", ""),
}
PAIRS = {
    "remote × moderator": ("scope=remote&by=mod1", "local__exact=0&changed_by=mod1"),
    "released × video": ("state=released&type=video/mp4", "quarantined__exact=0&media_type=video/mp4"),
    "two that never meet": ("source=backfill&by=mod1", "source__exact=backfill&changed_by=mod1"),
    "rare origin × class": ("origin=server4711.example&type=image", "origin=server4711.example&media_class=image"),
    "words × released": ("q=cat&state=released", "q=cat&quarantined__exact=0"),
}


def measure(workshop: Workshop, size: int) -> list[Result]:
    small = Timeline(workshop, size // 10)
    large = Timeline(workshop, size)
    return [*beside_the_admin(large), *as_it_grows(small, large), newest(large)]


class Timeline:
    """A filled ledger of `size` changes and what its pages took, in ms."""

    def __init__(self, workshop: Workshop, size: int) -> None:
        self.workshop, self.size = workshop, size
        self.environ = workshop.filled(size)
        self.cookie = sign_in(self.environ)
        self.taken: dict[str, list[float]] = {}
        with workshop.serving(self.environ) as server:
            visitor = Visitor(server.port, self.cookie)
            visitor.get("/?q=warm")
            for name, (query, _) in (FILTERS | PAIRS).items():
                self.taken[name] = [visitor.timed(path) for path in paths(query, size)]
            deep = (f"/?cursor={random.randint(size // 100, size // 50)}" for _ in range(REQUESTS))
            self.taken["far back"] = [visitor.timed(path) for path in deep]
            self.cpu, self.rate = busiest(visitor, server.process.pid)

    def all(self) -> list[float]:
        return [taken for name in FILTERS | PAIRS for taken in self.taken[name]]

    def admin(self) -> dict[str, list[float]]:
        """What the admin takes for the same, where it can."""
        folder = {"DATA_DIR": self.environ["DATA_DIR"] + "-admin"}  # its static files are others
        environ = self.environ | folder | {"DJANGO_SETTINGS_MODULE": "tests.bench.admin_settings"}
        manage(environ, "prepare")
        with self.workshop.serving(environ) as server:
            visitor = Visitor(server.port, self.cookie)
            address = "/admin/quarantine/change/"
            visitor.get(address)
            return {
                name: [visitor.timed(f"{address}?{query}") for _ in range(ADMIN_REQUESTS)]
                for name, (ours, query) in (FILTERS | PAIRS).items()
                if query or not ours
            }


def paths(query: str, size: int) -> Iterator[str]:
    year = f"{time.localtime().tm_year - 1}-{time.localtime().tm_mon:02}-01"
    for _ in range(REQUESTS):
        yield f"/?{query.format(year=year)}&cursor={random.randint(size * 4 // 5, size)}"


def busiest(visitor: Visitor, pid: int) -> tuple[float, float]:
    """CPU milliseconds and pages a second of the newest page, asked for again and again by one reader."""
    pages = 200
    before, began = cpu_seconds(pid), time.perf_counter()
    for _ in range(pages):
        visitor.get("/")
    return (cpu_seconds(pid) - before) * 1000 / pages, pages / (time.perf_counter() - began)


def beside_the_admin(timeline: Timeline) -> list[Result]:
    theirs = timeline.admin()
    lines = []
    for name, taken in timeline.taken.items():
        same = theirs.get(name)
        peer = f"{PEER}, {len(same)} requests" if same else "60 ms"
        lines.append(
            Result(
                what=f"{name}: p95 of {len(taken)}" if not same else f"{name}: median",
                peer=peer,
                ours=statistics.median(taken) if same else p95(taken),
                theirs=statistics.median(same) if same else 60,
                unit="ms",
                target="<= 0.1" if same and timeline.size >= 10_000_000 else "" if same else "<= 1",
            )
        )
    worst = max(timeline.taken, key=lambda name: p95(timeline.taken[name]))
    most = p95(timeline.taken[worst])
    first = max(FILTERS | PAIRS, key=lambda name: timeline.taken[name][0])
    longest = timeline.taken[first][0]
    return [
        *lines,
        Result(what=f"worst p95: {worst}", peer="60 ms", ours=most, theirs=60, unit="ms", target="<= 1"),
        Result(
            what=f"first page, the slowest: {first}", peer="60 ms", ours=longest, theirs=60, unit="ms", target="<= 1"
        ),
    ]


def as_it_grows(small: Timeline, large: Timeline) -> list[Result]:
    far, near = large.taken["far back"], large.taken["everything"]
    return [
        Result(
            what="all filters and pairs, mean",
            peer=f"{small.size:,} changes",
            ours=statistics.mean(large.all()),
            theirs=statistics.mean(small.all()),
            unit="ms",
            target="<= 1.3",
        ),
        Result(
            what="far back, median",
            peer="near the head",
            ours=statistics.median(far),
            theirs=statistics.median(near),
            unit="ms",
            target="about 1",
        ),
    ]


def newest(timeline: Timeline) -> Result:
    return Result(
        what=f"newest page, one reader ({timeline.cpu:.1f} ms of CPU)",
        peer="100 pages/s",
        ours=timeline.rate,
        theirs=100,
        unit="pages/s",
        target=">= 1",
    )
