"""Upgrading while others write: nobody waits for long, nothing is lost, and both versions work on one ledger."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import psycopg
import pytest

from tests.bench.upgrade import STORED, upgrade, writers
from tests.bench.workshop import Workshop, sign_in
from tests.environment import ROOT, manage
from tests.quarantine.followers import eventually, follower
from tests.quarantine.own_cluster import own_cluster
from tests.releases import LAST_MIGRATION, HistoryMissingError, version_before
from tests.servers import QuietError, running_server

HELD = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'quarantine_action'::regclass"
APPLIED = "SELECT max(name) FROM django_migrations WHERE app = 'quarantine'"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with own_cluster() as owned:
        yield Workshop(owned, tmp_path_factory.mktemp("upgrade"))


@pytest.fixture(scope="module")
def before():
    """The version before."""
    try:
        with version_before() as tree:
            yield tree
    except HistoryMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def env(place, before):
    """A ledger that the version before prepared."""
    environ = place.environ("before")
    manage(environ, "prepare", tree=before)
    return environ


def asked(env, statement):
    with psycopg.connect(env["DATABASE_URL"]) as db:
        return db.execute(statement).fetchone()[0]


def verified(env, *options):
    """How many changes fit; fails where something doesn't."""
    told = json.loads(manage(env, "verify", *options, "--json").splitlines()[-1])
    assert told["fits"]
    return told["tables"]["ledger"]["rows"]


@contextmanager
def preparing(env):
    command = [sys.executable, "manage.py", "prepare"]
    with subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            yield run
        finally:
            run.kill()


UPLOAD = """
import secrets
from quarantine.homeserver.sample import File, SampleHomeserver
print(SampleHomeserver(user_id="@ann:matrix.example").upload(
    File(sha256=secrets.token_hex(32), media_length=1), uploader="@mallory:matrix.example"))
"""
ANNA = "from quarantine.models import Staff; Staff.objects.create(username='anna', role='moderator')"


def write(before, env, tmp_path, *, seconds):
    """How long each wait was of writers of the version before, who had so long."""
    stop = tmp_path / "over"
    with writers(before, env, stop) as running:
        time.sleep(seconds)
        stop.touch()
        return [waited for one in running for _, waited in json.loads(one.communicate(timeout=60)[0])]


def test_nothing_is_lost_by_writers_of_the_version_before(place, before):
    env = place.environ("small")

    seen = upgrade(place, env, size=2_000, calm=0.5)

    assert seen.written > 100
    assert (seen.lost, seen.stored, seen.gaps) == (0, seen.written, 0)
    assert verified(env) == 2_000 + seen.written


def test_a_backup_under_way_makes_no_writer_wait_for_its_end(before, env, tmp_path):
    with psycopg.connect(env["DATABASE_URL"]) as backup, psycopg.connect(env["DATABASE_URL"], autocommit=True) as db:
        backup.execute("LOCK TABLE quarantine_change, quarantine_mediaitem, quarantine_action IN ACCESS SHARE MODE")
        with preparing(env) as run:
            eventually(lambda: db.execute(HELD).fetchone() == (1,))
            waits = write(before, env, tmp_path, seconds=3)
            assert run.poll() is None
            backup.rollback()
            assert run.wait(60) == 0, run.stderr.read()

    assert asked(env, STORED) == len(waits) > 10
    assert asked(env, APPLIED) > LAST_MIGRATION


def test_what_holds_a_table_for_too_long_is_said_in_a_sentence(env):
    impatient = (
        "from quarantine import migrating; migrating.LONGEST = 0; from django.core.management import call_command"
    )
    with psycopg.connect(env["DATABASE_URL"]) as backup:
        backup.execute("LOCK TABLE quarantine_action IN ACCESS SHARE MODE")
        with pytest.raises(RuntimeError, match=r"A table of the ledger is held by somebody.* prepare again"):
            manage(env, "shell", code=f"{impatient}; call_command('prepare')")

    manage(env, "prepare")
    assert asked(env, APPLIED) > LAST_MIGRATION


# --- Side by side -------------------------------------------------------------------------


def act(tree, env):
    """Upload something and quarantine it by that version's command; the media's address."""
    mxc = manage(env, "shell", code=UPLOAD).split()[-1]
    manage(env, "quarantine", mxc, "--reason", "case 7", "--staff", "anna", "--yes", tree=tree)
    return mxc


def positions(server, cookie):
    """(position, media) of each change, oldest first, as an export has them."""
    answer = server.request("GET", "/changes.ndjson", headers={"Cookie": cookie})
    assert answer.status == 200, answer.body
    rows = [json.loads(line) for line in answer.body.splitlines()]
    return [(row["stream_id"], row["mxc"]) for row in reversed(rows)]


def api(server, token):
    path = "/_synapse/admin/v1/media/quarantine_changes?limit=1000"
    page = json.loads(server.request("GET", path, headers={"Authorization": f"Bearer {token}"}).body)
    return page["next_batch"], [f"mxc://{one['origin']}/{one['media_id']}" for one in page["changes"]]


def heard(stream):
    """The next position a stream tells of, however many heartbeats come before."""
    for _ in range(20):
        try:
            return stream.take(1)[0].id
        except QuietError:
            stream.comments.clear()
    raise QuietError


def take_turns(trees, env, streams):
    """One act of each; what was acted on, as soon as every stream has told of it."""
    for tree in trees:
        yield act(tree, env)
        assert len({heard(stream) for stream in streams}) == 1


def test_both_versions_read_and_write_one_ledger(before, env):
    manage(env, "shell", code=ANNA, tree=before)
    token = manage(env, "token", "create", "hma", "--scope", "changes:read", tree=before).split()[-1]
    with ExitStack() as stack:
        old = stack.enter_context(running_server(env, tree=before))
        following = stack.enter_context(follower(env, "--interval", "0.1", tree=before))
        acted = [act(before, env)]
        manage(env, "prepare")
        new = stack.enter_context(running_server(env))
        stack.enter_context(follower(env, "--interval", "0.1"))  # a standby
        readers = [(old, sign_in(env, tree=before)), (new, sign_in(env))]  # each version knows its own sessions alone
        streams = [stack.enter_context(server.stream("/changes/live?since=1", cookie=own)) for server, own in readers]
        acted += take_turns((ROOT, before, ROOT, before), env, streams)
        assert following.stop() == 0  # the machine of the version before is upgraded too; the standby takes over
        acted += take_turns((before, ROOT), env, streams)
        exports = [positions(*each) for each in readers]
        pages = [api(server, token) for server in (old, new)]

    assert exports == [list(enumerate(acted, 1))] * 2
    assert pages == [(len(acted), acted)] * 2
    assert verified(env, "--unsealed-to", f"{len(acted)}", "--unsealed-to", f"actions:{len(acted)}") == len(acted)
