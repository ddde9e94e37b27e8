"""`manage.py backfill` beside Synapse's own way to find what is quarantined already, on the same tables.

Synapse pages through the media by key: so many quarantined ones, ordered, from the last one on; as many as take 100 ms,
then it rests for a second. That bounds what a statement returns, not what it reads. Both end with everything recorded:
ours in the ledger, with a snapshot of each media item; theirs as rows of the stream.
"""

import json
import time
from dataclasses import dataclass, field

import psycopg

from tests.bench.report import Result
from tests.bench.workshop import Workshop
from tests.environment import manage

SHARES = (0.0, 0.0001, 0.01)  # of the media is quarantined; ever more, so that one filling will do
# Room on each page, so that quarantining a file leaves its row where it is: else they would all lie together at the end.
SCHEMA = """
    CREATE TABLE local_media_repository (
        media_id text, media_type text, media_length integer, created_ts bigint, upload_name text, user_id text,
        quarantined_by text, url_cache text, last_access_ts bigint, safe_from_quarantine boolean NOT NULL DEFAULT false,
        authenticated boolean NOT NULL DEFAULT false, sha256 text
    ) WITH (fillfactor = 90);
    CREATE TABLE remote_media_cache (
        media_origin text, media_id text, media_type text, created_ts bigint, upload_name text, media_length integer,
        filesystem_id text, last_access_ts bigint, quarantined_by text, authenticated boolean NOT NULL DEFAULT false, sha256 text
    ) WITH (fillfactor = 90);
    CREATE TABLE quarantined_media_changes (
        stream_id integer PRIMARY KEY, instance_name text NOT NULL, origin text, media_id text NOT NULL, quarantined boolean NOT NULL
    );
    CREATE TABLE stream_positions (stream_name text NOT NULL, instance_name text NOT NULL, stream_id bigint NOT NULL);
"""
FACTS = """
    SELECT translate(encode(substr(sha256(int8send(i)), 1, 18), 'base64'), '+/', 'xy') AS media_id, 'image/jpeg' AS media_type,
        (1000 + mod(i * 7919, 4000000))::integer AS media_length, 1700000000000 + i AS created_ts, 'IMG_' || i || '.jpg' AS upload_name,
        encode(sha256(int8send(-i)), 'hex') AS sha256, i
    FROM generate_series({first}::bigint, {last}::bigint) AS i
"""
LOCAL = """
    INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, upload_name, user_id, last_access_ts, sha256)
    SELECT media_id, media_type, media_length, created_ts, upload_name, '@user' || mod(i, 20000) || ':matrix.example', created_ts, sha256
    FROM ({facts}) facts
"""
REMOTE = """
    INSERT INTO remote_media_cache (media_origin, media_id, media_type, media_length, created_ts, upload_name, filesystem_id, last_access_ts, sha256)
    SELECT 'server' || mod(i, 3000) || '.example', media_id, media_type, media_length, created_ts, upload_name, media_id, created_ts, sha256
    FROM ({facts}) facts
"""
INDEXES = """
    SET maintenance_work_mem = '512MB';
    CREATE UNIQUE INDEX ON local_media_repository (media_id);
    CREATE INDEX ON local_media_repository (sha256) WHERE sha256 IS NOT NULL;
    CREATE INDEX ON local_media_repository (user_id, created_ts);
    CREATE UNIQUE INDEX ON remote_media_cache (media_origin, media_id);
    CREATE INDEX ON remote_media_cache (sha256) WHERE sha256 IS NOT NULL;
"""
TABLES = ("local_media_repository", "remote_media_cache")

# --- Synapse's way ------------------------------------------------------------------------

TARGET_MS, FIRST_BATCH, REST, DECAY = 100, 100, 1.0, 0.1
NEXT = {
    "local_media_repository": "SELECT NULL, media_id FROM local_media_repository WHERE quarantined_by IS NOT NULL"
    " AND media_id > %s ORDER BY media_id LIMIT %s",
    "remote_media_cache": "SELECT media_origin, media_id FROM remote_media_cache WHERE quarantined_by IS NOT NULL"
    " AND (media_origin, media_id) > (%s, %s) ORDER BY media_origin, media_id LIMIT %s",
}
APPEND = "INSERT INTO quarantined_media_changes VALUES (%s, 'master', %s, %s, true)"


