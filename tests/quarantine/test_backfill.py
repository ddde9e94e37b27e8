"""Backfill and audit: what the walk finds, and what becomes of it."""

import threading

import pytest
from django.db import connections

from quarantine import candidates
from quarantine.backfill import LOCK, Job
from quarantine.locks import only_one
from quarantine.models import Cause, Change, Leg, MediaItem, Run, Source, State
from quarantine.walk import Pace
from tests.quarantine.synapse_tables import MOD

pytestmark = pytest.mark.django_db(transaction=True)
BOTH = ["local", "remote"]
ALL = ["local", "remote", "held"]


def local(synapse, media_id, *, by=None, sha256=None, name="a.png"):
    synapse.set_media(media_id, by=by, sha256=sha256)
    synapse.execute("UPDATE local_media_repository SET upload_name = %s WHERE media_id = %s", (name, media_id))


def remote(synapse, media_id, *, by=None):
    synapse.set_media(media_id, by=by, origin="r.example")


def on_postgresql():
    return connections["homeserver"].vendor == "postgresql"


def job(kind=Run.Kind.BACKFILL, over=BOTH, **options):
    return Job(kind=kind, over=over, stop=options.pop("stop", threading.Event()), **options)


def audit(**options):
    return job(Run.Kind.AUDIT, ALL, **options).go()


def held():
    return set(MediaItem.objects.filter(state=State.QUARANTINED).values_list("origin", "media_id"))


def test_backfill_records_what_was_quarantined_before_we_looked(synapse):
    local(synapse, "seen", by=MOD, name="bad.png")
    local(synapse, "hashed", by="system")
    local(synapse, "visible")
    remote(synapse, "cached", by=MOD)

    report = job().go()

    assert (report.scanned, report.found, report.recorded, report.already, report.late) == (4, 3, 3, 0, 0)
    assert held() == {("matrix.example", "seen"), ("matrix.example", "hashed"), ("r.example", "cached")}
    told = Change.objects.values_list("media_id", "source", "cause", "changed_by", "upload_name")
    assert set(told) == {
        ("seen", Source.BACKFILL, Cause.UNKNOWN, MOD, "bad.png"),
        ("hashed", Source.BACKFILL, Cause.HASH, "system", "a.png"),
        ("cached", Source.BACKFILL, Cause.UNKNOWN, MOD, ""),
    }


def test_media_of_names_no_database_stores_is_recorded_once(synapse):
    names = ["m" * 10_240, "nothing special"] if on_postgresql() else ["m" * 10_240, "nul\x00"]
    for name in names:
        local(synapse, name, by=MOD)

    first, second = job().go(), job().go()

    assert (first.found, first.recorded, first.already) == (2, 2, 0)
    assert (second.found, second.recorded, second.already) == (2, 0, 2)


def test_a_second_backfill_records_nothing(synapse):
    local(synapse, "seen", by=MOD)
    job().go()

    again = job().go()

    assert (again.found, again.recorded, again.already) == (1, 0, 1)
    assert Change.objects.count() == 1
    assert [run.status for run in Run.objects.all()] == ["finished", "finished"]


def test_what_the_feed_tells_is_the_feeds(synapse):
    """Backfill follows the feed first, so the order in which an admin types things doesn't matter."""
    local(synapse, "told", by=MOD)
    synapse.add_row(2, "told", quarantined=True)

    report = job().go()

    assert list(Change.objects.values_list("media_id", "source", "feed_id")) == [("told", Source.FEED, 2)]
    assert (report.recorded, report.already) == (0, 1)


def test_media_released_between_the_look_and_the_append_is_not_recorded(synapse, monkeypatch):
    """The snapshot is old by the time it is used: the candidate is read again."""
    local(synapse, "released", by=MOD)
    confirm = Job.confirm

    def release_first(self, leg, windows):
        synapse.set_media("released", by=None)
        confirm(self, leg, windows)

    monkeypatch.setattr(Job, "confirm", release_first)
    report = job().go()

    assert (report.found, report.recorded, report.late) == (1, 0, 1)
    assert not Change.objects.exists()


