"""The tables of docs/access.md, and a world in which each address of them leads to something.

A new page: run tests/dashboard/test_access.py; it prints the row to add. If its address has an argument, make
what it names in `make_world`: the numbers are 1, the names those of tests.dashboard.sitemap.EXAMPLES or of NAMED.
"""

import re
from dataclasses import dataclass

from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import URLPattern, get_resolver

from quarantine import consumers
from quarantine.models import Alert, Category, Consumer, Leg, Mute, Role, Run, SavedView, Scope
from tests.dashboard.sitemap import EXAMPLES
from tests.environment import ROOT
from tests.factories import BEGINNING, make_action, make_categories, make_change, make_ledger, make_local_media

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
STRANGER = "anonymous"
PEOPLE = (STRANGER, *Role.values)
SCOPES = tuple(Scope.values)
NAMED = {("facets", "name"): "origin"}  # arguments that none of the sitemap's examples fits
QUERY = {"download": "?admin_unsafely_bypass_quarantine=true"}  # without it, quarantined files are 404 as on Synapse
DOCUMENT = ROOT / "docs" / "access.md"
ARGUMENT = r"<(?:(\w+):)?(\w+)>"


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the URLconf: how docs/access.md writes it, and one address of it."""

    path: str
    view: str
    address: str


def pages(resolver=None, prefix="/"):
    """All of them, in the order of the URLconf."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield page(route, entry.name or entry.callback.__name__)
        else:
            yield from pages(entry, route)


def page(route, view):
    address = re.sub(ARGUMENT, lambda argument: NAMED.get((view, argument[2])) or EXAMPLES[argument[1] or "str"], route)
    return Page(re.sub(ARGUMENT, r"<\2>", route), view, address + QUERY.get(view, ""))


def rows(first_column):
    """The cells of each row of the table that begins with this column, by the names of its columns."""
    lines = DOCUMENT.read_text().splitlines()
    table = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} "))
    names = cells(lines[table])
    for line in lines[table + 2 :]:
        if not line.startswith("|"):
            return
        yield dict(zip(names, cells(line), strict=True))


def cells(line):
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def written(columns, first_column):
    """{(path, view, method): {column: word}}"""
    found = {}
    for row in rows(first_column):
        for method in row["Methods"].split(", "):
            found[row[first_column], row["View"], method] = {name: row[name] for name in columns}
    return found


# --- The world ----------------------------------------------------------------------------


def make_world(staff):
    """One of each thing, with number 1; what people have of their own is `staff`'s."""
    make_ledger()
    make_categories("abc", "other")
    make_local_media("abc")
    action = make_action(pk=1, staff=staff)
    make_change(media_id="abc", action=action)
    Leg.objects.create(run=make_run(), over="local")
    SavedView.objects.create(pk=1, staff=staff, name="Mine", query="scope=local", created_at=BEGINNING)
    UserSession.objects.create(pk=1, user=staff, session_key="x" * 32, ip="192.0.2.7", user_agent="x")
    TOTP.activate(staff, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(staff)
    consumers.create("hma", scopes=[Scope.CHANGES])
    Consumer.objects.update(id=1)
    Alert.objects.create(pk=1, kind="burst", since=BEGINNING, last_at=BEGINNING, created_at=BEGINNING)
    Mute.objects.create(pk=1, kind="burst", until=BEGINNING, staff=staff, created_at=BEGINNING)
    assert Category.objects.filter(slug="abc").exists()


def make_run():
    return Run.objects.create(
        pk=1, kind=Run.Kind.AUDIT, status=Run.Status.STOPPED, started_at=BEGINNING, updated_at=BEGINNING
    )


def signed_in(staff):
    client = Client()
    client.force_login(staff)
    return client


def with_token(scope):
    return Client(headers={"Authorization": f"Bearer {consumers.create(scope, scopes=[scope])}"})


def word(answer):
    """How docs/access.md calls such an answer; None for a method that is not there."""
    status = answer.status_code
    if status == 302 and answer.headers["Location"].startswith("/login/?next="):
        return "sign in"
    told = {401: "token", 403: "no", 404: "404: nothing there in the test's world", 405: None}
    return told.get(status, f"{status}" if status >= 500 else "yes")
