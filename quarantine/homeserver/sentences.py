"""What is said where Synapse refuses, or doesn't answer as it should; beside `answers`, which takes long to load."""

from django.utils.translation import gettext_noop

# The sentences are English, for some are recorded; pages translate them (dashboard/recorded.py).
REFUSALS = {
    401: gettext_noop(
        "The homeserver doesn't know our access token: it was revoked. "
        "Set a new HOMESERVER_TOKEN, restart the dashboard, then resume."
    ),
    403: gettext_noop(
        "Our access token is not of a server admin. "
        "Make its user one, or set another HOMESERVER_TOKEN and restart the dashboard; then resume."
    ),
}
BUSY = gettext_noop("The homeserver is busy or starting ({status}).")
TROUBLE = gettext_noop("The homeserver is in trouble ({said}).")
WRITERS = gettext_noop(
    "If it goes on: HOMESERVER_URL must lead to Synapse's main process, or to a worker that is a stream writer for "
    "quarantined_media_changes."
)
REFUSED = gettext_noop("The homeserver refused: {said}.")
NOT_HERE = gettext_noop("The file of {media} is not on this server.")
NO_SYNAPSE = gettext_noop(
    "What answers at {url} does not serve Synapse's Admin API. HOMESERVER_URL must lead to Synapse's main process, "
    "or to a worker or proxy that serves /_synapse/admin."
)
BAD_CERTIFICATE = gettext_noop("The certificate of {url} is not valid ({reason}).")
NO_TLS = gettext_noop("What answers at {url} doesn't speak TLS as we do ({reason}). Is it http://?")
UNREACHABLE = gettext_noop("The homeserver can't be reached at {url}.")
SLOW = gettext_noop("The homeserver took too long to answer.")
CUT_OFF = gettext_noop("The connection to the homeserver broke.")
NO_INFO = gettext_noop("The homeserver answers without media_info. Is it Synapse?")
LARGER = gettext_noop("The file is larger than {limit} bytes.")
NOT_LOCAL = gettext_noop("Only local media can be protected; {media} is of another server.")
NAMELESS = gettext_noop("{text} can't be asked for by its name.")
