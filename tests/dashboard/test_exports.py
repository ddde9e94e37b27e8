"""Exports: whole files, byte for byte, the same from both engines."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.http import QueryDict

from dashboard.exports import exports
from dashboard.exports.change_csv import NAMES
from dashboard.exports.exports import Export, ExportFilter
from quarantine import ledger
from quarantine.models import Cause, Change, Source, State
from tests.factories import make_action, make_change, make_changes, make_ledger, make_staff

pytestmark = pytest.mark.django_db(transaction=True)  # COPY runs on a connection of its own
NASTY = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    'q"uo,te',
    "two\nlines",
    "\x01\x1f\x7f",
    "é\u202eπ😀",
    "\\.",
    "\\n",
    "</script>",
]
GOLDEN_CSV = (
    "stream_id,origin,media_id,quarantined,deleted,seen_at,not_before,changed_by,source,cause,reason,action,"
    "media_type,media_length,upload_name,uploader,sha256,mxc\n"
    "2,remote.example,b,false,true,2026-11-22T14:32:41.120Z,,,audit,unknown,,,,,,,,mxc://remote.example/b\n"
    "1,matrix.example,a,true,false,2026-11-22T14:32:31.060Z,2026-11-22T14:32:30.000Z,priya,action,item,"
    '"Scam, reported by ""many""",{action},image/png,2516582,\'=IMG.jpg,\'@mallory:spam.example,'
    f"{'9f' * 32},mxc://matrix.example/a\n"
)
GOLDEN_LINES = [
    '{"stream_id":2,"origin":"remote.example","media_id":"b","quarantined":false,"deleted":true,'
    '"seen_at":"2026-11-22T14:32:41.120Z","not_before":null,"changed_by":"","source":"audit","cause":"unknown",'
    '"reason":"","action":null,"media_type":"","media_length":null,"upload_name":"","uploader":"","sha256":null,'
    '"mxc":"mxc://remote.example/b"}',
    '{"stream_id":1,"origin":"matrix.example","media_id":"a","quarantined":true,"deleted":false,'
    '"seen_at":"2026-11-22T14:32:31.060Z","not_before":"2026-11-22T14:32:30.000Z","changed_by":"priya",'
    '"source":"action","cause":"item","reason":"Scam, reported by \\"many\\"","action":%d,"media_type":"image/png",'
    '"media_length":2516582,"upload_name":"=IMG.jpg","uploader":"@mallory:spam.example","sha256":"' + "9f" * 32 + '",'
    '"mxc":"mxc://matrix.example/a"}',
]


def make_golden():
    action = make_action(reason='Scam, reported by "many"', staff=make_staff("priya"))
    make_change(
        media_id="a",
        seen_at=datetime(2026, 11, 22, 14, 32, 31, 60_000, tzinfo=UTC),
        not_before=datetime(2026, 11, 22, 14, 32, 30, tzinfo=UTC),
        changed_by="priya",
        action=action,
        cause=Cause.ITEM,
        media_length=2516582,
        upload_name="=IMG.jpg",
        uploader="@mallory:spam.example",
        sha256="9f" * 32,
    )
    make_change(
        media_id="b",
        origin="remote.example",
        state=State.DELETED,
        seen_at=datetime(2026, 11, 22, 14, 32, 41, 120_000, tzinfo=UTC),
        not_before=None,
        source=Source.AUDIT,
        media_type="",
    )
    return action


def export(form, query=""):
    filters = ExportFilter(QueryDict(query), queryset=Change.objects.all())
    assert filters.is_valid(), filters.problems
    return Export(filters=filters, form=form, head=ledger.current().head)


def text(form, query=""):
    return b"".join(export(form, query).chunks()).decode()


def positions(query):
    return [json.loads(line)["stream_id"] for line in text("ndjson", query).splitlines()]


def test_csv_is_the_golden_file():
    action = make_golden()

    assert text("csv") == GOLDEN_CSV.format(action=action.pk)


def test_ndjson_and_json_are_the_golden_lines():
    action = make_golden()
    lines = [GOLDEN_LINES[0], GOLDEN_LINES[1] % action.pk]

    assert text("ndjson") == "".join(line + "\n" for line in lines)
    assert text("json") == '{"changes":[\n' + ",\n".join(lines) + '\n],"next_cursor":null}\n'


