"""What the sample homeserver owes beyond Synapse's semantics (tests/synapse/test_contract.py)."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connections

from quarantine.homeserver.gateway import UnknownMediaError
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import HomeserverReadOnlyError
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.mxc import Mxc

# The ledger plays no part, so one engine under it is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

MALLORY = "@mallory:matrix.example"


@pytest.fixture
def sample():
    return SampleHomeserver(user_id="@admin:matrix.example")


def a_file(content=b"picture"):
    return File(sha256=hashlib.sha256(content).hexdigest(), media_length=len(content), upload_name="picture.png")


def feed_ids():
    return list(FeedChange.objects.order_by("stream_id").values_list("stream_id", flat=True))


@pytest.mark.parametrize("act", ["quarantine", "release"])
def test_media_and_feed_change_together_or_not_at_all(sample, act):
    media = sample.upload(a_file(), uploader=MALLORY)
    sample.quarantine(media)
    before = (sample.media(media), feed_ids())
    with connections["homeserver"].cursor() as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON quarantined_media_changes BEGIN SELECT RAISE(ABORT, 'full'); END"
        )

    with pytest.raises(DatabaseError, match="full"):
        getattr(SampleHomeserver(user_id="@other:matrix.example"), act)(media)

    assert (sample.media(media), feed_ids()) == before


@pytest.mark.django_db(transaction=True)
def test_moderators_at_once_take_each_id_once(sample):
    media = [sample.upload(a_file(bytes([number])), uploader=MALLORY) for number in range(40)]

    def quarantine(mxc):
        try:
            sample.quarantine(mxc)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(quarantine, media))

    assert feed_ids() == list(range(2, 42))
    assert set(FeedChange.objects.values_list("media_id", flat=True)) == {mxc.media_id for mxc in media}
    assert StreamPosition.objects.get().stream_id == 41


def test_user_with_more_media_than_one_statement_takes(sample):
    for number in range(1_200):
        sample.upload(a_file(b"%d" % number), uploader=MALLORY)

    assert sample.quarantine_user(MALLORY) == 1_200
    assert LocalMedia.objects.quarantined().count() == 1_200
    assert feed_ids() == list(range(2, 1_202))


def test_caching_remote_media_of_a_quarantined_hash_does_not_quarantine_it(sample):
    sample.quarantine(sample.upload(a_file(), uploader=MALLORY))

    sample.cache_remote(a_file(), mxc=Mxc("remote.example", "abc"))

    assert RemoteMedia.objects.get().quarantined_by is None


def test_id_of_another_server_protects_nothing_here(sample):
    ours = sample.upload(a_file(), uploader=MALLORY)

    with pytest.raises(UnknownMediaError):
        sample.protect(Mxc("remote.example", ours.media_id))

    assert not sample.media(ours).protected


def test_purge_forgets_only_what_was_last_used_before(sample):
    sample.cache_remote(a_file(), mxc=Mxc("remote.example", "old"), created_ts=999)
    sample.cache_remote(a_file(), mxc=Mxc("remote.example", "new"), created_ts=1_000)

    assert sample.purge_remote_cache(before_ts=1_000) == 1
    assert [media.media_id for media in RemoteMedia.objects.all()] == ["new"]


def test_refuses_while_a_homeserver_is_attached(attached_sqlite):
    with pytest.raises(HomeserverReadOnlyError, match="the sample homeserver is not in use"):
        SampleHomeserver(user_id="@admin:matrix.example")
