"""Words for acting on the sample homeserver."""

import hashlib
import threading

from quarantine.acting import actions
from quarantine.acting.actions import Outcome
from quarantine.acting.aims import Aim
from quarantine.acting.plans import plan
from quarantine.follow import Follower
from quarantine.homeserver.sample import File
from quarantine.models import Change, Fate, Work
from quarantine.mxc import Mxc
from quarantine.performance import Performer

HOME = "matrix.example"
US, SOMEBODY = f"@quarantine-dashboard:{HOME}", f"@alice:{HOME}"


def upload(home, name, *, uploader="@mallory:matrix.example"):
    """Local media; the same content for the same first word of the name."""
    content = hashlib.sha256(name.split()[0].encode()).hexdigest()
    return home.upload(File(sha256=content, upload_name=name), uploader=uploader)


def cache(home, name, *, origin="spam.example"):
    mxc = Mxc(origin, f"id-{name}".replace(" ", "-"))
    home.cache_remote(File(sha256=hashlib.sha256(name.split()[0].encode()).hexdigest()), mxc=mxc)
    return mxc


def planned(home, verb, *media, **aim):
    return plan(verb=verb, aim=Aim(media=media, **aim), homeserver=home)


def begin(home, verb, *media, staff, reason="case 7", **aim):
    return actions.start(planned(home, verb, *media, **aim), staff=staff, category="spam", reason=reason)


def do(home, verb, *media, staff, **aim):
    """Plan, start and perform; the action."""
    action = begin(home, verb, *media, staff=staff, **aim)
    perform(action, home)
    return action


def perform(action, homeserver):
    Performer(action, homeserver, threading.Event()).go()


def follow():
    Follower(threading.Event()).settle()


def outcome(action):
    return Outcome(**Work.objects.get(action=action).outcome)


def status(action):
    return Work.objects.get(action=action).status


def fates(action):
    return {intent.mxc: Fate(intent.fate) for intent in action.intents.all()}


def told():
    """What the ledger says, in its order."""
    return [
        (change.mxc, change.state, change.changed_by, change.source, change.action_id)
        for change in Change.objects.order_by("stream_id")
    ]
