"""Any parameter, of any address, with anything in it: an answer in words, nothing run, and nothing changed by asking.

Addresses come from the URLconf and names from the code, so that new ones are tried without being listed.
"""

import re

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.plots.periods import PeriodForm
from dashboard.search.filters import ChangeFilter
from quarantine import ledger
from quarantine.models import Action, Change, Consumer, Role, Run, Staff
from tests.dashboard.crawler import faults
from tests.dashboard.sitemap import EXAMPLES, routes
from tests.dashboard.test_security_hostile import HOSTILE, record
from tests.environment import ROOT
from tests.factories import make_categories, make_staff

READ_FROM = r"""\.(?:get|getlist|value)\(\s*"(\w+)"|(?:GET|POST|data)\["(\w+)"\]"""
NAMES = sorted(
    {*ChangeFilter.base_filters, *PeriodForm.base_fields}
    | {
        name
        for path in (ROOT / "dashboard").rglob("*.py")
        for names in re.findall(READ_FROM, path.read_text())
        for name in names
        if name
    }
)
PLAUSIBLE = [
    "1", "0", "-1", "9223372036854775807", "9223372036854775808", "1e9", "٣", "2026-02-30", "2026-03-01T12:00:00Z", "0001-01-01",
    "9999-12-31T23:59:59Z", "quarantined", "local", "image/*", "-spam", "-", "on", "off", "matrix.example", "mxc://matrix.example/abc",
    "mxc://", "@u:matrix.example", "!r:matrix.example", "ab" * 32, "spam", "quarantine", "release", "item", "7d", "/", "dark",
]  # fmt: skip
values = st.one_of(
    st.sampled_from(PLAUSIBLE),
    st.sampled_from([text for text in HOSTILE.values() if len(text) < 1_000]),
    st.text(max_size=60),
)
parameters = st.dictionaries(st.sampled_from(NAMES), st.lists(values, min_size=1, max_size=3), max_size=4)
WRITES = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|TRUNCATE|ALTER|DROP|CREATE)\b", re.IGNORECASE)
FIELD = re.compile(r"(?<=>)[^<]*(?=</textarea>)")  # to be edited, so as it was given; escaped
OF_SESSIONS = ("django_session", "quarantine_session", "usersessions")  # when somebody was last seen
ON_RECORD = "quarantine_accessentry"  # that an export was begun, or the access record read; its chain goes with it
TRIED = 250
fuzzed = hypothesis_settings(
    max_examples=TRIED, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=False
)

pytestmark = pytest.mark.django_db


@st.composite
def addresses(draw):
    """Of any page, with what fits, or nearly fits, in the place of each of its parts."""
    route = draw(st.sampled_from(sorted(set(routes()))))
    parts = {
        "int": st.sampled_from(["1", "2", "0", "9999999999999999999"]),
        "slug": st.sampled_from(["spam", "type", "no"]),
    }
    return "/" + re.sub(
        r"<(?:(\w+):)?\w+>", lambda match: draw(parts.get(match[1], st.just(EXAMPLES[match[1] or "str"]))), route
    )


@pytest.fixture
def place(db):
    """A ledger with something in it, and one browser for each role."""
    assert get_resolver().url_patterns  # loaded before anything is drawn: some modules roll dice as they load
    ledger.bind()
    make_categories()
    record("dull")
    clients = {}
    for role in Role.values:
        clients[role] = Client(raise_request_exception=False)
        clients[role].force_login(make_staff(role, role=role))
    return clients


def as_bytes(given):
    return {name: [text.encode(errors="surrogatepass") for text in texts] for name, texts in given.items()}


def judge(answer):
    """What is wrong with an answer, in words; empty when nothing is."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text = body.decode(errors="replace")
    wrong = [] if answer.status_code < 500 else [f"status {answer.status_code}"]
    wrong += [trace for trace in ("Traceback (most recent call last)", settings.SECRET_KEY) if trace in text]
    html = "text/html" in answer.headers.get("Content-Type", "")
    return wrong + (list(faults(FIELD.sub("", text))) if html else [])


def counted():
    return [model.objects.count() for model in (Change, Action, Staff, Consumer, Run)]


@fuzzed
@given(address=addresses(), query=parameters, role=st.sampled_from(Role.values), htmx=st.booleans())
def test_whatever_is_asked_for_is_answered_and_changes_nothing(place, address, query, role, htmx):
    headers = {"HX-Request": "true", "HX-Target": "results"} if htmx else {}

    with (
        CaptureQueriesContext(connections["default"]) as ours,
        CaptureQueriesContext(connections["homeserver"]) as theirs,
    ):
        answer = place[role].get(address, as_bytes(query), headers=headers)
        problems = judge(answer)

    written = [each["sql"] for each in [*ours, *theirs] if WRITES.match(each["sql"])]
    assert not problems
    assert not [sql for sql in written if not any(name in sql for name in (*OF_SESSIONS, ON_RECORD))]


@fuzzed
@given(address=addresses(), form=parameters, role=st.sampled_from([Role.VIEWER, Role.MODERATOR]))
def test_whatever_is_sent_is_answered_and_the_ledger_stays(place, address, form, role):
    """Actions, reasons and views may come of it, where the role allows that; changes of state never by themselves."""
    before = counted()

    answer = place[role].post(address, as_bytes(form))

    assert not judge(answer)
    after = counted()
    assert after[0] == before[0]
    if role == Role.VIEWER:
        assert after == before


def test_the_names_are_those_of_the_code():
    assert {"q", "cursor", "verb", "reason", "next", "days", "range", "limit", "submission"} <= set(NAMES)


def test_a_fault_would_be_seen(client):
    answer = client.get("/login/")
    assert not judge(answer)

    answer.content = b"<p onclick=x>Traceback (most recent call last)</p>"
    answer.status_code = 500

    assert len(judge(answer)) >= 3