def test_a_dry_run_writes_nothing_at_all(synapse):
    local(synapse, "seen", by=MOD)

    report = job(write=False).go()

    assert (report.run, report.found, report.drift) == (None, 1, 1)
    assert not Change.objects.exists()
    assert not Run.objects.exists()


def test_an_interrupted_run_goes_on_where_it_stopped(synapse, monkeypatch):
    monkeypatch.setattr(candidates, "BATCH", 2)
    for number in range(7):
        local(synapse, f"m{number}", by=MOD)
        remote(synapse, f"r{number}", by=MOD)
    stop = threading.Event()
    first = job(stop=stop, progress=lambda *_: stop.set()).go()

    second = job().go()

    assert first.interrupted
    assert not second.interrupted
    assert second.run == first.run
    assert len(held()) == 14
    assert Change.objects.count() == 14


def test_restart_begins_anew(synapse):
    local(synapse, "seen", by=MOD)
    stop = threading.Event()
    first = job(stop=stop, progress=lambda *_: stop.set()).go()

    second = job().go(restart=True)

    assert first.interrupted
    assert second.run != first.run
    assert Run.objects.get(pk=first.run).status == Run.Status.ABANDONED


def test_a_walk_over_several_snapshots_makes_one_further_pass(synapse):
    for number in range(50):
        local(synapse, f"m{number}", by=MOD, name="x" * 900)

    report = job(pace=Pace(window=1, max_snapshot=0.0), over=["local"]).go()

    assert report.passes == (2 if on_postgresql() else 1)  # on SQLite nothing moves
    assert (report.found, report.recorded) == (50, 50)


def test_a_rewritten_table_is_walked_from_its_start(synapse):
    if not on_postgresql():
        return  # rowids stay
    for number in range(100):
        local(synapse, f"m{number}", by=MOD, name="x" * 900)
    stop = threading.Event()
    job(stop=stop, over=["local"], pace=Pace(window=1), progress=lambda *_: stop.set()).go()
    leg = Leg.objects.get()
    assert 0 < leg.position < leg.end
    synapse.execute("VACUUM FULL local_media_repository")

    report = job(over=["local"]).go()

    assert len(held()) == 100
    assert report.recorded == 100


def test_audit_tells_deletion_from_release(synapse):
    local(synapse, "released", by=MOD, sha256="ab" * 32)
    local(synapse, "deleted", by=MOD, sha256="cd" * 32, name="evidence.png")
    local(synapse, "stays", by=MOD)
    job().go()
    synapse.set_media("released", by=None)
    synapse.execute("DELETE FROM local_media_repository WHERE media_id = 'deleted'")

    report = audit()

    assert report.recorded == 2
    newest = {change.media_id: change for change in Change.objects.order_by("stream_id")}
    assert newest["released"].state is State.RELEASED
    assert newest["deleted"].state is State.DELETED
    assert (newest["deleted"].upload_name, newest["deleted"].sha256) == ("evidence.png", "cd" * 32)
    assert held() == {("matrix.example", "stays")}
    assert audit(write=False).drift == 0


def test_audit_finds_what_the_feed_never_said(synapse):
    remote(synapse, "hashed", by="system")

    report = audit()

    assert report.recorded == 1
    assert list(Change.objects.values_list("source", "cause", "changed_by")) == [("audit", "hash", "system")]


def test_report_only_counts_and_records_nothing(synapse):
    local(synapse, "seen", by=MOD)
    job().go()
    synapse.set_media("seen", by=None)
    local(synapse, "new", by=MOD)

    report = audit(write=False)

    assert report.drift == 2
    assert Change.objects.count() == 1


def test_remote_media_purged_and_cached_again_is_judged_by_what_is_there(synapse):
    remote(synapse, "again", by=MOD)
    job().go()
    synapse.execute("DELETE FROM remote_media_cache WHERE media_id = 'again'")
    audit()
    remote(synapse, "again")

    report = audit()

    assert report.recorded == 0
    assert [change.state for change in Change.objects.order_by("stream_id")] == [State.QUARANTINED, State.DELETED]


def test_one_at_a_time(synapse):
    with only_one(LOCK) as ours, only_one(LOCK) as theirs:
        assert (ours, theirs) == (True, False)
