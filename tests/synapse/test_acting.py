"""Acting on a real Synapse: through the pages, and by `manage.py follow` for what is large.

Each quarantine by id appends one row to Synapse's feed, also of media that is quarantined already:
so the rows count the requests. MANY_MEDIA=2000 in the environment makes the large one larger.
"""

import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, contextmanager
from functools import partial

import pytest
from django.db import connections

from quarantine.acting import actions
from quarantine.acting.actions import Outcome
from quarantine.acting.aims import Aim
from quarantine.acting.plans import plan
from quarantine.follow import follow_once
from quarantine.homeserver.connect import gateway
from quarantine.models import Change, Fate, Role, Source, Verb, Work
from quarantine.mxc import Mxc
from quarantine.worker import perform_if_small
from tests.environment import ROOT
from tests.factories import make_categories, make_staff
from tests.synapse.worlds import SynapseWorld, eventually, fresh

PATIENCE = 120  # seconds; a machine that runs tests may be busy
MANY = int(os.environ.get("MANY_MEDIA", "240"))
SOME = 120


@pytest.fixture(scope="module")
def synapse(engine, start_synapse):
    """For this module alone: it is stopped, and tokens are revoked."""
    with start_synapse(engine) as lab, closing(SynapseWorld(lab)) as world:
        yield world


@pytest.fixture
def world(synapse, attach):
    attach(synapse)
    make_categories()
    return synapse


@pytest.fixture
def moderator(world):
    return make_staff("priya", role=Role.LEAD)


@contextmanager
def following(env):
    """`manage.py follow`, which does what is large; killed at the end."""
    process = subprocess.Popen([sys.executable, "manage.py", "follow", "--interval", "0.05"], cwd=ROOT, env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def cache_many(world, number, *, origin):
    """So many media items of another server, cached here: rows alone, which is all that quarantine looks at."""
    ids = f"WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < {number})"
    columns = "media_origin, media_id, media_type, created_ts, filesystem_id, last_access_ts, authenticated"
    values = f"'{origin}', 'id' || id, 'image/png', 1, 'fs' || id, 1, TRUE"
    world.lab.database.run(f"INSERT INTO remote_media_cache ({columns}) {ids} SELECT {values} FROM ids")
    return [Mxc(origin, f"id{one}") for one in range(1, number + 1)]


def begin(verb, staff, **aim):
    found = plan(verb=verb, aim=Aim(**aim), homeserver=gateway())
    return actions.start(found, staff=staff, category="spam", reason="case 7")


def work_of(action):
    return Work.objects.get(action=action)


def status_of(action):
    return work_of(action).status


def rows_of(world, origin):
    """Synapse's rows of this server's media since the beginning: one for each request."""
    return Counter(row.media_id for row in world.feed() if row.origin == origin)


def at_once(*jobs):
    """Do these, each in a thread of its own."""
    together = threading.Barrier(len(jobs))

    def go(job):
        together.wait()
        try:
            job()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=[job]) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- Small, through the pages -------------------------------------------------------------


def test_one_of_four_copies_is_planned_and_told_as_four_and_undone(world, moderator, client):
    content = fresh()
    media = [world.upload(content), world.upload(content, by="mallory")]
    media += [world.cache_remote(content), world.cache_remote(content, origin="other.example")]
    client.force_login(moderator)

    page = client.post("/actions/new/", {"verb": "quarantine", "media": str(media[0])})
    assert page.context["plan"].affected == 4
    asked = {"verb": "quarantine", "media": str(media[0]), "category": "spam", "digest": page.context["plan"].digest}
    done = client.post("/actions/new/", asked | {"reason": "Scam"}, follow=True)

    action = done.context["action"]
    assert "Asked 1 · changed 1 (3 more with the same file)" in done.text
    assert not [mxc for mxc in media if world.admin.media(mxc).quarantined_by != world.admin.user_id]
    changes = Change.objects.filter(action=action)
    assert {(change.mxc, change.changed_by, change.source) for change in changes} == {
        (mxc, "priya", Source.ACTION) for mxc in media
    }
    undo = client.get(f"/actions/{action.pk}/undo/")
    answer = {"category": "other", "reason": "A mistake", "digest": undo.context["plan"].digest}
    undone = client.post(f"/actions/{action.pk}/undo/", answer, follow=True).context["action"]
    assert not [mxc for mxc in media if world.admin.media(mxc).quarantined_by]
    assert set(Change.objects.filter(action=undone).values_list("media_id", "changed_by")) == {
        (mxc.media_id, "priya") for mxc in media
    }


