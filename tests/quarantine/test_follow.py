"""`manage.py follow`: one run, standing by, being stopped and killed, and what it refuses."""

import random
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from quarantine import ledger
from quarantine.follow import Follower
from quarantine.models import Change, Ledger
from tests.quarantine.followers import eventually, follower
from tests.quarantine.ledger_checks import assert_sound
from tests.quarantine.synapse_tables import open_tables

FOLLOWING = "Following the homeserver's feed."
HASH = "a" * 64


def told():
    return list(Change.objects.order_by("stream_id").values_list("feed_id", flat=True))


# --- Once ---------------------------------------------------------------------------------


def test_once_reads_to_the_end_and_says_so(synapse, process_env):
    synapse.quarantine(2, "abc", sha256=HASH)
    synapse.quarantine(3, "abc")
    synapse.set_media("copy", by="system", sha256=HASH)

    with follower(process_env(), "--once", "--json") as process:
        status = process.process.wait()
        result = process.result()

    assert status == 0
    assert 0 < result.pop("seconds") < 10
    assert result == {
        "recorded": 1, "repeated": 1, "late": 0, "swept": 1, "position": 3, "head": 2, "open_holes": 0, "complete": True,
    }  # fmt: skip
    assert list(Change.objects.order_by("pk").values_list("media_id", flat=True)) == ["abc", "copy"]


@pytest.mark.sqlite
def test_once_waits_ten_seconds_for_a_hole_and_says_what_it_left(synapse_on_postgresql, process_env):
    synapse_on_postgresql.session().begin().take_xid()
    synapse_on_postgresql.quarantine(2, "abc")
    synapse_on_postgresql.quarantine(4, "xyz")

    with follower(process_env(), "--once", "--json") as process:
        status = process.process.wait()
        result = process.result()

    assert status == 0
    assert 10 <= result["seconds"] < 20
    assert (result["complete"], result["position"], result["head"]) == (False, 2, 1)
    assert told() == [2]


def test_once_is_not_cut_short_while_there_is_more_to_read(synapse, monkeypatch):
    monkeypatch.setattr("quarantine.follow.ONCE_PATIENCE", 0)
    synapse.add_history(range(2, 1_203))

    totals = Follower(threading.Event()).once()

    assert (totals.complete, totals.position, totals.recorded) == (True, 1_202, 1_201)


# --- What it refuses ----------------------------------------------------------------------


@pytest.mark.sqlite
def test_refusals_are_sentences(synapse, process_env):
    Ledger.objects.update(homeserver_name="other.example")
    synapse.set_media("abc")
    attempts = [
        (process_env(), ["--once"], 1, "This ledger records other.example"),
        (process_env(HOMESERVER_NAME="other.example"), ["--once"], 1, "users are of matrix.example"),
        (process_env(), ["--interval", "0"], 2, "--interval must be between"),
    ]

    with ExitStack() as stack:
        started = [stack.enter_context(follower(env, *options)) for env, options, _, _ in attempts]
        statuses = [process.process.wait() for process in started]

    assert statuses == [status for _, _, status, _ in attempts]
    assert [len(process.log) for process in started] == [1, 1, 1]
    for process, (*_, sentence) in zip(started, attempts, strict=True):
        assert sentence in process.log[0]


@pytest.fixture
def empty_database(request, engine, tmp_path):
    if engine == "sqlite":
        return f"sqlite:///{tmp_path}/not/even/a/folder.sqlite3"
    cluster = request.getfixturevalue("pg_cluster")
    return cluster.url_of(cluster.create_database("empty"))


def test_ledger_that_was_never_prepared_is_refused_with_a_sentence(synapse, process_env, empty_database):
    with follower(process_env(DATABASE_URL=empty_database)) as process:
        status = process.process.wait()

    assert status == 1
    assert len(process.log) == 1
    assert process.log[0].endswith("manage.py prepare")


# --- Being stopped ------------------------------------------------------------------------


def test_stops_at_once_when_told_to(synapse, process_env, engine):
    how = signal.SIGTERM if engine == "postgresql" else signal.SIGINT
    synapse.quarantine(2, "abc")

    with follower(process_env(), "--json", "--interval", "600") as process:
        eventually(lambda: told() == [2])
        started = time.monotonic()
        status = process.stop(how)
        took = time.monotonic() - started
        result = process.result()

    assert status == 0
    assert took < 5
    assert (result["recorded"], result["head"], result["complete"]) == (1, 1, True)
    assert process.logged("Traceback") == []


# --- Two followers ------------------------------------------------------------------------


def test_standby_takes_over_when_the_first_is_killed(synapse, process_env):
    with follower(process_env()) as first:
        first.wait_for(FOLLOWING)
        with follower(process_env()) as second:
            second.wait_for("standing by")
            synapse.quarantine(2, "abc")
            eventually(lambda: told() == [2])

            first.stop(signal.SIGKILL)
            second.wait_for(FOLLOWING)
            synapse.quarantine(3, "xyz")
            eventually(lambda: told() == [2, 3])
            status = second.stop()

    assert status == 0
    assert len(second.logged("standing by")) == 1
    assert first.logged("standing by") == []


# --- Killed at any moment -----------------------------------------------------------------


def stream_in(owner, stop, written):
    """Quarantine, release, quarantine … one row after another."""
    with open_tables(owner) as tables:
        feed_id = 2
        while not stop.wait(0.01):
            change = tables.release if feed_id % 2 else tables.quarantine
            change(feed_id, f"m{feed_id // 8}")
            written.append(feed_id)
            feed_id += 1


def test_killed_at_random_moments_it_loses_and_repeats_nothing(synapse, process_env):
    stop, written, kills = threading.Event(), [], 5
    writer = threading.Thread(target=stream_in, args=(synapse.owner, stop, written))
    writer.start()
    chance = random.Random(7)
    try:
        for _ in range(kills):
            with follower(process_env(), "--interval", "0.01") as process:
                head = ledger.current().head
                eventually(lambda head=head: ledger.current().head > head)
                time.sleep(chance.uniform(0, 0.3))  # the moment it is killed at
                assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    finally:
        stop.set()
        writer.join()

    Follower(threading.Event()).once()

    assert len(written) > 10 * kills
    assert told() == written  # each row of this stream changes its media
    assert_sound()


# --- The sweep ----------------------------------------------------------------------------


@pytest.mark.postgresql
def test_upload_quarantined_by_its_hash_is_found_within_half_a_minute(synapse, process_env):
    synapse.quarantine(2, "abc", sha256=HASH)
    synapse.set_media("earlier", by="system", sha256=HASH)

    with follower(process_env()) as process:
        eventually(lambda: Change.objects.count() == 2)  # the first sweep is over
        synapse.set_media("copy", by="system", sha256=HASH)
        synapse.set_media("other", by=None, sha256=HASH)
        took = eventually(lambda: Change.objects.count() == 3)
        process.stop()

    assert took < 30
    columns = ("media_id", "quarantined", "changed_by", "source", "cause")
    assert Change.objects.values_list(*columns).get(pk=3) == ("copy", True, "system", "audit", "hash")
