"""Every address of the URLconf, found by walking it: a new page is tested without being listed."""

import re

from django.urls import URLPattern, get_resolver

EXAMPLES = {
    "origin": "matrix.example",
    "name": "abc",
    "plain_origin": "matrix.example",
    "plain_name": "abc",
    "int": "1",
    "str": "abc",
    "path": "abc",
    "slug": "abc",
    "export_form": "csv",
    "run_kind": "audit",
    "control": "pause",
    "alert_kind": "burst",
}
# All that strangers may ask for.
PUBLIC = {
    "/login/",
    "/login/code/",
    "/login/passkey/",
    "/login/sso/",
    "/login/sso/callback/",
    "/logout/",
    "/language/",
    "/healthz",
    "/readyz",
}

# Read by programs, which must be told 401 instead of being led to a page.
FOR_PROGRAMS = {
    "/changes/live",
    "/_synapse/admin/v1/media/quarantine_changes",
    "/_matrix/client/v1/media/download/matrix.example/abc",
    "/api/v1/quarantined",
    "/api/openapi.json",
    "/metrics",
}


def routes(resolver=None, prefix=""):
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        else:
            yield from routes(entry, route)


def addresses():
    """One example of each; fails on a converter without an example."""
    return ["/" + re.sub(r"<(?:(\w+):)?\w+>", example, route) for route in routes()]


def example(match):
    return EXAMPLES[match[1] or "str"]


def behind_the_gate():
    return [address for address in addresses() if address not in PUBLIC]
