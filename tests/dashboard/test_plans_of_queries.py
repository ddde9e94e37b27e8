"""How the databases find what the pages ask for: by an index, in order, whatever the filter.

The table is small but the planner is told the truth of a large one: reading all of it is made as dear as it
would be there. Where no index serves, a plan still has to read or sort it all, and the test sees that.
"""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from dashboard.search import lanes, pages
from dashboard.search.filters import ChangeFilter
from dashboard.search.folds import ends
from dashboard.search.meant import meant
from dashboard.search.pages import change_page
from quarantine.models import Change, Source, State
from tests.factories import BEGINNING, make_action, make_change, make_ledger

pytestmark = pytest.mark.django_db
MANY = 600
SHA256 = "ab" * 32
PROBE = re.compile(r"(?:Index (?:Only )?Scan (?:Backward )?using|SEARCH U0 USING (?:COVERING )?INDEX) change_(\w+)")
FILTERS = [
    "", "cursor=300", "state=quarantined", "state=released", "state=deleted", "scope=local", "scope=remote",
    "origin=rare.example", "by=ann", "source=audit", "source=action", "cause=hash", "type=image", "type=image/png",
    "type=none/such", "uploader=@u1:matrix.example", f"sha256={SHA256}", "media=media7", "media=mxc://matrix.example/media7",
    "action=1", f"q={SHA256}", "q=@u1:matrix.example", "q=mxc://matrix.example/media7", "q=kitten", "by=-ann",
    "after=2026-03-01T12:01:00Z", "before=2026-03-01T12:01:00Z", "after=2026-03-01T12:01:00Z&before=2026-03-01T12:02:00Z",
    "by=ann&source=audit", "state=released&scope=remote", "origin=rare.example&type=image&by=ann", "by=ann&by=ben",
    "scope=local&q=kitten", "by=-ann&state=quarantined",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _large_ledger(db, monkeypatch):
    """Six hundred changes in windows of twenty, as ten million are in windows of ten thousand."""
    monkeypatch.setattr(pages, "FIRST_WINDOW", 20)
    monkeypatch.setattr(lanes, "FIRST_WINDOW", 20)
    monkeypatch.setattr(lanes, "PIECE", 10)
    action = make_action(pk=1, reason="Spam")
    for number in range(2, 40):  # where there are few, SQLite begins with them
        make_action(pk=number, staff=action.staff)
    example = make_change(action=action, sha256=SHA256, changed_by="ben", uploader="@u1:matrix.example")
    Change.objects.bulk_create(some_change(example, number) for number in range(2, MANY + 1))
    make_ledger(head=MANY)
    with connection.cursor() as db_cursor:
        db_cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            db_cursor.execute("SET LOCAL enable_seqscan = off")


def some_change(example, number):
    fields = {field.attname: getattr(example, field.attname) for field in Change._meta.concrete_fields}
    remote, state = (
        number % 3 == 0,
        (State.QUARANTINED, State.RELEASED, State.DELETED)[(number % 9 == 0) + (number % 27 == 0)],
    )
    return Change(**fields | {
        "stream_id": number,
        "media_id": f"media{number}",
        "seen_at": BEGINNING + timedelta(seconds=number),
        "origin": f"remote{number % 40}.example" if remote else "matrix.example",
        "local": not remote,
        "quarantined": state == State.QUARANTINED,
        "deleted": state == State.DELETED,
        "changed_by": ("ann", "ben", "")[number % 5 % 3],
        "source": Source.AUDIT if number % 20 == 0 else (Source.FEED, Source.ACTION, Source.BACKFILL)[number % 3],
        "action_id": 1 if number % 50 == 0 else None,
        "sha256": f"{number:064x}",
        "uploader": f"@u{number % 100}:matrix.example",
        "upload_name": f"IMG_{number}.jpg",
    })  # fmt: skip


def statements(query):
    """What a page reads of changes."""
    with CaptureQueriesContext(connection) as captured:
        change_page(ChangeFilter(QueryDict(query), queryset=Change.objects.all()), head=MANY, budget=60)
    return [each["sql"] for each in captured if 'FROM "quarantine_change"' in each["sql"]]


def faults(sql):
    """What a large table would make slow in this statement's plan."""
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            db.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            [[plan]] = db.fetchall()
            return [*unbounded(json.loads(plan)[0]["Plan"] if isinstance(plan, str) else plan[0]["Plan"])]
        db.execute(f"EXPLAIN QUERY PLAN {sql}")
        return [line for *_, line in db.fetchall() if is_slow(line)]


def unbounded(node, *, bounded=False):
    """Nodes that read or sort the table. Inside a window or a list of positions, whatever is done is small."""
    conditions = f"{node.get('Index Cond', '')} {node.get('Recheck Cond', '')} {bounds_below(node)}"
    bounded = (
        bounded or ("stream_id >=" in conditions and "stream_id <" in conditions) or "stream_id = ANY" in conditions
    )
    if node.get("Relation Name") == "quarantine_change" and node["Node Type"] == "Seq Scan":
        yield "Seq Scan"
    if node["Node Type"] in {"Sort", "Incremental Sort"} and not bounded and not is_of_one_media(node):
        yield node["Node Type"]
    for child in node.get("Plans", []):
        yield from unbounded(child, bounded=bounded)


def bounds_below(node):
    return " ".join(f"{child.get('Index Cond', '')} {bounds_below(child)}" for child in node.get("Plans", []))


def is_of_one_media(node):
    return "media_id" in bounds_below(node) or "sha256" in bounds_below(node)


def is_slow(line):
    in_order = "USING" in line or "SEARCH" in line
    return ("SCAN" in line and "quarantine_change" in line and not in_order) or line.startswith(
        "USE TEMP B-TREE FOR ORDER BY"
    )


@pytest.mark.parametrize("query", FILTERS)
def test_no_filter_reads_or_sorts_the_table(query):
    asked = statements(query)

    assert asked
    assert {sql: found for sql in asked if (found := faults(sql))} == {}


def test_a_filter_without_an_index_would_be_seen():
    with CaptureQueriesContext(connection) as captured:
        list(Change.objects.filter(upload_name="x").order_by("-not_before")[:50])

    assert faults(captured[0]["sql"])


@pytest.mark.postgresql
def test_an_index_that_goes_missing_would_be_seen():
    with connection.cursor() as db:
        db.execute("DROP INDEX change_uploader")

    assert [
        found for sql in statements("uploader=@u1:matrix.example") for found in faults(sql) + filtered(sql, "uploader")
    ]


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("query", "column"),
    [
        ("source=feed", "source"), ("source=feed&cursor=300", "source"), ("cause=item", "cause"), ("by=ann", "changed_by"),
        ("scope=local", "local"), ("type=image", "media_class"), ("type=image/png", "media_type"), ("origin=matrix.example", "origin"),
        ("origin=rare.example", "origin"), ("by=nobody", "changed_by"), ("source=audit", "source"), ("cause=hash", "cause"),
        ("type=none", "media_class"), ("type=none/such", "media_type"), ("media=media7", "media_id"), ("action=1", "action_id"),
        (f"sha256={SHA256}", "sha256"), ("uploader=@u1:matrix.example", "uploader"), ("state=deleted", "deleted"),
    ],
)  # fmt: skip
def test_each_single_filter_has_an_index_of_its_own(query, column):
    assert [found for sql in statements(query) for found in filtered(sql, column)] == []


