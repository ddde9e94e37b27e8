"""The backfill page: for admins, true about its runs, and usable without scripts."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from quarantine import runner
from quarantine.accounts.staff import NotAllowedError
from quarantine.backfill import Job
from quarantine.models import Leg, Role, Run
from quarantine.runner import Runner
from tests.factories import make_ledger, make_local_media, make_staff
from tests.html import region

pytestmark = pytest.mark.django_db
URL = "/backfill/"


@pytest.fixture
def admin(client, db):
    make_ledger()
    staff = make_staff("root", role=Role.ADMIN)
    client.force_login(staff)
    return staff


def make_run(*, status=Run.Status.RUNNING, ago=0, **leg):
    now = datetime.now(UTC) - timedelta(seconds=ago)
    run = Run.objects.create(kind=Run.Kind.BACKFILL, status=status, started_at=now, updated_at=now, seconds=10)
    Leg.objects.create(run=run, over="local", **({"position": 50, "end": 100, "scanned": 5_000} | leg))
    return run


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MODERATOR, Role.LEAD])
@pytest.mark.parametrize(
    ("method", "path"), [("get", URL), ("post", "/backfill/audit/start/"), ("post", "/backfill/1/pause/")]
)
def test_only_admins_are_let_in(client, role, method, path):
    make_ledger()
    make_run()
    client.force_login(make_staff("mod", role=role))

    assert getattr(client, method)(path).status_code == 403
    assert Run.objects.count() == 1


def test_auditors_read_and_are_offered_nothing(client):
    make_ledger()
    run = make_run()
    client.force_login(make_staff("ada", role=Role.AUDITOR))

    page = client.get(URL)

    assert page.status_code == 200
    assert "/start/" not in page.text
    assert "/pause/" not in page.text
    assert client.post("/backfill/audit/start/").status_code == 403
    assert client.post(f"/backfill/{run.pk}/pause/").status_code == 403
    assert list(Run.objects.values_list("pk", "pause_asked")) == [(run.pk, False)]


def test_the_core_refuses_too(db):
    with pytest.raises(NotAllowedError):
        runner.ask(Run.Kind.BACKFILL, staff=make_staff("mod", role=Role.MODERATOR))


def test_before_any_run_it_says_what_there_is_to_do(client, admin):
    page = client.get(URL)

    assert page.status_code == 200
    assert "Nothing has run yet" in page.text
    assert 'hx-trigger="every 2s"' not in page.text  # nothing moves, so nothing is polled


def test_a_run_under_way_shows_progress_rate_and_time_left(client, admin):
    make_run()

    page = client.get(URL).text

    for said in ("50%", "5,000 rows read", "500 <small>rows/s</small>", "About 10 s left", 'hx-trigger="every 2s"'):
        assert said in page


def test_nothing_is_said_of_statements_where_none_was_measured(client, admin):
    """The ledger's own list is no table of the homeserver."""
    run = make_run(longest_statement_ms=3.5)
    Leg.objects.create(run=run, over="held", scanned=70, found=2)

    [local, held] = [part.partition("</section>")[0] for part in client.get(URL).text.split('card" aria-label="')[1:]]

    assert "Longest statement <b>3.5 ms" in local
    assert "<b>2</b> no longer so" in held
    assert "statement" not in held


def test_the_swap_is_a_slice_of_the_page(client, admin):
    make_run(status=Run.Status.FINISHED, done=True)

    swap = client.get(URL, headers={"HX-Request": "true", "HX-Target": "runs"})

    assert "<html" not in swap.text
    assert "Finished" in region(swap, "runs")


def test_a_killed_run_is_not_called_running(client, admin):
    make_run(ago=600)

    page = client.get(URL).text

    assert "Stopped without a word" in page
    assert "Running" not in page


def test_the_page_costs_the_same_queries_however_many_runs(client, admin, django_assert_num_queries):
    for _ in range(5):
        make_run(status=Run.Status.FINISHED)

    with django_assert_num_queries(4):  # session, account, runs, legs
        client.get(URL)


def test_start_asks_once_and_go_on_resumes_the_same_run(client, admin):
    client.post("/backfill/backfill/start/")
    client.post("/backfill/backfill/start/")

    [run] = Run.objects.all()
    assert run.status == Run.Status.REQUESTED
    assert list(run.legs.order_by("pk").values_list("over", flat=True)) == ["local", "remote"]
    assert run.staff == admin


def test_pausing_a_waiting_run_stops_it_and_a_running_one_is_asked(client, admin):
    waiting = runner.ask(Run.Kind.BACKFILL, staff=admin)
    client.post(f"/backfill/{waiting.pk}/pause/")
    running = make_run()
    client.post(f"/backfill/{running.pk}/pause/")

    waiting.refresh_from_db()
    running.refresh_from_db()
    assert waiting.status == Run.Status.STOPPED
    assert (running.status, running.pause_asked) == (Run.Status.RUNNING, True)


@pytest.mark.parametrize("path", ["/backfill/nonsense/start/", "/backfill/999/pause/"])
def test_what_is_not_there_is_not_found(client, admin, path):
    assert client.post(path).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_the_follower_begins_what_was_asked_for(admin):
    make_local_media("bad", quarantined_by="@mod:matrix.example")
    run = runner.ask(Run.Kind.BACKFILL, staff=admin)
    beside = Runner(threading.Event())

    beside.tick()
    beside.thread.join(timeout=30)

    run.refresh_from_db()
    assert run.status == Run.Status.FINISHED
    assert sum(run.legs.values_list("recorded", flat=True)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_paused_run_stops_and_goes_on_when_asked_again(admin):
    make_local_media("bad", quarantined_by="@mod:matrix.example")
    run = runner.ask(Run.Kind.BACKFILL, staff=admin)
    Run.objects.update(status=Run.Status.RUNNING)
    job = Job(kind=Run.Kind.BACKFILL, over=["local", "remote"], stop=threading.Event())
    job.resume = lambda _now: runner.pause(run, staff=admin)  # somebody clicks the moment it begins

    first = job.go()
    runner.ask(Run.Kind.BACKFILL, staff=admin)
    second = Job(kind=Run.Kind.BACKFILL, over=["local", "remote"], stop=threading.Event()).go()

    assert first.interrupted
    assert (second.run, second.interrupted, second.recorded) == (run.pk, False, 1)
