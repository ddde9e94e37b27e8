"""The main job on real input: a Synapse where people act, `manage.py follow` as a process beside it,
and a ledger, a timeline and media pages that say what really happened.
"""

import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from threading import Event

import pytest

from quarantine import follow
from quarantine.models import Cause, Change, Ledger, MediaItem, Source, State
from tests.environment import ROOT
from tests.factories import make_staff
from tests.html import region
from tests.synapse.worlds import SynapseWorld, eventually, fresh

MODERATORS = 8
MEDIA = 400
PATIENCE = 60  # seconds; a machine that runs tests may be busy


@pytest.fixture(scope="module")
def synapse(engine, start_synapse):
    """For this module alone, so that every row in it is told here; on the engine the ledger is on too."""
    with start_synapse(engine) as lab, closing(SynapseWorld(lab)) as world:
        yield world


@pytest.fixture
def world(synapse, attach):
    attach(synapse)
    return synapse


@pytest.fixture
def follow_once(world):
    """A function: follow to the end there is now; what was done."""
    return lambda: follow.follow_once(stop=Event())


def follow_once_as_a_process(env):
    """`manage.py follow --once` as an operator would run it; what it says of itself, as JSON."""
    command = [sys.executable, "manage.py", "follow", "--once", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def following(env):
    """`manage.py follow`, reading as often as it can; it ends cleanly when told to.

    Yields a function that waits until something is true, as long as the process lives.
    """
    command = [sys.executable, "manage.py", "follow", "--interval", "0.01"]
    with subprocess.Popen(command, cwd=ROOT, env=env) as process:
        try:
            yield (
                lambda true, seconds=PATIENCE: (
                    eventually(lambda: true() or process.poll() is not None, seconds=seconds) and process.poll() is None
                )
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def told(changes):
    """What the ledger says happened, in its order."""
    return [(change.mxc, change.state, change.changed_by, change.source) for change in changes]


def newer_than(position):
    return Change.objects.newer_than(position)


def head():
    return Ledger.objects.get().head


def feed_order(world, changes):
    """Whether these follow one another as their rows do in the feed, and are what those rows say."""
    rows = {row.feed_id: row for row in world.feed()}
    ids = [change.feed_id for change in changes]
    same = all((rows[change.feed_id].media_id, True) == (change.media_id, change.quarantined) for change in changes)
    return ids == sorted(set(ids)) and same


def of(changes, *media):
    return changes.filter(media_id__in=[mxc.media_id for mxc in media])


def quarantined(by, *media):
    return Counter((mxc, State.QUARANTINED, by, Source.FEED) for mxc in media)


def released(*media):
    """Synapse does not say who released."""
    return Counter((mxc, State.RELEASED, "", Source.FEED) for mxc in media)


def assert_ledger_agrees(world):
    """What the ledger holds as quarantined is what Synapse's media tables say, all of it."""
    held = {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)}
    ledger = Ledger.objects.get()
    local = sum(mxc.origin == world.name for mxc in held)

    assert held == world.quarantined()
    assert (ledger.quarantined_local, ledger.quarantined_remote) == (local, len(held) - local)
    assert ledger.head == Change.objects.count()


# --- What happened ------------------------------------------------------------------------


def test_by_id_and_by_user(world, process_env):
    one, remote = world.upload(fresh()), world.cache_remote(fresh())
    hers, hers_too, protected = (world.upload(fresh(), by="mallory") for _ in range(3))
    world.admin.protect(protected)

    world.admin.quarantine(one)
    world.admin.quarantine(remote)
    world.other_admin.quarantine_user(world.user_id("mallory"))
    totals = follow_once_as_a_process(process_env())

    changes = of(Change.objects.all(), one, remote, hers, hers_too, protected)
    assert Counter(told(changes)) == quarantined(world.admin.user_id, one, remote) + quarantined(
        world.other_admin.user_id, hers, hers_too
    )
    assert set(changes.values_list("not_before", flat=True)) == {None}  # it was so when we first looked
    assert totals["complete"]
    assert_ledger_agrees(world)


def test_change_tells_of_the_file_and_when(world, follow_once):
    content = fresh()
    media = world.upload(content, by="mallory")
    follow_once()

    world.admin.quarantine(media)
    follow_once()

    change = Change.objects.get(media_id=media.media_id)
    assert (change.uploader, change.upload_name, change.media_type) == (
        world.user_id("mallory"),
        "clip.mp4",
        "video/mp4",
    )
    assert (change.local, change.media_length) == (True, len(content))
    assert change.sha256 == hashlib.sha256(content).hexdigest()
    assert change.not_before < change.seen_at


def test_copies_are_quarantined_and_released_together(world, follow_once):
    content = fresh()
    copy, other_copy, protected = (world.upload(content) for _ in range(3))
    remote = world.cache_remote(content)
    world.admin.protect(protected)

    world.admin.quarantine(copy)
    follow_once()
    start = head()
    world.admin.release(remote)
    follow_once()

    copies = (copy, other_copy, remote)
    assert Counter(told(of(Change.objects.all(), *copies))) == quarantined(world.admin.user_id, *copies) + released(
        *copies
    )
    assert Counter(told(newer_than(start))) == released(*copies)
    assert not of(Change.objects.all(), protected).exists()  # released, but never quarantined
    assert_ledger_agrees(world)


def test_repeats_are_counted_not_recorded(world, follow_once):
    media = world.upload(fresh())
    world.admin.quarantine(media)
    follow_once()
    start = head()

    world.other_admin.quarantine(media)
    repeat = follow_once()
    world.admin.release(media)
    world.other_admin.quarantine(media)
    follow_once()

    assert (repeat.recorded, repeat.repeated) == (0, 1)
    assert told(newer_than(start)) == [*released(media), *quarantined(world.other_admin.user_id, media)]
    assert_ledger_agrees(world)


def test_quarantined_bytes_uploaded_again_are_found_though_the_feed_is_silent(world, follow_once):
    content = fresh()
    world.admin.quarantine(world.upload(content))
    follow_once()
    start = head()

    again = world.upload(content)
    totals = follow_once()

    assert told(newer_than(start)) == [(again, State.QUARANTINED, "system", Source.AUDIT)]
    assert newer_than(start).get().cause == Cause.HASH
    assert (totals.recorded, totals.swept) == (0, 1)
    assert_ledger_agrees(world)


def test_media_deleted_in_quarantine_is_told_from_released_media(world, follow_once):
    follow_once()
    start = head()
    media = world.upload(fresh())

    world.admin.quarantine(media)
    world.delete(media)
    follow_once()

    assert told(newer_than(start)) == [
        *quarantined("", media),  # whose row could have told by whom is gone
        (media, State.DELETED, "", Source.AUDIT),
    ]
    assert_ledger_agrees(world)


def test_pages_show_it(world, follow_once, client):
    content = fresh()
    there, gone, back = world.upload(content), world.upload(fresh()), world.upload(fresh())
    for media in (there, gone, back):
        world.admin.quarantine(media)
    world.delete(gone)
    world.admin.release(back)
    again = world.upload(content)
    follow_once()
    client.force_login(make_staff())

    timeline = client.get("/", {"limit": 200, "fold": "off"})

    for change in of(Change.objects.all(), there, gone, back, again):
        row = region(timeline, f"c{change.pk}")
        assert f'title="{change.mxc}"' in row
        assert change.state.label.lower() in row.lower()
        assert (change.changed_by or "Not known") in row
    for media, state in ((there, "quarantined"), (gone, "deleted"), (back, "released"), (again, "quarantined")):
        page = client.get(f"/media/{media.origin}/{media.media_id}/")
        assert media.media_id in page.text
        assert state in region(page, "history").lower()


# --- Moderators at once -------------------------------------------------------------------


def test_eight_moderators_at_once_lose_no_row(world, follow_once, process_env):
    moderators = [world.moderator(f"mod{one}") for one in range(MODERATORS)]
    with ThreadPoolExecutor(MODERATORS) as pool:
        media = list(pool.map(lambda _: world.upload(fresh()), range(MEDIA)))
    first = world.upload(fresh())
    follow_once()
    start = head()

    with following(process_env()) as sees, ThreadPoolExecutor(MODERATORS) as pool:
        world.admin.quarantine(first)
        assert sees(lambda: head() > start)  # it follows
        shares = [(moderator, media[one::MODERATORS]) for one, moderator in enumerate(moderators)]
        list(pool.map(lambda share: [share[0].quarantine(mxc) for mxc in share[1]], shares))
        assert sees(lambda: head() >= start + 1 + MEDIA)

    changes = list(newer_than(start + 1))
    assert Counter(told(changes)) == Counter(
        (mxc, State.QUARANTINED, moderator.user_id, Source.FEED) for moderator, share in shares for mxc in share
    )
    assert feed_order(world, changes)
    assert_ledger_agrees(world)


def test_known_hash_uploaded_again_is_on_the_timeline_within_30_seconds(world, process_env, client):
    content = fresh()
    known = world.upload(content)

    with following(process_env()) as sees:
        world.admin.quarantine(known)
        assert sees(of(Change.objects.all(), known).exists)  # it follows
        again = world.upload(content)
        assert sees(of(Change.objects.all(), again).exists, seconds=30)

    client.force_login(make_staff())
    [change] = of(Change.objects.all(), again)
    assert told([change]) == [(again, State.QUARANTINED, "system", Source.AUDIT)]
    assert str(again) in region(client.get("/"), f"c{change.pk}")
