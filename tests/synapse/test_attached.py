"""What the dashboard reads of a real Synapse's tables is what Synapse says of itself."""

import pytest
from django.db import connections

from quarantine.homeserver import feed, media
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia, StreamPosition
from quarantine.homeserver.router import ALIAS
from quarantine.mxc import Mxc
from tests.synapse.worlds import eventually, fresh


@pytest.fixture
def world(engine, synapse_worlds, attach):
    world = synapse_worlds(engine)
    attach(world)
    return world


@pytest.mark.parametrize("model", [LocalMedia, RemoteMedia, FeedChange, StreamPosition])
def test_models_have_the_columns_of_the_tables(world, model):
    with connections[ALIAS].cursor() as db:
        table = db.db.introspection.get_table_description(db, model._meta.db_table)

    fields = {field.column: field for field in model._meta.concrete_fields if field.column}
    keys = {field.column for field in model._meta.pk_fields}  # Synapse lets some of these be NULL; they never are
    assert fields.keys() == {column.name for column in table}
    assert {name for name, field in fields.items() if field.null} == {
        column.name for column in table if column.null_ok
    } - keys


def test_media_is_read_as_the_admin_api_gives_it(world):
    content = fresh()
    plain, copy, protected = world.upload(fresh()), world.upload(content), world.upload(fresh())
    remote = world.cache_remote(content)
    world.admin.quarantine(copy)
    world.admin.protect(protected)
    everything = [plain, copy, protected, remote]

    found = media.read([*everything, Mxc(world.name, "NoSuchMedia"), Mxc("remote.example", "NoSuchMedia")])

    assert found == {mxc: world.admin.media(mxc) for mxc in everything}
    assert {row.mxc for row in media.with_hashes([found[copy].sha256])} == {copy, remote}


def test_feed_is_read_as_the_admin_api_gives_it(world):
    for mxc in (world.upload(fresh()), world.cache_remote(fresh())):
        world.admin.quarantine(mxc)
        world.admin.release(mxc)

    rows = feed.fetch_rows(at_or_above=0, limit=100_000)

    assert [(row.mxc, row.quarantined) for row in rows] == world.changes()
    assert eventually(lambda: feed.safe_position() == rows[-1].feed_id)
