"""The simulator acts by the homeserver's rules, and what it does reaches the ledger."""

import subprocess
import sys
from random import Random

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from quarantine import ledger, look
from quarantine.homeserver.feed import Reader
from quarantine.homeserver.models import FeedChange, LocalMedia, RemoteMedia
from quarantine.models import Change, MediaItem, Source, State
from quarantine.mxc import Mxc
from quarantine.sample.simulator import LONGEST, Simulator
from quarantine.sweep import Sweep
from tests.environment import ROOT
from tests.quarantine.ledger_checks import catch_up_fully


@pytest.fixture
def simulator(db):
    ledger.bind()
    return Simulator(Random(5))


def catch_up():
    reader = Reader()
    catch_up_fully(reader)
    Sweep().tick(lambda: catch_up_fully(reader))


def quarantined():
    local = LocalMedia.objects.quarantined().values_list("media_id", flat=True)
    remote = RemoteMedia.objects.quarantined().values_list("media_origin", "media_id")
    return {Mxc(settings.HOMESERVER_NAME, media_id) for media_id in local} | {Mxc(*pair) for pair in remote}


def test_every_step_changes_something_the_ledger_can_see(simulator):
    for _ in range(25):
        before = ledger.current().head

        said = simulator.step()
        catch_up()

        assert ledger.current().head > before, said


def test_all_that_can_happen_happens_and_reaches_the_ledger(simulator):
    for _ in range(120):
        simulator.step()
        catch_up()  # as often as people do: of media deleted before anybody looked not even the hash is known

    look.review(generation=ledger.current().feed_generation)  # no row of the feed tells of a deletion

    held = {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)}
    told = set(Change.objects.values_list("source", "quarantined", "changed_by"))
    assert held == quarantined()
    assert (Source.AUDIT, True, "system") in told
    assert (Source.FEED, False, "") in told
    assert (Source.FEED, True, "@modbot:matrix.example") in told
    assert FeedChange.objects.exclude(origin=None).exists()


def test_pauses_are_shorter_than_five_seconds(simulator):
    assert all(1 <= simulator.pause() <= LONGEST < 5 for _ in range(100))


@pytest.mark.django_db
def test_it_leaves_a_real_homeserver_alone(settings):
    settings.HOMESERVER_ATTACHED = True

    with pytest.raises(CommandError, match="only the sample homeserver"):
        call_command("simulate", steps=1)

    assert not FeedChange.objects.exists()


def test_sigterm_ends_it_cleanly(process_env):
    ledger.bind()
    command = [sys.executable, "manage.py", "simulate"]
    with subprocess.Popen(command, cwd=ROOT, env=process_env(), stdout=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        process.terminate()
        rest, _ = process.communicate(timeout=30)

    assert first.strip()
    assert process.returncode == 0
    assert FeedChange.objects.exists() or LocalMedia.objects.exists()
    assert len(rest.splitlines()) < 3
