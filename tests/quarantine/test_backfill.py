"""Backfill and audit: what the walk finds, and what becomes of it."""

import sqlite3
import threading

import psycopg
import pytest

from quarantine import backfill, ledger
from quarantine.backfill import Job
from quarantine.locks import only_one
from quarantine.models import Cause, Change, Leg, MediaItem, Run, Source, State
from quarantine.walk import Pace

pytestmark = pytest.mark.django_db(transaction=True)
MOD = "@mod:matrix.example"
BOTH = ["local", "remote"]
ALL = ["local", "remote", "held"]


class Homeserver:
    """An attached homeserver on either engine, written to as Synapse would."""

    def __init__(self, attached):
        self.attached = attached
        self.postgresql = attached.owner.startswith("postgres")

    def run(self, sql, *params):
        if self.postgresql:
            with psycopg.connect(self.attached.owner, autocommit=True) as owner:
                owner.execute(sql.replace("?", "%s"), params)
            return
        owner = sqlite3.connect(self.attached.owner, autocommit=True, timeout=20)
        owner.execute(sql, params)
        owner.close()

    def local(self, media_id, *, by=None, sha256=None, name="a.png"):
        self.run(
            "INSERT INTO local_media_repository (media_id, upload_name, user_id, quarantined_by, sha256, created_ts)"
            " VALUES (?, ?, '@u:matrix.example', ?, ?, 1700000000000)",
            media_id, name, by, sha256,
        )  # fmt: skip

    def remote(self, media_id, *, by=None):
        self.run(
            "INSERT INTO remote_media_cache (media_origin, media_id, quarantined_by) VALUES ('r.example', ?, ?)",
            media_id, by,
        )  # fmt: skip

    def set_local(self, media_id, *, by):
        self.run("UPDATE local_media_repository SET quarantined_by = ? WHERE media_id = ?", by, media_id)

    def feed(self, feed_id, media_id, *, quarantined, origin=None):
        self.run(
            "INSERT INTO quarantined_media_changes (stream_id, instance_name, origin, media_id, quarantined)"
            " VALUES (?, 'master', ?, ?, ?)",
            feed_id, origin, media_id, quarantined,
        )  # fmt: skip


@pytest.fixture(params=["attached_postgresql", "attached_sqlite"])
def homeserver(request):
    attached = request.getfixturevalue(request.param)
    ledger.bind()
    return Homeserver(attached)


def job(kind=Run.Kind.BACKFILL, over=BOTH, **options):
    return Job(kind=kind, over=over, stop=options.pop("stop", threading.Event()), **options)


def audit(**options):
    return job(Run.Kind.AUDIT, ALL, **options).go()


def held():
    return set(MediaItem.objects.filter(state=State.QUARANTINED).values_list("origin", "media_id"))


def test_backfill_records_what_was_quarantined_before_we_looked(homeserver):
    homeserver.local("seen", by=MOD, name="bad.png")
    homeserver.local("hashed", by="system")
    homeserver.local("visible")
    homeserver.remote("cached", by=MOD)

    report = job().go()

    assert (report.scanned, report.found, report.recorded, report.already, report.late) == (4, 3, 3, 0, 0)
    assert held() == {("matrix.example", "seen"), ("matrix.example", "hashed"), ("r.example", "cached")}
    told = Change.objects.values_list("media_id", "source", "cause", "changed_by", "upload_name")
    assert set(told) == {
        ("seen", Source.BACKFILL, Cause.UNKNOWN, MOD, "bad.png"),
        ("hashed", Source.BACKFILL, Cause.HASH, "system", "a.png"),
        ("cached", Source.BACKFILL, Cause.UNKNOWN, MOD, ""),
    }


def test_a_second_backfill_records_nothing(homeserver):
    homeserver.local("seen", by=MOD)
    job().go()

    again = job().go()

    assert (again.found, again.recorded, again.already) == (1, 0, 1)
    assert Change.objects.count() == 1
    assert [run.status for run in Run.objects.all()] == ["finished", "finished"]


def test_what_the_feed_tells_is_the_feeds(homeserver):
    """Backfill follows the feed first, so the order in which an admin types things doesn't matter."""
    homeserver.local("told", by=MOD)
    homeserver.feed(2, "told", quarantined=True)

    report = job().go()

    assert list(Change.objects.values_list("media_id", "source", "feed_id")) == [("told", Source.FEED, 2)]
    assert (report.recorded, report.already) == (0, 1)


def test_media_released_between_the_look_and_the_append_is_not_recorded(homeserver, monkeypatch):
    """The snapshot is old by the time it is used: the candidate is read again."""
    homeserver.local("released", by=MOD)
    confirm = Job.confirm

    def release_first(self, leg, windows):
        homeserver.set_local("released", by=None)
        confirm(self, leg, windows)

    monkeypatch.setattr(Job, "confirm", release_first)
    report = job().go()

    assert (report.found, report.recorded, report.late) == (1, 0, 1)
    assert not Change.objects.exists()


def test_a_dry_run_writes_nothing_at_all(homeserver):
    homeserver.local("seen", by=MOD)

    report = job(write=False).go()

    assert (report.run, report.found, report.drift) == (None, 1, 1)
    assert not Change.objects.exists()
    assert not Run.objects.exists()


