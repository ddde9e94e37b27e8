"""A homeserver for tests that need its transactions to overlap, as Synapse's do.

Ids are taken when a transaction begins; its media and its rows appear together when it commits.
A transaction keeps others from its media until it ends, as row locks do.
"""

from dataclasses import dataclass, field

from django.conf import settings

from quarantine.homeserver import media
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.mxc import Mxc

MODELS = (LocalMedia, RemoteMedia, FeedChange)


@dataclass(frozen=True)
class Transaction:
    """A quarantine (`by` somebody) or a release (by None) under way."""

    rows: tuple[tuple[int, Mxc], ...]
    by: str | None


@dataclass(frozen=True)
class Backup:
    next_id: int
    tables: tuple[tuple[object, ...], ...]


@dataclass
class MadeUpHomeserver:
    next_id: int = 2
    under_way: list[Transaction] = field(default_factory=list)
    # The truth, for what a ledger says to be compared with.
    uploaded: set[Mxc] = field(default_factory=set)
    deleted: set[Mxc] = field(default_factory=set)
    released: set[Mxc] = field(default_factory=set)
    silent: set[Mxc] = field(default_factory=set)  # changed since the feed told of them
    actors: dict[int, str | None] = field(default_factory=dict)  # of the feed's rows
    restored: bool = False

    def begin(self, mxc, by):
        """Take ids for this media and its copies; None where another transaction has one of them."""
        concerned = self.copies(mxc, quarantine=by is not None)
        if not concerned or self.locked(*concerned):
            return None
        ids = range(self.next_id, self.next_id + len(concerned))
        self.next_id = ids.stop
        self.under_way.append(Transaction(tuple(zip(ids, concerned, strict=True)), by))
        return self.under_way[-1]

    def commit(self, transaction):
        self.under_way.remove(transaction)
        for feed_id, mxc in transaction.rows:
            self.row(mxc).update(quarantined_by=transaction.by)
            origin = None if is_local(mxc) else mxc.origin
            told = {"origin": origin, "media_id": mxc.media_id, "quarantined": transaction.by is not None}
            FeedChange.objects.create(stream_id=feed_id, instance_name="master", **told)
            self.actors[feed_id] = transaction.by
            self.silent.discard(mxc)
            if transaction.by is None:
                self.released.add(mxc)

    def roll_back(self, transaction):
        self.under_way.remove(transaction)

    def upload(self, mxc, sha256):
        """Local ids are never given out twice; remote media may come back."""
        file, sample = File(sha256=sha256), SampleHomeserver("@admin:matrix.example")
        if is_local(mxc) and mxc not in self.uploaded:
            sample.upload(file, uploader="@user:matrix.example", media_id=mxc.media_id)
            if self.row(mxc).exclude(quarantined_by=None).exists():
                self.silent.add(mxc)
        elif not is_local(mxc) and not self.row(mxc).exists():
            sample.cache_remote(file, mxc=mxc)
        self.uploaded.add(mxc)

    def delete(self, mxc):
        """As the Admin API does for local media; remote media is forgotten unless quarantined."""
        row = self.row(mxc) if is_local(mxc) else self.row(mxc).filter(quarantined_by=None)
        if not self.locked(mxc) and row.delete()[0] and is_local(mxc):
            self.deleted.add(mxc)
            self.silent.add(mxc)

    def protect(self, mxc):
        if is_local(mxc):
            self.row(mxc).update(safe_from_quarantine=True)

    def backup(self):
        return Backup(self.next_id, tuple(tuple(model.objects.all()) for model in MODELS))

    def restore(self, backup):
        """Ids, too, start again where they were."""
        self.under_way.clear()
        for model, rows in zip(MODELS, backup.tables, strict=True):
            model.objects.all().delete()
            model.objects.bulk_create(rows)
        self.next_id = backup.next_id
        self.restored = True

    # --- Asking ---------------------------------------------------------------------------

    def quarantined(self):
        local = {Mxc(settings.HOMESERVER_NAME, row.media_id) for row in LocalMedia.objects.quarantined()}
        return local | {Mxc(row.media_origin, row.media_id) for row in RemoteMedia.objects.quarantined()}

    def copies(self, mxc, *, quarantine):
        found = media.read([mxc]).get(mxc)
        if found is None:
            return []
        rows = media.with_hashes([found.sha256]) if found.sha256 else [found]
        return [row.mxc for row in rows if not (quarantine and row.protected)]

    def locked(self, *keys):
        return any(mxc in keys for transaction in self.under_way for _, mxc in transaction.rows)

    def row(self, mxc):
        if is_local(mxc):
            return LocalMedia.objects.filter(media_id=mxc.media_id)
        return RemoteMedia.objects.filter(media_origin=mxc.origin, media_id=mxc.media_id)


def is_local(mxc):
    return mxc.origin == settings.HOMESERVER_NAME