@dataclass
class Upstream:
    """Both tables in one transaction, batch by batch. Its rests are counted, not taken."""

    db: psycopg.Connection
    cursors: dict[str, tuple] = field(
        default_factory=lambda: {"local_media_repository": ("",), "remote_media_cache": ("", "")}
    )
    stream_id: int = 1
    batches: int = 0
    work: float = 0.0  # seconds
    longest_ms: float = 0.0
    mean_items: float = 0.0
    mean_ms: float = 0.0

    def run(self) -> None:
        found = True
        while found:
            began = time.perf_counter()
            with self.db.transaction():
                found = sum(self.step(table) for table in list(self.cursors))
            taken = time.perf_counter() - began
            self.work += taken
            self.batches += 1
            self.note(found, taken * 1000)

    def step(self, table: str) -> int:
        began = time.perf_counter()
        rows = self.db.execute(NEXT[table], (*self.cursors[table], self.batch_size())).fetchall()
        self.longest_ms = max(self.longest_ms, (time.perf_counter() - began) * 1000)
        if not rows:
            del self.cursors[table]
            return 0
        self.cursors[table] = tuple(name for name in rows[-1] if name is not None)
        with self.db.cursor() as cursor:
            cursor.executemany(APPEND, [(self.stream_id + n, *row) for n, row in enumerate(rows, 1)])
        self.stream_id += len(rows)
        return len(rows)

    def batch_size(self) -> int:
        return max(int(TARGET_MS * self.mean_items / self.mean_ms), 1) if self.mean_ms else FIRST_BATCH

    def note(self, items: int, ms: float) -> None:
        """Means that forget."""
        weight = DECAY if self.batches > 1 else 1.0
        self.mean_items += weight * (items - self.mean_items)
        self.mean_ms += weight * (ms - self.mean_ms)

    @property
    def seconds(self) -> float:
        return self.work + REST * self.batches


# --- Both ---------------------------------------------------------------------------------


def measure(workshop: Workshop, size: int) -> list[Result]:
    cluster = workshop.owned.cluster
    database = cluster.create_database("synapse")
    owner = cluster.url_of(database)
    fill(owner, size)
    return [result for share in SHARES for result in compared(workshop, owner, size=size, share=share)]


def fill(owner: str, size: int) -> None:
    """So many rows, half of them local; no order of the ids is that of the pages."""
    half = size // 2
    with psycopg.connect(owner, autocommit=True) as db:
        db.execute(SCHEMA)
        db.execute(LOCAL.format(facts=FACTS.format(first=1, last=half)))
        db.execute(REMOTE.format(facts=FACTS.format(first=half + 1, last=size)))
        db.execute(INDEXES)


def quarantine(owner: str, share: float) -> None:
    with psycopg.connect(owner, autocommit=True) as db:
        db.execute("TRUNCATE quarantined_media_changes")
        for table in TABLES:
            below = f"{int(share * 2**32):08x}"
            update = f"UPDATE {table} SET quarantined_by = '@mod:matrix.example' WHERE substr(md5(media_id), 1, 8) < %s"
            if share:
                db.execute(update, (below,))
            db.execute(f"VACUUM ANALYZE {table}")
        db.execute("CHECKPOINT")  # or whoever reads first waits for what filling left to be written


def compared(workshop: Workshop, owner: str, *, size: int, share: float) -> list[Result]:
    quarantine(owner, share)
    attached = {"HOMESERVER_DATABASE_URL": owner, "HOMESERVER_NAME": "matrix.example"}
    environ = workshop.ledger(f"backfill_{share * 10_000:.0f}", **attached)
    ours = json.loads(manage(environ, "backfill", "--no-input", "--json").splitlines()[-1])
    with psycopg.connect(owner) as db:
        theirs = Upstream(db)
        theirs.run()
        db.rollback()
    # What one snapshot does not reach is walked over twice.
    if ours["scanned"] < size // 2 * 2 or ours["recorded"] != theirs.stream_id - 1:
        msg = f"We read {ours['scanned']:,} rows and recorded {ours['recorded']:,}; Synapse's way found {theirs.stream_id - 1:,}."
        raise RuntimeError(msg)
    return lines(ours, theirs, size=size, target=">= 10" if share == max(SHARES) else "")


def lines(ours: dict, theirs: Upstream, *, size: int, target: str) -> list[Result]:
    what = f"{ours['recorded']:,} of {size:,} quarantined"
    mine, rested, unrested = size / ours["seconds"], size / theirs.seconds, size / theirs.work
    rests = f"Synapse's way, its rests ({theirs.batches} of 1 s) counted in"
    found, longest = f"{what}: found and recorded", f"{what}: longest statement (ours at most 50 ms)"
    return [
        Result(what=found, peer=rests, ours=mine, theirs=rested, unit="rows/s", target=target),
        Result(what=found, peer="Synapse's way, without its rests", ours=mine, theirs=unrested, unit="rows/s"),
        Result(
            what=longest, peer="Synapse's way", ours=ours["longest_statement_ms"], theirs=theirs.longest_ms, unit="ms"
        ),
    ]