def test_an_empty_ledger_exports_as_empty_files():
    make_ledger()

    assert text("csv") == ",".join(NAMES) + "\n"
    assert text("ndjson") == ""
    assert json.loads(text("json")) == {"changes": [], "next_cursor": None}


def test_strangers_texts_come_back_as_they_were():
    for nasty in NASTY:
        make_change(upload_name=nasty, uploader=nasty, changed_by=nasty, media_type=nasty, origin=f"h{nasty}")

    rows = list(csv.DictReader(io.StringIO(text("csv", "raw=1"), newline="")))
    changes = [json.loads(line) for line in text("ndjson").splitlines()]

    expected = list(reversed(NASTY))
    for name in ("upload_name", "uploader", "changed_by", "media_type"):
        assert [row[name] for row in rows] == expected
        assert [change[name] for change in changes] == expected
    assert [row["origin"] for row in rows] == [change["origin"] for change in changes] == [f"h{x}" for x in expected]


@pytest.mark.parametrize("column", ["upload_name", "uploader", "changed_by", "media_type", "origin", "media_id"])
def test_no_cell_can_become_a_formula(column):
    starts = ["=", "+", "-", "@", "\t", "\r"]
    for start in starts:
        make_change(**{column: f"{start}HYPERLINK(1)"})

    rows = csv.DictReader(io.StringIO(text("csv"), newline=""))

    assert [row[column] for row in rows] == [f"'{start}HYPERLINK(1)" for start in reversed(starts)]


def test_filters_limit_and_cursor_are_the_timelines(monkeypatch):
    monkeypatch.setattr(exports, "SPANS", (3, 6))  # over several statements
    monkeypatch.setattr(exports, "PAGE", 2)
    for number in range(10):
        make_change(state=State.RELEASED if number % 2 else State.QUARANTINED)

    assert positions("") == list(range(10, 0, -1))
    assert [row["stream_id"] for row in csv.DictReader(io.StringIO(text("csv")))] == [str(n) for n in range(10, 0, -1)]
    assert positions("state=released") == [10, 8, 6, 4, 2]
    assert positions("state=released&limit=2") == [10, 8]
    assert positions("cursor=6&limit=4") == [5, 4, 3, 2]
    assert json.loads(text("json", "state=released&limit=2"))["next_cursor"] == 8
    assert json.loads(text("json", "state=released&limit=5"))["next_cursor"] is None


def test_what_comes_after_the_head_at_the_start_is_left_out():
    make_changes(2)
    early = export("ndjson")
    make_change()

    assert [json.loads(line)["stream_id"] for line in b"".join(early.chunks()).splitlines()] == [2, 1]


def test_blocks_are_bounded(monkeypatch):
    monkeypatch.setattr(exports, "BLOCK", 2_000)
    monkeypatch.setattr(exports, "PAGE", 5)
    make_changes(50)

    sizes = [len(chunk) for chunk in export("ndjson").chunks()]

    assert len(sizes) > 5
    assert max(sizes) < 4_000


def test_the_command_writes_the_same_bytes(tmp_path):
    make_changes(3)
    file = tmp_path / "changes.ndjson"

    call_command("export", "--format", "ndjson", "--output", str(file), "--filter", "limit=2")

    assert file.read_text() == text("ndjson", "limit=2")


@pytest.mark.parametrize(
    ("filters", "said"),
    [(["nonsense"], "name=value"), (["state=odd"], "state"), (["limit=0"], "limit"), (["x=1"], "x")],
)
def test_the_command_refuses_bad_filters_in_a_sentence(filters, said):
    make_ledger()

    with pytest.raises(CommandError, match=said) as refused:
        call_command("export", *(word for text in filters for word in ("--filter", text)))

    assert refused.value.returncode == 2


def test_a_file_that_can_not_be_written_is_a_sentence_and_exit_2(tmp_path):
    make_ledger()
    file = tmp_path / "nowhere" / "changes.csv"

    with pytest.raises(CommandError) as refused:
        call_command("export", "--output", str(file))

    assert str(refused.value) == f"--output {file} can't be written: No such file or directory."
    assert refused.value.returncode == 2
