"""Rows for the tests of the pages, written directly: what the gate would have let in.

Defaults are dull; an argument shows what a test cares about.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Max

from quarantine.homeserver.models import LocalMedia, RemoteMedia
from quarantine.models import Action, Category, Change, Ledger, MediaItem, Role, Source, Staff, State, Verb, Work

BEGINNING = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNSET = object()


def make_staff(username="mod", *, role=Role.MODERATOR, **fields):
    return Staff.objects.create_user(username, password="correct horse battery", role=role, **fields)


def make_action(*, reason="", staff=None, verb=Verb.QUARANTINE, **fields):
    staff = staff or Staff.objects.first() or make_staff()
    fields = {"target": "mxc://matrix.example/abc", "created_at": BEGINNING} | fields
    action = Action.objects.create(verb=verb, reason=reason, staff=staff, **fields)
    Work.objects.create(action=action, status=Work.Status.FINISHED, updated_at=BEGINNING, ended_at=BEGINNING)
    return action


def make_categories(*slugs):
    """Kinds of reason. A transactional test before this one has emptied their table too."""
    for slug in slugs or ("spam", "other"):
        Category.objects.get_or_create(slug=slug, defaults={"label": slug.title()})


def make_change(*, seen_at=None, not_before=UNSET, state=State.QUARANTINED, **fields):
    """The next change of the ledger, a second after the last one; moves head, counters and MediaItem along."""
    position = fields.pop("stream_id", None) or (Change.objects.aggregate(last=Max("stream_id"))["last"] or 0) + 1
    seen_at = seen_at or BEGINNING + timedelta(seconds=position)
    fields.setdefault("origin", settings.HOMESERVER_NAME)
    fields.setdefault("media_id", f"media{position}")
    fields.setdefault("media_type", "image/png")
    fields.setdefault("media_class", fields["media_type"].partition("/")[0].lower()[:32])
    fields.setdefault("source", Source.ACTION if fields.get("action") else Source.FEED)
    change = Change.objects.create(
        stream_id=position,
        local=fields["origin"] == settings.HOMESERVER_NAME,
        seen_at=seen_at,
        not_before=seen_at - timedelta(seconds=1) if not_before is UNSET else not_before,
        quarantined=state == State.QUARANTINED,
        deleted=state == State.DELETED,
        **fields,
    )
    fold(change)
    return change


def make_changes(number, **fields):
    """Oldest first."""
    return [make_change(**fields) for _ in range(number)]


def fold(change):
    values = {"state": change.state, "stream_id": change.pk, "local": change.local, "uploader": change.uploader}
    if change.sha256:
        values["sha256"] = change.sha256
    MediaItem.objects.update_or_create(origin=change.origin, media_id=change.media_id, defaults=values)
    held = MediaItem.objects.filter(state=State.QUARANTINED)
    make_ledger(
        head=change.pk,
        last_seen_at=change.seen_at,
        quarantined_local=held.filter(local=True).count(),
        quarantined_remote=held.filter(local=False).count(),
    )


def make_ledger(**fields):
    """The ledger's one row, made or changed."""
    bound = {"homeserver_name": settings.HOMESERVER_NAME, "homeserver_kind": "sample"}
    ledger = Ledger.objects.first() or Ledger(pk=1, **bound)
    for name, value in fields.items():
        setattr(ledger, name, value)
    ledger.save()
    return ledger


def make_local_media(media_id="abc", **fields):
    """A row of the homeserver's."""
    fields = {"media_type": "image/png", "media_length": 1234, "user_id": f"@ann:{settings.HOMESERVER_NAME}"} | fields
    return LocalMedia.objects.create(media_id=media_id, **fields)


def make_remote_media(media_id="abc", *, origin="remote.example", **fields):
    return RemoteMedia.objects.create(media_origin=origin, media_id=media_id, media_type="image/png", **fields)
