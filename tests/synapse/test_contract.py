"""What a homeserver does when asked to quarantine, release and protect media by its id.

One suite, run against the sample homeserver and against a real Synapse on PostgreSQL and on
SQLite. Each test is a row of a table measured on Synapse 1.163.
"""

import pytest

from quarantine.homeserver.gateway import UnknownMediaError
from quarantine.mxc import Mxc
from tests.synapse.worlds import NONE, actors, fresh, off, on

# The ledger plays no part, so one engine under it is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


# --- By id --------------------------------------------------------------------------------


def test_quarantine_names_the_admin_and_appends_a_row(world, new_rows):
    local, remote = world.upload(fresh()), world.cache_remote(fresh())

    world.admin.quarantine(local)
    world.admin.quarantine(remote)

    assert new_rows() == on(local, remote)
    assert actors(world, local, remote) == [world.admin.user_id] * 2


def test_quarantine_again_appends_one_more_row(world, new_rows):
    media = world.upload(fresh())
    world.admin.quarantine(media)
    new_rows()

    world.admin.quarantine(media)

    assert new_rows() == on(media)


def test_last_admin_alone_is_kept(world):
    media = world.upload(fresh())

    world.admin.quarantine(media)
    world.other_admin.quarantine(media)

    assert actors(world, media) == [world.other_admin.user_id]


def test_release_appends_a_row(world, new_rows):
    media = world.upload(fresh())
    world.admin.quarantine(media)
    new_rows()

    world.admin.release(media)

    assert new_rows() == off(media)
    assert actors(world, media) == [None]


def test_release_of_media_not_quarantined_appends_a_row_each_time(world, new_rows):
    media = world.upload(fresh())

    world.admin.release(media)
    world.admin.release(media)

    assert new_rows() == off(media, media)


@pytest.mark.parametrize("origin", ["ours", "remote.example"])
def test_unknown_media_is_no_error_and_no_row(world, new_rows, origin):
    unknown = Mxc(world.name if origin == "ours" else origin, "NoSuchMedia")

    world.admin.quarantine(unknown)
    world.admin.release(unknown)

    assert new_rows() == NONE
    assert world.admin.media(unknown) is None


def test_origin_is_case_sensitive(world, new_rows):
    media = world.upload(fresh())

    world.admin.quarantine(Mxc(media.origin.upper(), media.media_id))

    assert new_rows() == NONE
    assert actors(world, media) == [None]


# --- Protection ---------------------------------------------------------------------------


def test_protected_media_is_skipped_in_silence(world, new_rows):
    media = world.upload(fresh())
    world.admin.protect(media)

    world.admin.quarantine(media)

    assert new_rows() == NONE
    assert actors(world, media) == [None]


def test_protection_does_not_block_release(world, new_rows):
    media = world.upload(fresh())
    world.admin.quarantine(media)
    world.admin.protect(media)
    new_rows()

    world.admin.release(media)

    assert new_rows() == off(media)
    assert actors(world, media) == [None]


def test_protection_leaves_quarantine_and_feed_alone(world, new_rows):
    media = world.upload(fresh())
    world.admin.quarantine(media)
    new_rows()

    world.admin.protect(media)
    protected = world.admin.media(media)
    world.admin.unprotect(media)

    assert new_rows() == NONE
    assert (protected.protected, protected.quarantined_by) == (True, world.admin.user_id)
    assert not world.admin.media(media).protected


def test_only_local_media_can_be_protected(world):
    remote = world.cache_remote(fresh())

    for media in (remote, Mxc(world.name, "NoSuchMedia")):
        with pytest.raises(UnknownMediaError):
            world.admin.protect(media)
        with pytest.raises(UnknownMediaError):
            world.admin.unprotect(media)


# --- Copies -------------------------------------------------------------------------------


def test_quarantine_follows_the_hash_to_local_and_remote_copies(world, new_rows):
    content = fresh()
    first, second, protected = (world.upload(content) for _ in range(3))
    remote, other_remote = world.cache_remote(content), world.cache_remote(content, origin="evil.example")
    unlike = world.upload(fresh())
    world.admin.protect(protected)

    world.admin.quarantine(remote)

    everywhere = [first, second, remote, other_remote]
    assert new_rows() == on(*everywhere)
    assert actors(world, *everywhere) == [world.admin.user_id] * 4
    assert actors(world, protected, unlike) == [None, None]


def test_naming_a_protected_copy_quarantines_no_copy(world, new_rows):
    content = fresh()
    named, other = world.upload(content), world.upload(content)
    world.admin.protect(named)

    world.admin.quarantine(named)

    assert new_rows() == NONE
    assert actors(world, named, other) == [None, None]


def test_release_of_one_copy_releases_every_copy(world, new_rows):
    content = fresh()
    first, second, remote = world.upload(content), world.upload(content), world.cache_remote(content)
    world.admin.quarantine(first)
    world.admin.protect(first)
    new_rows()

    world.admin.release(second)

    assert new_rows() == off(first, second, remote)
    assert actors(world, first, second, remote) == [None] * 3


def test_without_a_hash_only_the_named_media_changes(world, new_rows):
    content = fresh()
    old, copy = world.upload(content), world.upload(content)
    old_remote = world.cache_remote(content)
    world.forget_hash(old)
    world.forget_hash(old_remote)

    world.admin.quarantine(old)
    world.admin.quarantine(old_remote)

    assert new_rows() == on(old, old_remote)
    assert actors(world, copy) == [None]
