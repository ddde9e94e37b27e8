"""Which ways to people an operator has set up; what goes over them is in `alert_ways`, which takes long to load."""

import json

from django.conf import settings
from django.utils.crypto import salted_hmac

from quarantine.accounts.access_record import record
from quarantine.models import Access, AccessEntry, Way

MARK = 16  # characters
SALT = "ways of alerts"  # stands behind the marks on record: it stays, wherever this module goes


def configured() -> list[Way]:
    """The ways an operator has set up."""
    given = {
        Way.EMAIL: settings.ALERT_EMAIL_TO,
        Way.WEBHOOK: settings.ALERT_WEBHOOK_URL,
        Way.MATRIX: settings.ALERT_MATRIX_ROOM,
    }
    return [way for way, value in given.items() if value]


def note_ways() -> None:
    """On the access record where they lead elsewhere than they last did: which there are, and a mark of their addresses,
    for an address may be a secret.
    """
    addresses = [
        settings.ALERT_EMAIL_TO,
        settings.ALERT_WEBHOOK_URL,
        settings.ALERT_MATRIX_URL,
        settings.ALERT_MATRIX_ROOM,
    ]
    mark = salted_hmac(SALT, json.dumps(addresses), algorithm="sha256").hexdigest()[:MARK]
    ways = [way.value for way in configured()]
    last = AccessEntry.objects.filter(what=Access.ALERT_WAYS_CHANGED).order_by("-pk").first()
    if last.target != mark if last else ways:
        record(Access.ALERT_WAYS_CHANGED, by=None, target=mark, ways=ways)