def test_two_moderators_and_a_stranger_at_the_same_moment(world, moderator):
    """Both here learn the truth, and what an admin elsewhere does meanwhile is told as hers."""
    media = [world.upload(fresh()) for _ in range(6)]
    theirs = [world.upload(fresh()) for _ in range(6)]
    both = [begin(Verb.QUARANTINE, staff, media=tuple(media)) for staff in (moderator, make_staff("tom"))]

    at_once(
        partial(perform_if_small, both[0]),
        partial(perform_if_small, both[1]),
        lambda: [world.other_admin.quarantine(mxc) for mxc in theirs],
    )
    follow_once(stop=threading.Event())

    outcomes = [Outcome(**work_of(action).outcome) for action in both]
    assert sorted((told.changed, told.already) for told in outcomes) == [(0, 6), (6, 0)]
    [winner] = [action for action, told in zip(both, outcomes, strict=True) if told.changed]
    changes = Change.objects.filter(media_id__in=[mxc.media_id for mxc in media + theirs])
    told = Counter(changes.values_list("media_id", "changed_by", "action"))
    assert told == Counter(
        [(mxc.media_id, winner.staff.username, winner.pk) for mxc in media]
        + [(mxc.media_id, world.other_admin.user_id, None) for mxc in theirs]
    )
    assert Counter(row.media_id for row in world.feed())[media[0].media_id] == 1  # asked once


def test_a_room_and_a_user_are_planned_by_what_synapse_knows(world, moderator):
    media = [world.upload(fresh()), world.upload(fresh())]
    room = world.post_in_room([media[0]])

    action = begin(Verb.QUARANTINE, moderator, rooms=(room,))

    assert {intent.mxc for intent in action.intents.all()} == {media[0]}
    found = plan(verb=Verb.QUARANTINE, aim=Aim(users=(world.user_id("alice"),)), homeserver=gateway())
    assert set(media) <= {item.mxc for item in found.items if item.fate is Fate.CHANGED}


# --- Large, by the process that follows ---------------------------------------------------


@pytest.mark.postgresql
def test_a_whole_server_is_quarantined_exactly_once_whoever_is_killed(world, moderator, process_env):
    media = cache_many(world, MANY, origin="flood.example")
    action = begin(Verb.QUARANTINE, moderator, origins=("flood.example",))

    for share in (0.2, 0.5):  # killed while it works, twice
        with following(process_env()):
            assert eventually(lambda share=share: work_of(action).done >= share * MANY, seconds=PATIENCE)
    with following(process_env()):
        assert eventually(lambda: work_of(action).done >= 0.7 * MANY, seconds=PATIENCE)
        actions.pause(action, staff=moderator)
        assert eventually(lambda: status_of(action) == Work.Status.PAUSED, seconds=PATIENCE)
        actions.resume(action, staff=moderator)
        assert eventually(lambda: status_of(action) == Work.Status.FINISHED, seconds=PATIENCE)

    assert Outcome(**work_of(action).outcome) == Outcome(asked=MANY, changed=MANY)
    changes = Change.objects.filter(origin="flood.example").values_list("media_id", "action", "changed_by")
    assert Counter(changes) == Counter((mxc.media_id, action.pk, "priya") for mxc in media)
    requests = rows_of(world, "flood.example")
    assert set(requests) == {mxc.media_id for mxc in media}
    assert sum(requests.values()) <= MANY + 2  # one call at most was under way at each kill


def test_a_stopped_synapse_is_waited_for(world, moderator, process_env):
    cache_many(world, SOME, origin="away.example")
    action = begin(Verb.QUARANTINE, moderator, origins=("away.example",))

    with following(process_env()):
        assert eventually(lambda: work_of(action).done > 0, seconds=PATIENCE)
        world.lab.stop()
        try:
            assert eventually(lambda: "can't be reached" in work_of(action).message, seconds=PATIENCE)
            assert work_of(action).done < SOME
        finally:
            world.lab.start()
        assert eventually(lambda: status_of(action) == Work.Status.FINISHED, seconds=PATIENCE)

    assert Outcome(**work_of(action).outcome) == Outcome(asked=SOME, changed=SOME)
    assert Change.objects.filter(action=action, quarantined=True).count() == SOME


def test_a_revoked_token_stops_the_work_with_a_sentence(world, moderator, process_env):
    cache_many(world, SOME, origin="revoked.example")
    action = begin(Verb.QUARANTINE, moderator, origins=("revoked.example",))
    account = world.lab.register(f"short_lived_{action.pk}", admin=True)

    with following(process_env() | {"HOMESERVER_TOKEN": account.token}):
        assert eventually(lambda: work_of(action).done > 0, seconds=PATIENCE)
        world.lab.ask("POST", "/_matrix/client/v3/logout", by=account, body={})
        assert eventually(lambda: status_of(action) == Work.Status.STOPPED, seconds=PATIENCE)
    assert "Set a new HOMESERVER_TOKEN" in work_of(action).message
    assert 0 < work_of(action).done < SOME
    actions.resume(action, staff=moderator)
    with following(process_env()):
        assert eventually(lambda: status_of(action) == Work.Status.FINISHED, seconds=PATIENCE)

    assert Outcome(**work_of(action).outcome).changed == SOME
    states = Change.objects.filter(action=action).values_list("quarantined", flat=True)
    assert list(states) == [True] * SOME