def test_an_interrupted_run_goes_on_where_it_stopped(homeserver, monkeypatch):
    monkeypatch.setattr(backfill, "BATCH", 2)
    for number in range(7):
        homeserver.local(f"m{number}", by=MOD)
        homeserver.remote(f"r{number}", by=MOD)
    stop = threading.Event()
    first = job(stop=stop, progress=lambda *_: stop.set()).go()

    second = job().go()

    assert first.interrupted
    assert not second.interrupted
    assert second.run == first.run
    assert len(held()) == 14
    assert Change.objects.count() == 14


def test_restart_begins_anew(homeserver):
    homeserver.local("seen", by=MOD)
    stop = threading.Event()
    first = job(stop=stop, progress=lambda *_: stop.set()).go()

    second = job().go(restart=True)

    assert first.interrupted
    assert second.run != first.run
    assert Run.objects.get(pk=first.run).status == Run.Status.ABANDONED


def test_a_walk_over_several_snapshots_makes_one_further_pass(homeserver):
    for number in range(50):
        homeserver.local(f"m{number}", by=MOD, name="x" * 900)

    report = job(pace=Pace(window=1, max_snapshot=0.0), over=["local"]).go()

    assert report.passes == (2 if homeserver.postgresql else 1)  # on SQLite nothing moves
    assert (report.found, report.recorded) == (50, 50)


def test_a_rewritten_table_is_walked_from_its_start(homeserver):
    if not homeserver.postgresql:
        return  # rowids stay
    for number in range(100):
        homeserver.local(f"m{number}", by=MOD, name="x" * 900)
    stop = threading.Event()
    job(stop=stop, over=["local"], pace=Pace(window=1), progress=lambda *_: stop.set()).go()
    leg = Leg.objects.get()
    assert 0 < leg.position < leg.end
    homeserver.run("VACUUM FULL local_media_repository")

    report = job(over=["local"]).go()

    assert len(held()) == 100
    assert report.recorded == 100


def test_audit_tells_deletion_from_release(homeserver):
    homeserver.local("released", by=MOD, sha256="ab" * 32)
    homeserver.local("deleted", by=MOD, sha256="cd" * 32, name="evidence.png")
    homeserver.local("stays", by=MOD)
    job().go()
    homeserver.set_local("released", by=None)
    homeserver.run("DELETE FROM local_media_repository WHERE media_id = 'deleted'")

    report = audit()

    assert report.recorded == 2
    newest = {change.media_id: change for change in Change.objects.order_by("stream_id")}
    assert newest["released"].state is State.RELEASED
    assert newest["deleted"].state is State.DELETED
    assert (newest["deleted"].upload_name, newest["deleted"].sha256) == ("evidence.png", "cd" * 32)
    assert held() == {("matrix.example", "stays")}
    assert audit(write=False).drift == 0


def test_audit_finds_what_the_feed_never_said(homeserver):
    homeserver.remote("hashed", by="system")

    report = audit()

    assert report.recorded == 1
    assert list(Change.objects.values_list("source", "cause", "changed_by")) == [("audit", "hash", "system")]


def test_report_only_counts_and_records_nothing(homeserver):
    homeserver.local("seen", by=MOD)
    job().go()
    homeserver.set_local("seen", by=None)
    homeserver.local("new", by=MOD)

    report = audit(write=False)

    assert report.drift == 2
    assert Change.objects.count() == 1


def test_remote_media_purged_and_cached_again_is_judged_by_what_is_there(homeserver):
    homeserver.remote("again", by=MOD)
    job().go()
    homeserver.run("DELETE FROM remote_media_cache WHERE media_id = 'again'")
    audit()
    homeserver.remote("again")

    report = audit()

    assert report.recorded == 0
    assert [change.state for change in Change.objects.order_by("stream_id")] == [State.QUARANTINED, State.DELETED]


def test_quarantine_and_release_in_a_loop_never_leaves_a_wrong_state(homeserver):
    """While a thread quarantines and releases, with feed rows, backfills and audits run; afterwards both agree."""
    for number in range(20):
        homeserver.local(f"m{number}")
    done, feed_id = threading.Event(), 2

    def moderate():
        nonlocal feed_id
        for turn in range(60):
            media_id, quarantined = f"m{turn % 20}", turn // 20 != 1
            homeserver.set_local(media_id, by=MOD if quarantined else None)
            homeserver.feed(feed_id, media_id, quarantined=quarantined)
            feed_id += 1
        done.set()

    moderator = threading.Thread(target=moderate)
    moderator.start()
    while not done.is_set():
        job().go()
        audit()
    moderator.join()

    audit()
    assert held() == {("matrix.example", f"m{number}") for number in range(20)}
    assert audit(write=False).drift == 0
    per_media = {}
    for change in Change.objects.order_by("stream_id"):
        assert per_media.get(change.media_id) != change.state, "a repeat was recorded"
        per_media[change.media_id] = change.state


def test_one_at_a_time(homeserver):
    with only_one("walk") as ours, only_one("walk") as theirs:
        assert (ours, theirs) == (True, False)
