"""What must be true of any ledger, whoever wrote it and however they died; and entries and rows to write it with."""

import time
from contextlib import contextmanager
from itertools import pairwise

from django.db import connection, connections, transaction

from quarantine import feed
from quarantine.chain import verification
from quarantine.entries import Entry
from quarantine.homeserver.feed import Reader
from quarantine.models import Change, Ledger, MediaItem, Source, State
from quarantine.mxc import Mxc

PATIENCE = 60  # seconds


def an_entry(media_id="abc", quarantined=True, *, origin="matrix.example", source=Source.FEED, **facts):
    return Entry(mxc=Mxc(origin, media_id), quarantined=quarantined, source=source, **facts)


def catch_up_fully(reader: Reader) -> None:
    """Step until nothing more may be taken in. Rows behind a hole stay for later."""
    while feed.catch_up(reader).more:
        pass


def rows(*fields):
    return list(Change.objects.order_by("stream_id").values_list(*fields))


def assert_sound():
    """No gap, no duplicate, no step back in time; the chain fits; MediaItem and the counters are the fold of the changes."""
    held = Ledger.objects.get()
    changes = list(Change.objects.order_by("stream_id"))
    assert [change.stream_id for change in changes] == list(range(1, held.head + 1))
    assert all(one.seen_at <= other.seen_at for one, other in pairwise(changes))
    assert held.last_seen_at == (changes[-1].seen_at if changes else None)
    checked = verification.check(verification.tables()[0])
    assert (checked.fault, checked.rows, checked.unsealed) == (None, len(changes), 0)
    assert states_held() == fold(changes)
    assert (held.quarantined_local, held.quarantined_remote) == (quarantined(local=True), quarantined(local=False))


def fold(changes):
    """Media -> (state, position) after these changes, each of which must have changed something."""
    states = {}
    for change in changes:
        before, _ = states.get(change.mxc, (State.RELEASED, 0))
        assert (before == State.QUARANTINED) != change.quarantined, f"{change} changes nothing"
        states[change.mxc] = (change.state, change.stream_id)
    return states


def states_held():
    """The same as MediaItem has it. Media of which only repeats were heard is not quarantined."""
    items = list(MediaItem.objects.all())
    assert {item.state for item in items if not item.stream_id} <= {State.RELEASED}
    return {item.mxc: (item.state, item.stream_id) for item in items if item.stream_id}


def quarantined(*, local):
    return MediaItem.objects.filter(state=State.QUARANTINED, local=local).count()


@contextmanager
def undone():
    """Both databases are afterwards as they were before: for each of many examples in one test."""
    with transaction.atomic(using="default"), transaction.atomic(using="homeserver"):
        yield
        for alias in connections:
            transaction.set_rollback(True, using=alias)


def wait_for_waiters(count):
    """Until so many wait for the ledger's lock. On SQLite nobody can be seen waiting; there they come when they come."""
    if connection.vendor == "sqlite":
        return
    waiting = 0
    deadline = time.monotonic() + PATIENCE
    while waiting < count and time.monotonic() < deadline:
        with connection.cursor() as db:
            db.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            [waiting] = db.fetchone()
    assert waiting == count
