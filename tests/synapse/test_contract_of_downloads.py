"""What a homeserver does when asked for a file: quarantined ones too, and none that only another server has.

One suite, run against the sample homeserver and against a real Synapse on PostgreSQL and on SQLite.
"""

import hashlib

import pytest

from quarantine.homeserver.gateway import TooLargeError, UnknownMediaError
from quarantine.mxc import Mxc
from tests.synapse.worlds import fresh

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


@pytest.fixture
def reading(world, request, synapse_worlds):
    """The `homeserver` alias reads the world's own tables: a download looks there first."""
    if request.node.callspec.params["world"] != "sample":
        request.getfixturevalue("attach")(world)
    return world


@pytest.fixture
def download(reading):
    """A function: type, name and bytes of the file."""

    def fetch(mxc, **limit):
        with reading.admin.download(mxc, **limit) as file:
            content = b"".join(file.chunks)
            assert file.length in {None, len(content)}
            return file.content_type, file.upload_name, content

    return fetch


def test_quarantined_media_can_be_looked_at(reading, download, request):
    content = fresh()
    local, remote = reading.upload(content), reading.cache_remote(content)
    reading.admin.quarantine(local)

    answers = [download(local), download(remote)]

    assert answers[0][1] == "clip.mp4"
    if request.node.callspec.params["world"] != "sample":  # which keeps no bytes
        assert [(kind, got) for kind, _, got in answers] == [("video/mp4", content)] * 2


def test_what_is_not_here_is_not_fetched_from_elsewhere(reading, download):
    gone, purged = reading.upload(fresh()), reading.cache_remote(fresh())
    reading.delete(gone)
    reading.purge_remote_cache()

    for mxc in (gone, purged, Mxc("remote.example", "never-seen"), Mxc(reading.name, "never-seen"), Mxc("a/b", "..")):
        with pytest.raises(UnknownMediaError):
            download(mxc)


def test_a_file_larger_than_asked_for_is_refused(reading, download):
    mxc = reading.upload(hashlib.shake_128(fresh()).digest(100_000))

    with pytest.raises(TooLargeError):
        download(mxc, limit=10)