@pytest.mark.postgresql
@pytest.mark.parametrize("up", [False, True])
def test_the_far_end_of_a_run_is_looked_up(up):
    with CaptureQueriesContext(connection) as captured:
        ends(BEGINNING, 300, [Source.ACTION, Source.AUDIT, Source.FEED], up=up)

    [sql] = [query["sql"] for query in captured]
    assert filtered(sql, "source") == faults(sql) == []


@pytest.mark.parametrize("beginning", [SHA256[:8], "0" * 8, "0" * 63, "f" * 8])
def test_the_beginning_of_a_hash_is_looked_up(beginning):
    with CaptureQueriesContext(connection) as captured:
        list(meant(beginning))

    [sql] = [query["sql"] for query in captured]
    assert looked_up(sql) == ["uploader", "changed_by", "changed_by", "sha256", "sha256"]


def looked_up(sql):
    """The index of each probe of changes; the line of the plan where they are filtered, sorted or read otherwise."""
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            db.execute("SET LOCAL enable_bitmapscan = off")  # of so few rows it takes all and sorts them
        db.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}")
        lines = [line for *_, line in db.fetchall() if re.search("quarantine_change|U0|Filter|Sort|TEMP B-TREE", line)]
    return [found[1] if (found := PROBE.search(line)) else line for line in lines]


def filtered(sql, column):
    """Conditions on this column that are checked row by row, instead of being looked up."""
    with connection.cursor() as db:
        db.execute("SET LOCAL enable_bitmapscan = off")
        db.execute("SET LOCAL enable_sort = off")  # six hundred rows are soon sorted; ten million are not
        db.execute(f"EXPLAIN {sql}")
        lines = [line for [line] in db.fetchall()]
    return [line for line in lines if "Filter:" in line and f"{column}" in line]
