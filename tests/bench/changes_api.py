"""The changes API beside the endpoint it stands in for: that of a real Synapse whose table holds as many changes.

One process each, on one PostgreSQL; the clients are a process of their own (tests.bench.http_client) and read every byte.
Our rows carry eighteen fields, Synapse's three. Both are measured several times in turn; the medians count.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from tests.bench.report import Result
from tests.bench.workshop import Workshop
from tests.environment import ROOT, manage
from tests.synapse.installation import installed
from tests.synapse.lab import running_lab

PATH = "/_synapse/admin/v1/media/quarantine_changes"
CLIENTS, SECONDS, ROUNDS = 8, 6, 3
SOME = 50_000  # changes
PEER = "Synapse's endpoint"
# Ids 2 to N + 1, as the first N quarantines of an empty server have them.
FILL = """
    INSERT INTO quarantined_media_changes (stream_id, instance_name, origin, media_id, quarantined)
    SELECT i, 'master', CASE WHEN mod(i, 3) > 0 THEN 'server' || mod(i, 997) || '.example' END,
        translate(encode(substr(sha256(int8send(i)), 1, 18), 'base64'), '+/', 'xy'), mod(i, 7) > 0
    FROM generate_series(2::bigint, %s + 1) i
"""
POSITION = """
    INSERT INTO stream_positions (stream_name, instance_name, stream_id) VALUES ('quarantined_media', 'master', %s)
    ON CONFLICT (stream_name, instance_name) DO UPDATE SET stream_id = excluded.stream_id
"""


@dataclass(frozen=True)
class Endpoint:
    url: str
    token: str
    head: int

    def run(self, job: str, *arguments: object) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.bench.http_client", job, self.url, PATH, self.token, *arguments]
        done = subprocess.run(map(str, command), cwd=ROOT, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def pages(self, *, clients: int = CLIENTS, highest: int | None = None) -> dict[str, float]:
        """From random places, or all from the head."""
        lowest, highest = (self.head, self.head) if highest is None else (0, highest)
        return self.run("pages", clients, SECONDS, lowest, highest)

    def catch_up(self, query: str = "", *, upto: int | None = None) -> dict[str, float]:
        return self.run("catch-up", upto or self.head, query)


@contextmanager
def synapse(workshop: Workshop, size: int) -> Iterator[Endpoint]:
    folder = workshop.folder / "synapse"
    folder.mkdir()
    cluster = workshop.owned.cluster
    place = cluster.url_of(cluster.create_database("synapse"))
    with running_lab(folder, place, installed()) as lab:
        token = lab.register("admin", admin=True).token
        lab.stop()  # it keeps its positions in memory
        lab.database.run(FILL, size)
        lab.database.run(POSITION, size + 1)
        lab.database.run("SELECT setval('quarantined_media_id_seq', %s)", size + 1)
        lab.database.run("VACUUM ANALYZE quarantined_media_changes")
        lab.start()
        yield Endpoint(lab.url, token, size + 1)


@contextmanager
def dashboard(workshop: Workshop, size: int) -> Iterator[Endpoint]:
    environ = workshop.filled(size)
    token = manage(environ, "token", "create", "bench", "--scope", "changes:read").splitlines()[-1]
    with workshop.serving(environ) as server:
        yield Endpoint(server.url, token, size)
    manage(environ, "token", "revoke", "bench")


def measure(workshop: Workshop, size: int) -> list[Result]:
    with ExitStack() as stack:
        theirs = stack.enter_context(synapse(workshop, size))
        ours = stack.enter_context(dashboard(workshop, size))
        return [*pages(ours, theirs, size=size), *heads(ours, theirs), *catching_up(ours, theirs, size=size)]


def pages(ours: Endpoint, theirs: Endpoint, *, size: int) -> list[Result]:
    highest = size - 100  # whole pages only
    turns = [(ours.pages(highest=highest), theirs.pages(highest=highest)) for _ in range(ROUNDS)]
    what = f"pages of 100 from anywhere, {CLIENTS} clients"
    return [
        result(what, turns, key="rate", unit="requests/s", target=">= 5"),
        result(f"{what}, p95", turns, key="p95_ms", unit="ms"),
    ]


def heads(ours: Endpoint, theirs: Endpoint) -> list[Result]:
    turns = [(ours.pages(), theirs.pages())]
    return [result(f"nothing new, {CLIENTS} clients", turns, key="rate", unit="requests/s")]


def catching_up(ours: Endpoint, theirs: Endpoint, *, size: int) -> list[Result]:
    """One client, every page read as JSON. A page of ours holds up to 1,000 when asked; Synapse's 100 whatever one asks."""
    our, their = ours.catch_up("&limit=1000&deleted=1"), theirs.catch_up()
    assert our["rows"] == their["rows"] == size
    some = min(size, SOME)
    ours_by_100, theirs_by_100 = ours.catch_up("&deleted=1", upto=some), theirs.catch_up(upto=some)
    assert ours_by_100["rows"] == some
    return [
        result(
            f"catch-up of {size:,} from 0, our pages of 1,000", [(our, their)], key="rate", unit="rows/s", target=">= 8"
        ),
        result(f"catch-up of {some:,} from 0, pages of 100", [(ours_by_100, theirs_by_100)], key="rate", unit="rows/s"),
    ]


def result(
    what: str, turns: list[tuple[dict[str, float], dict[str, float]]], *, key: str, unit: str, target: str = ""
) -> Result:
    ours, theirs = (median(turn[side][key] for turn in turns) for side in (0, 1))
    return Result(what=what, peer=PEER, ours=ours, theirs=theirs, unit=unit, target=target)
