"""A ledger with a bit of everything, some of it hard to draw; and the address of every page on it."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from quarantine import consumers, saved_views
from quarantine.models import Action, Intent, Leg, Proposal, Role, Run, Scope, Staff, State, Verb, Work
from tests.dashboard.sitemap import addresses
from tests.factories import (
    make_action,
    make_categories,
    make_change,
    make_changes,
    make_ledger,
    make_local_media,
    make_staff,
)

HASH = "ab" * 32
LONG = "a-name-so-long-that-no-column-of-any-width-could-ever-show-the-whole-of-it-" * 3 + ".png"
USER = f"@{'x' * 200}:{settings.HOMESERVER_NAME}"
STORY = "A reason that was told at length. " * 40
# What no route tells: states of pages, and pages of what is not there.
STATES = {
    "timeline-filtered": "/?scope=local&by=-system&q=name",
    "timeline-nothing-found": "/?origin=nowhere.example",
    "timeline-bad-filter": "/?state=nonsense",
    "timeline-unfolded": "/?fold=off&limit=12",
    "media-unknown": "/media/nowhere.example/never/",
    "insights-24-hours": "/insights/?range=24h&backfill=off",
    "insights-nothing": "/insights/?after=2999-01-01",
    "plan-quarantine": f"/actions/new/?verb=quarantine&media=mxc://{settings.HOMESERVER_NAME}/copy",
    "plan-release": f"/actions/new/?verb=release&media=mxc://{settings.HOMESERVER_NAME}/abc",
    "plan-refused": "/actions/new/?verb=quarantine&media=nonsense",
    "error-404": "/nowhere",
}


def make_showcase() -> Staff:
    """The admin to look at it as. Needs a ledger that is bound and empty."""
    now = timezone.now()
    make_categories("spam", "malware", "other")
    admin = make_staff("admin", role=Role.ADMIN)
    make_staff("w" * 60)
    make_changes(20, origin="remote.example", seen_at=now - timedelta(days=1))
    sweep = make_action(reason=STORY, staff=admin, category="spam", cause="user", target=USER)
    make_changes(8, action=sweep, changed_by="admin", cause="user", uploader=USER, seen_at=now)
    make_change(media_id="abc", upload_name=LONG, uploader=USER, sha256=HASH, seen_at=now, action=sweep)
    make_change(upload_name="صورة\u202e.png", changed_by="", not_before=None, source="backfill", seen_at=now)
    make_change(upload_name="W" * 200, origin=f"{'long.' * 40}example", media_type="x" * 120, seen_at=now)
    make_change(media_id="gone", state=State.DELETED, not_before=now - timedelta(days=90), seen_at=now)
    make_ledger(feed_read_at=now)
    make_local_media("abc", upload_name=LONG, user_id=USER, sha256=HASH, quarantined_by="admin")
    make_local_media("copy", sha256=HASH)
    make_work(admin)
    make_runs(now)
    consumers.create("hma", scopes=[Scope.CHANGES], staff=admin)
    consumers.create("n" * 60, scopes=list(Scope), staff=admin)
    saved_views.save_view(staff=admin, name="V" * 64, query="state=released", shared=True)
    return admin


def make_work(admin: Staff) -> None:
    """Actions in each state of their work."""
    for number, status in enumerate(Work.Status):
        staff = make_staff("lena", role=Role.LEAD) if status == Work.Status.HELD else admin
        action = make_action(verb=Verb.RELEASE, staff=staff, target=f"mxc://{settings.HOMESERVER_NAME}/abc", reason="x")
        sentence = "The homeserver can't be reached. " * 4 if status in {"stopped", "waiting"} else ""
        Work.objects.filter(action=action).update(
            status=status, total=1000, done=100 * number, message=sentence, started_at=timezone.now(), ended_at=None
        )
        if status == Work.Status.HELD:
            hold(action)
    assert Action.objects.count() > 1


def hold(action: Action) -> None:
    """Have it wait for a second person's approval, until tomorrow."""
    Proposal.objects.create(action=action, affected=3, expires_at=timezone.now() + timedelta(days=1))
    Intent.objects.create(action=action, origin=settings.HOMESERVER_NAME, media_id="abc", sha256=HASH)


def make_runs(now) -> None:
    for status in Run.Status:
        run = Run.objects.create(
            kind=Run.Kind.BACKFILL, status=status, started_at=now, updated_at=now, seconds=10, message="It broke. " * 20
        )
        Leg.objects.create(run=run, over="local", position=50, end=100, scanned=5_000)


def every_page(client) -> dict[str, str]:
    """Name and address: each GET of the URLconf that answers with a page, and the STATES."""
    number = Action.objects.order_by("pk").values_list("pk", flat=True).first()  # counting goes on from test to test
    known = (address.replace("/1/", f"/{number}/") for address in addresses())
    found = [address for address in known if is_page(client.get(address))]
    held = Proposal.objects.values_list("pk", flat=True).first()
    return {name_of(address): address for address in found} | STATES | {"action-held": f"/actions/{held}/"}


def is_page(response) -> bool:
    page = response.status_code == 200 and response.headers["Content-Type"].startswith("text/html")
    return page and response.content.lstrip().startswith(b"<!doctype html>")


def name_of(address: str) -> str:
    return address.strip("/").replace("/", "-") or "timeline"
