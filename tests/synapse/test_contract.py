"""What a homeserver does when asked to quarantine, release, protect and delete: one suite, run against
the sample homeserver and against a real Synapse on PostgreSQL and on SQLite.

Each test is a row of a table measured on Synapse 1.163. `new_rows` is what it appended to its feed.
"""

from collections import Counter

import pytest

from quarantine.homeserver.gateway import HomeserverError, UnknownMediaError
from quarantine.mxc import Mxc
from tests.synapse.worlds import SampleWorld, SynapseWorld, eventually, fresh

# The ledger plays no part, so one engine under it is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture(scope="module")
def synapse_worlds(request):
    """The worlds around the real servers, made when first asked for."""
    made = {}

    def world(engine):
        if engine not in made:
            made[engine] = SynapseWorld(request.getfixturevalue(f"synapse_on_{engine}"))
        return made[engine]

    return world


@pytest.fixture(params=["sample", "postgresql", "sqlite"])
def world(request, db, synapse_worlds):
    return SampleWorld() if request.param == "sample" else synapse_worlds(request.param)


@pytest.fixture
def new_rows(world):
    """A function: what was appended to the feed since it was last called, in any order."""
    seen = len(world.feed())

    def rows():
        nonlocal seen
        appended = world.feed()[seen:]
        seen += len(appended)
        return Counter((Mxc(row.origin or world.name, row.media_id), row.quarantined) for row in appended)

    return rows


NONE = Counter()


def on(*media):
    return Counter((mxc, True) for mxc in media)


def off(*media):
    return Counter((mxc, False) for mxc in media)


def actors(world, *media):
    """Who quarantined each; None: not quarantined."""
    return [world.admin.media(mxc).quarantined_by for mxc in media]


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
    assert (media.media_type, media.upload_name) == ("image/png", "picture.png")
