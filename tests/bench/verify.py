"""Checking the record: every content digested, every link followed, beside merely reading the same rows."""

import json
import subprocess
import sys
import time

import psycopg

from tests.bench.report import Result
from tests.bench.workshop import Workshop
from tests.environment import ROOT

WANTED = 100_000  # rows/s
COPY = "COPY quarantine_change TO STDOUT (FORMAT binary)"
SEAL = ("salts", "digest", "chain")


def measure(workshop: Workshop, size: int) -> list[Result]:
    environ = workshop.ledger(f"verify_{size}")
    subprocess.run([sys.executable, "-m", "tests.bench.verify", str(size)], cwd=ROOT, env=environ, check=True)
    ours, theirs = [], []
    for _ in range(3):
        ours.append(size / verified(environ))
        theirs.append(size / copied(environ))
    what = f"manage.py verify, {size:,} changes, best of three"
    return [
        Result(what=what, peer="what is asked of it", ours=max(ours), theirs=WANTED, unit="rows/s", target=">= 1"),
        Result(what="the same", peer="COPY: read, not checked", ours=max(ours), theirs=max(theirs), unit="rows/s"),
    ]


def verified(environ: dict[str, str]) -> float:
    """Seconds for the ledger alone, the start of the processes that help included."""
    command = [sys.executable, "manage.py", "verify", "--from", "1", "--json"]
    run = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])["seconds"]


def copied(environ: dict[str, str]) -> float:
    began = time.perf_counter()
    with psycopg.connect(environ["DATABASE_URL"]) as db, db.cursor().copy(COPY) as copy:
        for _ in copy:
            pass
    return time.perf_counter() - began


# --- A sealed ledger: python -m tests.bench.verify SIZE -----------------------------------


def main(size: int) -> None:
    import django  # noqa: PLC0415 - not where it is measured

    django.setup()
    from django.db import transaction  # noqa: PLC0415 - as above

    from quarantine import bulk  # noqa: PLC0415 - as above
    from quarantine.models import Change, Ledger  # noqa: PLC0415 - as above
    from quarantine.sealing import FIELDS  # noqa: PLC0415 - as above

    ledger = Ledger.objects.get()
    with transaction.atomic(), bulk.without_indexes(Change):
        bulk.load(Change, ("stream_id", "seen_at", *FIELDS, *SEAL), rows(size, ledger), using="default")
        ledger.head = size
        ledger.save()


def rows(size: int, ledger):
    from django.utils import timezone  # noqa: PLC0415 - as above

    from quarantine.sealing import link, seal  # noqa: PLC0415 - as above
    from quarantine.seals import genesis  # noqa: PLC0415 - as above

    now, ledger.chain, ledger.chain_from = timezone.now(), genesis("quarantine_change"), 1
    for one in range(1, size + 1):
        facts = ("matrix.example", f"media{one}", True, True, False, now, "feed", "unknown", None, 1, one + 1)
        content = (*facts, "image/jpeg", "image", one, f"{one:064x}", False, "@mod:matrix.example", f"IMG_{one}.jpg", f"@user{one}:matrix.example")  # fmt: skip
        made = seal(content)
        ledger.chain = link(ledger.chain, one, now, made.digest)
        yield (one, now, *content, made.salts, made.digest, ledger.chain)


if __name__ == "__main__":
    main(int(sys.argv[1]))
