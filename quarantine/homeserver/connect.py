"""The homeserver that staff act on: Synapse where one is attached, the sample homeserver otherwise."""

import threading
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext_noop

from quarantine.homeserver.gateway import Homeserver, WatchOnlyError
from quarantine.homeserver.sample import SampleHomeserver

if TYPE_CHECKING:
    from quarantine.homeserver.synapse import SynapseHomeserver

WATCH_ONLY = gettext_noop(
    "This dashboard only watches: to act it needs HOMESERVER_URL and the access token of a server admin."
)
SAMPLE_USER = "quarantine-dashboard"

clients: "dict[tuple[str, str], SynapseHomeserver]" = {}  # one for each process, so that connections are used again
lock = threading.Lock()


def gateway() -> Homeserver:
    """Raises WatchOnlyError where a homeserver is attached that we were given no token of."""
    if not settings.HOMESERVER_ATTACHED:
        return SampleHomeserver(user_id=f"@{SAMPLE_USER}:{settings.HOMESERVER_NAME}")
    if not settings.HOMESERVER_URL:
        raise WatchOnlyError(WATCH_ONLY)
    from quarantine.homeserver.synapse import SynapseHomeserver  # noqa: PLC0415 - httpx takes a tenth of the server's start

    key = settings.HOMESERVER_URL, settings.HOMESERVER_TOKEN
    with lock:
        if key not in clients:
            clients[key] = SynapseHomeserver(*key)
        return clients[key]


def forget() -> None:
    """Close every connection; the next call opens its own."""
    with lock:
        for client in clients.values():
            client.close()
        clients.clear()
