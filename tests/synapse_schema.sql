-- The tables of Synapse that the dashboard reads (schema version 94), for PostgreSQL and for SQLite.
CREATE TABLE local_media_repository (
    media_id TEXT, media_type TEXT, media_length INTEGER, created_ts BIGINT, upload_name TEXT, user_id TEXT,
    quarantined_by TEXT, url_cache TEXT, last_access_ts BIGINT,
    safe_from_quarantine BOOLEAN NOT NULL DEFAULT FALSE, authenticated BOOLEAN NOT NULL DEFAULT FALSE, sha256 TEXT,
    UNIQUE (media_id)
);
CREATE INDEX local_media_repository_url_idx ON local_media_repository (created_ts) WHERE url_cache IS NOT NULL;
CREATE INDEX users_have_local_media ON local_media_repository (user_id, created_ts);
CREATE INDEX local_media_repository_sha256 ON local_media_repository (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE remote_media_cache (
    media_origin TEXT, media_id TEXT, media_type TEXT, created_ts BIGINT, upload_name TEXT, media_length INTEGER,
    filesystem_id TEXT, last_access_ts BIGINT, quarantined_by TEXT,
    authenticated BOOLEAN NOT NULL DEFAULT FALSE, sha256 TEXT,
    UNIQUE (media_origin, media_id)
);
CREATE INDEX remote_media_cache_sha256 ON remote_media_cache (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE quarantined_media_changes (
    stream_id INTEGER PRIMARY KEY, instance_name TEXT NOT NULL, origin TEXT NULL, media_id TEXT NOT NULL,
    quarantined BOOLEAN NOT NULL
);

CREATE TABLE stream_positions (
    stream_name TEXT NOT NULL, instance_name TEXT NOT NULL, stream_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX stream_positions_idx ON stream_positions (stream_name, instance_name);
