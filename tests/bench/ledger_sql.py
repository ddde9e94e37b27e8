"""A ledger of any size written by PostgreSQL itself: ten million changes in minutes, the same each time.

What the pages need and no more: changes, actions and the ledger's own row. Values are as uneven as real ones: few origins,
people and types make up most of it, thousands occur once; backfill lies at the beginning alone; some pairs of common
values never meet. Times span three years and end now.
"""

import psycopg

ACTIONS = 1_000
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = indexname JOIN pg_index ON indexrelid = oid
    WHERE tablename = 'quarantine_change' AND NOT indisunique
"""
STAFF = """
    INSERT INTO quarantine_staff (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active,
        date_joined, role)
    SELECT 1000 + i, '', false, 'mod' || i, '', '', '', false, true, now(), 'moderator' FROM generate_series(1, 30) i
"""
WORK = """
    INSERT INTO quarantine_action (id, verb, cause, target, category, reason, staff_id, created_at)
    SELECT i, 'quarantine', 'item', 'mxc://matrix.example/' || i, 'spam',
        (ARRAY['Spam wave', 'Reported by a user', 'Child safety', 'Known hash'])[1 + mod(i, 4)] || ' ' || i, 1001 + mod(i, 30), now()
    FROM generate_series(1, %(actions)s::int) i
"""
CHANGES = """
    INSERT INTO quarantine_change (stream_id, origin, media_id, local, quarantined, deleted, seen_at, not_before, changed_by,
        source, cause, action_id, media_type, media_class, media_length, upload_name, uploader, sha256, cut)
    SELECT i,
        CASE WHEN local THEN 'matrix.example' ELSE 'server' || floor(5000 * power(r1, 4)) || '.example' END,
        translate(encode(substr(hash, 1, 18), 'base64'), '+/', 'xy'), local,
        r2 < 0.85, r2 > 0.985, seen, CASE WHEN source <> 'backfill' THEN seen - interval '1 second' END,
        CASE source WHEN 'backfill' THEN '' WHEN 'action' THEN 'mod' || 1 + floor(30 * r3 * r3)
            WHEN 'audit' THEN 'system' ELSE CASE WHEN r3 < 0.7 THEN '' ELSE '@admin' || floor(50 * r1) || ':matrix.example' END END,
        source,
        CASE source WHEN 'audit' THEN 'hash' WHEN 'action' THEN (ARRAY['item', 'user', 'room', 'hash', 'origin', 'list'])[1 + floor(6 * r4)]
            ELSE 'unknown' END,
        CASE source WHEN 'action' THEN 1 + floor(%(actions)s * r4 * r4) END,
        kind, split_part(kind, '/', 1), floor(100 + 8e6 * power(r1, 5)),
        CASE WHEN r3 < 0.4 THEN 'IMG_' || 20230000 + mod(i, 9999) || '_' || mod(i, 86400) || '.jpg' WHEN r3 < 0.55 THEN ''
            WHEN r3 < 0.57 THEN 'cat ' || i || '.png' ELSE substr(encode(hash, 'hex'), 10, 4 + (10 * r1)::int) || '.' || split_part(kind, '/', 2) END,
        CASE WHEN local THEN '@user' || floor(20000 * power(r4, 3)) || ':matrix.example' ELSE '' END,
        sha256(int8send(floor(i * 0.8)::bigint)), false
    FROM (
        SELECT *, r0 < 0.35 AS local, sha256(int8send(i)) AS hash, now() - (%(total)s - i) * (interval '3 years' / %(total)s) AS seen,
            CASE WHEN i < %(total)s * 0.2 THEN 'backfill' WHEN r2 < 0.5 THEN 'feed' WHEN r2 < 0.8 THEN 'audit' ELSE 'action' END AS source,
            CASE WHEN r4 < 0.5 THEN 'image/jpeg' WHEN r4 < 0.72 THEN 'image/png' WHEN r4 < 0.84 THEN 'video/mp4' WHEN r4 < 0.92
                THEN 'image/webp' WHEN r4 < 0.97 THEN 'image/gif' WHEN r4 < 0.99 THEN 'application/pdf' WHEN r4 < 0.9999 THEN 'audio/ogg'
                ELSE 'application/x-rare' || floor(20 * r1) END AS kind
        FROM (
            SELECT i::bigint, random() AS r0, random() AS r1, random() AS r2, random() AS r3, random() AS r4
            FROM generate_series(%(first)s::bigint, %(last)s::bigint) i
        ) numbers
    ) facts
"""
LEDGER = """
    UPDATE quarantine_ledger SET head = %(total)s, last_seen_at = now(), quarantined_local = %(total)s * 0.2,
        quarantined_remote = %(total)s * 0.4, feed_read_at = now()
"""
STEP = 500_000


def fill(url: str, *, total: int) -> None:
    """Fill the prepared, empty ledger of this database."""
    with psycopg.connect(url, autocommit=True) as db:
        indexes = db.execute(INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(f"DROP INDEX {name}".encode())
        db.execute("SELECT setseed(0.5)")
        db.execute(STAFF)
        db.execute(WORK, {"actions": ACTIONS})
        for first in range(1, total + 1, STEP):
            last = min(first + STEP - 1, total)
            db.execute(CHANGES, {"total": total, "first": first, "last": last, "actions": ACTIONS})
        db.execute("SET maintenance_work_mem = '512MB'")
        for _, definition in indexes:
            db.execute(definition.encode())
        db.execute(LEDGER, {"total": total})
        db.execute("VACUUM ANALYZE quarantine_change")
        db.execute("VACUUM ANALYZE quarantine_action")
