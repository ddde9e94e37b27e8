"""What a homeserver does when asked for a whole user or room, at uploads of a known hash, and at deletion.

One suite, run against the sample homeserver and against a real Synapse on PostgreSQL and on
SQLite. Each test is a row of a table measured on Synapse 1.163.
"""

import pytest

from quarantine.homeserver.gateway import HomeserverError, UnknownMediaError
from quarantine.mxc import Mxc
from tests.synapse.worlds import NONE, actors, eventually, fresh, off, on

# The ledger plays no part, so one engine under it is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


# --- By user and by room ------------------------------------------------------------------


def test_by_user_skips_what_is_protected_or_already_so(world, new_rows):
    world.admin.quarantine_user(world.user_id("mallory"))
    already, fine, protected, other = (world.upload(fresh(), by="mallory") for _ in range(4))
    not_hers = world.upload(fresh())
    world.admin.quarantine(already)
    world.admin.protect(protected)
    new_rows()

    first = world.admin.quarantine_user(world.user_id("mallory"))
    again = world.admin.quarantine_user(world.user_id("mallory"))

    assert (first, again) == (2, 0)
    assert new_rows() == on(fine, other)
    assert actors(world, protected, not_hers) == [None, None]


def test_by_user_follows_the_hash_to_copies_of_others(world, new_rows):
    world.admin.quarantine_user(world.user_id("mallory"))
    content = fresh()
    hers, his, remote = world.upload(content, by="mallory"), world.upload(content), world.cache_remote(content)
    new_rows()

    count = world.admin.quarantine_user(world.user_id("mallory"))

    assert count == 3
    assert new_rows() == on(hers, his, remote)


@pytest.mark.parametrize("user", ["@nobody:elsewhere.example", "not a user id"])
def test_by_unknown_user_is_no_error(world, new_rows, user):
    assert world.admin.quarantine_user(user) == 0
    assert new_rows() == NONE


def test_by_room_counts_and_appends_again_each_time(world, new_rows):
    local, remote, elsewhere = world.upload(fresh()), world.cache_remote(fresh()), world.upload(fresh())
    room = world.post_in_room([local, remote])

    first = world.admin.quarantine_room(room)
    rows_of_first = new_rows()
    again = world.admin.quarantine_room(room)

    assert (first, again) == (2, 2)
    assert rows_of_first == new_rows() == on(local, remote)
    assert actors(world, elsewhere) == [None]


def test_by_unknown_room_is_no_error(world, new_rows):
    assert world.admin.quarantine_room("!nowhere:remote.example") == 0
    assert new_rows() == NONE


# --- Uploads of a known hash --------------------------------------------------------------


@pytest.mark.parametrize("where", ["local", "remote"])
def test_upload_of_a_quarantined_hash_is_quarantined_by_system_without_a_row(world, new_rows, where):
    content = fresh()
    known = world.upload(content) if where == "local" else world.cache_remote(content)
    world.admin.quarantine(known)
    new_rows()

    again = world.upload(content)

    assert new_rows() == NONE
    assert actors(world, again) == ["system"]


def test_release_of_what_system_quarantined_has_a_row(world, new_rows):
    content = fresh()
    known = world.upload(content)
    world.admin.quarantine(known)
    again = world.upload(content)
    new_rows()

    world.admin.release(again)

    assert new_rows() == off(known, again)
    assert actors(world, known, again) == [None, None]


def test_hash_is_forgotten_with_the_last_copy(world):
    content = fresh()
    only = world.upload(content)
    world.admin.quarantine(only)
    world.delete(only)

    again = world.upload(content)

    assert actors(world, again) == [None]


# --- Deletion -----------------------------------------------------------------------------


def test_deletion_takes_the_media_and_leaves_the_feed(world, new_rows):
    media = world.upload(fresh())
    world.admin.quarantine(media)

    world.delete(media)
    world.admin.quarantine(media)
    world.admin.release(media)

    assert new_rows() == on(media)
    assert world.admin.media(media) is None


def test_remote_media_cannot_be_deleted(world, new_rows):
    remote = world.cache_remote(fresh())

    with pytest.raises(HomeserverError, match="Can only delete local media"):
        world.delete(remote)

    assert new_rows() == NONE
    assert actors(world, remote) == [None]


def test_unknown_media_cannot_be_deleted(world):
    with pytest.raises(UnknownMediaError):
        world.delete(Mxc(world.name, "NoSuchMedia"))


def test_purge_keeps_quarantined_remote_media_and_the_feed(world, new_rows):
    local = world.upload(fresh())
    world.purge_remote_cache()
    kept, released = world.cache_remote(fresh()), world.cache_remote(fresh())
    for media in (kept, released):
        world.admin.quarantine(media)
    world.admin.release(released)

    purged = world.purge_remote_cache()

    assert purged == 1
    assert new_rows() == on(kept, released) + off(released)
    assert world.admin.media(released) is None
    assert actors(world, kept, local) == [world.admin.user_id, None]


# --- The feed -----------------------------------------------------------------------------


def test_feed_starts_at_2_without_gaps_and_its_position_follows(world):
    world.admin.quarantine(world.upload(fresh()))
    world.admin.release(world.upload(fresh()))

    ids = [row.feed_id for row in world.feed()]

    assert ids == list(range(2, len(ids) + 2))
    assert eventually(lambda: world.position() == ids[-1])


def test_origin_is_null_for_local_media_alone(world):
    local, remote = world.upload(fresh()), world.cache_remote(fresh())

    world.admin.quarantine(local)
    world.admin.quarantine(remote)

    assert [row.origin for row in world.feed()[-2:]] == [None, remote.origin]


def test_facts_are_those_of_the_upload(world):
    content = fresh()

    media = world.admin.media(world.upload(content, by="mallory"))

    assert media.local
    assert (media.uploader, media.media_length) == (world.user_id("mallory"), len(content))
    assert (media.media_type, media.upload_name) == ("video/mp4", "clip.mp4")
