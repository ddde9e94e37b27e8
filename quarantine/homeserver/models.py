"""Synapse's tables, column for column (schema version 94).

Managed, so that migrations create the sample homeserver's; when attached, the router keeps
migrations and writes away. Columns are named one by one: old servers carry extra ones.
The state of media is `quarantined_by IS NOT NULL`, never its newest feed row: media
quarantined by hash has no row, deleted media has stale ones.
"""

from typing import Self

from django.db import models
from django.db.models import Q


class LocalMediaQuerySet(models.QuerySet["LocalMedia"]):
    def quarantined(self) -> Self:
        return self.filter(quarantined_by__isnull=False)


class LocalMedia(models.Model):
    media_id = models.TextField(primary_key=True)
    media_type = models.TextField(null=True)
    media_length = models.IntegerField(null=True)
    created_ts = models.BigIntegerField(null=True)  # ms since the epoch
    upload_name = models.TextField(null=True)
    user_id = models.TextField(null=True)
    quarantined_by = models.TextField(null=True)  # the last actor alone: a Matrix user or "system"
    url_cache = models.TextField(null=True)  # set: a preview of a web page, not an upload
    last_access_ts = models.BigIntegerField(null=True)
    safe_from_quarantine = models.BooleanField(default=False)
    authenticated = models.BooleanField(default=False)
    sha256 = models.TextField(null=True)  # lower-case hex; null before Synapse 1.128

    objects = LocalMediaQuerySet.as_manager()

    class Meta:
        db_table = "local_media_repository"
        indexes = [
            models.Index(fields=["sha256"], name="local_media_sha256", condition=Q(sha256__isnull=False)),
            models.Index(fields=["user_id", "created_ts"], name="users_have_local_media"),
        ]

    def __str__(self) -> str:
        return self.media_id


class RemoteMediaQuerySet(models.QuerySet["RemoteMedia"]):
    def quarantined(self) -> Self:
        return self.filter(quarantined_by__isnull=False)


class RemoteMedia(models.Model):
    """A cached copy of another server's file. Synapse keeps no uploader and no protection for these."""

    pk = models.CompositePrimaryKey("media_origin", "media_id")
    media_origin = models.TextField()
    media_id = models.TextField()
    media_type = models.TextField(null=True)
    created_ts = models.BigIntegerField(null=True)
    upload_name = models.TextField(null=True)
    media_length = models.IntegerField(null=True)
    filesystem_id = models.TextField(null=True)
    last_access_ts = models.BigIntegerField(null=True)
    quarantined_by = models.TextField(null=True)
    authenticated = models.BooleanField(default=False)
    sha256 = models.TextField(null=True)

    objects = RemoteMediaQuerySet.as_manager()

    class Meta:
        db_table = "remote_media_cache"
        indexes = [models.Index(fields=["sha256"], name="remote_media_sha256", condition=Q(sha256__isnull=False))]

    def __str__(self) -> str:
        return f"{self.media_origin}/{self.media_id}"


class FeedChange(models.Model):
    """A row of the homeserver's own stream: no time, no actor, with repeats and holes."""

    stream_id = models.IntegerField(primary_key=True)
    instance_name = models.TextField()
    origin = models.TextField(null=True)  # null: local media
    media_id = models.TextField()
    quarantined = models.BooleanField()

    class Meta:
        db_table = "quarantined_media_changes"

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.origin or ''}/{self.media_id}"


class StreamPosition(models.Model):
    """How far each writer has surely committed. The grant to read it may be missing."""

    pk = models.CompositePrimaryKey("stream_name", "instance_name")
    stream_name = models.TextField()
    instance_name = models.TextField()
    stream_id = models.BigIntegerField()

    class Meta:
        db_table = "stream_positions"

    def __str__(self) -> str:
        return f"{self.stream_name} {self.instance_name} {self.stream_id}"
