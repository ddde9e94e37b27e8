"""Appends by sixteen writers at once, 500 a batch, through the gate; beside a plain bulk insert without its lock.

The peer's positions come from a sequence, as one would do without a gate; it checks no state, keeps no counters and drops
no repeats. While either is written a reader polls with the last position it saw as its cursor, as programs do: what it
never gets to see is lost to it.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context

import psycopg

from tests.bench.report import Result
from tests.bench.workshop import Workshop
from tests.environment import ROOT

WRITERS = 16
BATCH = 500
PAGE = 1_000
SEQUENCE = "CREATE SEQUENCE positions"


@dataclass(frozen=True)
class Written:
    rows: int
    seconds: float
    lost: int  # of them, to the reader

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def measure(workshop: Workshop, size: int) -> list[Result]:
    """So many rows each way, in whole batches of all writers."""
    batches = max(2, size // (WRITERS * BATCH))
    ours, plain, bare = (written(workshop, kind, batches) for kind in WAYS)
    return [
        Result(
            what=f"{ours.rows:,} changes by {WRITERS} writers, {BATCH} a batch",
            peer=f"Django's bulk_create, no lock; it lost its reader {plain.lost:,} ({plain.lost / plain.rows:.1%}), we {ours.lost}",
            ours=ours.rate,
            theirs=plain.rate,
            unit="rows/s",
            target=">= 0.6",
        ),
        Result(
            what="the same",
            peer=f"the gate's own statement, no lock, states or counters; lost {bare.lost:,} ({bare.lost / bare.rows:.1%})",
            ours=ours.rate,
            theirs=bare.rate,
            unit="rows/s",
        ),
    ]


def written(workshop: Workshop, kind: str, batches: int) -> Written:
    environ = workshop.ledger(f"appends_{kind}")
    total = WRITERS * BATCH * batches
    with psycopg.connect(environ["DATABASE_URL"], autocommit=True) as db:
        db.execute(SEQUENCE)
        command = [sys.executable, "-m", "tests.bench.appends", kind, str(batches)]
        with subprocess.Popen(command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE) as writers:
            seen = polled(db, writers)
            seconds = float(writers.stdout.read())
        [[rows]] = db.execute("SELECT count(*) FROM quarantine_change").fetchall()
    if rows != total:
        msg = f"{kind}: {rows:,} of {total:,} rows were written."
        raise RuntimeError(msg)
    return Written(rows=rows, seconds=seconds, lost=rows - seen)


def polled(db: psycopg.Connection, writers: subprocess.Popen) -> int:
    """Rows seen until the writers have ended and nothing is left."""
    after, seen = 0, 0
    while True:
        ended = writers.poll() is not None
        query = "SELECT stream_id FROM quarantine_change WHERE stream_id > %s ORDER BY stream_id LIMIT %s"
        page = db.execute(query, (after, PAGE)).fetchall()
        seen += len(page)
        if page:
            [after] = page[-1]
        elif ended:
            return seen
        else:
            time.sleep(0.005)


# --- The writers' side: python -m tests.bench.appends KIND BATCHES ------------------------


def main(kind: str, batches: int) -> None:
    """Fork the writers, let them go at once, and print the seconds until the last has ended."""
    import django  # noqa: PLC0415 - not where it is measured

    django.setup()
    context = get_context("fork")
    start = context.Barrier(WRITERS + 1)
    writers = [context.Process(target=work, args=(kind, batches, number, start)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    start.wait()
    began = time.perf_counter()
    for writer in writers:
        writer.join()
    print(time.perf_counter() - began)
    sys.exit(any(writer.exitcode for writer in writers))


def work(kind: str, batches: int, number: int, start) -> None:
    from django.db import connection  # noqa: PLC0415 - as above

    connection.ensure_connection()
    start.wait()
    for batch in range(batches):
        WAYS[kind](f"{number}-{batch}")


def facts(name: str) -> list[dict]:
    """A batch of media as it comes from a homeserver."""
    return [
        {
            "media_type": "image/jpeg",
            "media_length": 1_000 + one,
            "upload_name": f"IMG_{name}_{one}.jpg",
            "uploader": f"@user{one}:matrix.example",
            "sha256": os.urandom(32).hex(),
        }
        for one in range(BATCH)
    ]


def through_the_gate(name: str) -> None:
    from quarantine import ledger  # noqa: PLC0415 - as above
    from quarantine.entries import Entry  # noqa: PLC0415 - as above
    from quarantine.models import Source  # noqa: PLC0415 - as above
    from quarantine.mxc import Mxc  # noqa: PLC0415 - as above

    entries = [
        Entry(mxc=Mxc("evil.example", f"{name}-{one}"), quarantined=True, source=Source.FEED, **each)
        for one, each in enumerate(facts(name))
    ]
    ledger.append(entries)


def in_bulk(name: str, *, bare: bool = False) -> None:
    from django.db import connection, transaction  # noqa: PLC0415 - as above
    from django.utils import timezone  # noqa: PLC0415 - as above

    from quarantine.bulk import insert  # noqa: PLC0415 - as above
    from quarantine.models import Change, Source  # noqa: PLC0415 - as above

    with transaction.atomic():
        with connection.cursor() as db:
            db.execute("SELECT nextval('positions') FROM generate_series(1, %s)", [BATCH])
            positions = [position for [position] in db.fetchall()]
        rows = [
            Change(
                stream_id=position,
                origin="evil.example",
                media_id=f"{name}-{position}",
                local=False,
                quarantined=True,
                seen_at=timezone.now(),
                source=Source.FEED,
                media_class="image",
                **each,
            )
            for position, each in zip(positions, facts(name), strict=True)
        ]
        insert(rows) if bare else Change.objects.bulk_create(rows)


WAYS = {"gate": through_the_gate, "bulk": in_bulk, "bare": lambda name: in_bulk(name, bare=True)}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
