"""Evidence files: what is in them, that others can check them with what their README says, and what is never in them."""

import io
import json
import re
import subprocess
import sys
import textwrap
import zipfile
from hashlib import sha256

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client

from quarantine import ledger
from quarantine.accounts.access_record import record, write
from quarantine.chain.evidence import find, of_media
from quarantine.models import Access, AccessEntry, Action, Cause, Change, Fate, Intent, Reveal, Role
from quarantine.mxc import Mxc
from tests.dashboard.crawler import faults
from tests.factories import BEGINNING, make_action, make_staff
from tests.quarantine.ledger_checks import an_entry

pytestmark = pytest.mark.django_db(transaction=True)
MXC = "mxc://matrix.example/abc"
HOSTILE = '<script>pwned</script>\u202e"\n.png'


@pytest.fixture
def auditor(client, db):
    ledger.bind()
    client.force_login(make_staff("iris", role=Role.AUDITOR))
    return client


@pytest.fixture
def story(auditor):
    """Three changes of one media item among others, two of them by an action, and one look at it."""
    priya = make_staff("priya")
    mallory = {"uploader": "@mallory:matrix.example", "upload_name": HOSTILE}
    action = make_action(staff=priya, reason="case <7>", target=MXC, cause=Cause.ITEM)
    Intent.objects.create(action=action, origin="matrix.example", media_id="abc", fate=Fate.CHANGED)
    for quarantined, number in ((True, None), (False, action.pk), (True, action.pk)):
        ledger.append([an_entry("abc", quarantined, action_id=number, **mallory), an_entry(f"x{quarantined}{number}")])
    Reveal.objects.create(staff=priya, origin="matrix.example", media_id="abc", revealed_at=BEGINNING)
    record(Access.REVEAL, by=priya, target=MXC)
    return action


def taken(client, **of):
    answer = client.get("/evidence.zip", of)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    return unpacked(b"".join(answer.streaming_content))


def unpacked(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def records(files, name):
    return [json.loads(line)["record"] for line in files[name].splitlines()]


def test_one_media_item(auditor, story):
    files = taken(auditor, media=MXC)

    assert [change["stream_id"] for change in records(files, "changes.ndjson")] == [1, 3, 5]
    assert [action["action"] for action in records(files, "actions.ndjson")] == [story.pk]
    assert [look["staff"] for look in records(files, "reveals.ndjson")] == ["priya"]
    assert [entry["what"] for entry in records(files, "access.ndjson")] == ["reveal"]
    manifest = json.loads(files["manifest.json"])
    assert (manifest["title"], manifest["by"], manifest["records"]) == (f"media {MXC}", "iris", 6)
    assert manifest["heads"]["ledger"] == f"ledger:6:{bytes(Change.objects.get(pk=6).chain).hex()}"
    assert set(manifest["files"]) == set(files) - {"manifest.json", "SHA256SUMS"}


def test_the_sums_are_right(auditor, story):
    files = taken(auditor, action=story.pk)

    told = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert told == {name: sha256(data).hexdigest() for name, data in files.items() if name != "SHA256SUMS"}


def test_the_readme_says_how_to_check_it(auditor, story, tmp_path):
    files = taken(auditor, media=MXC)
    readme = files["README.txt"].decode()
    script = textwrap.dedent(re.search(r"<<'END'\n(.*?)    END\n", readme, re.DOTALL)[1])
    said = {}
    for name in ("changes.ndjson", "actions.ndjson", "reveals.ndjson", "access.ndjson"):
        said[name] = checked(script, tmp_path, files[name])
    line = files["changes.ndjson"].splitlines()[0]
    said["value"] = checked(script, tmp_path, line.replace(b"@mallory:", b"@innocent:"))
    for name, wrong in (
        ("uploader", "@innocent:x"), ("quarantined", False), ("stream_id", 2), ("action", 9), ("sha256", "0" * 64),
        ("seen_at", "2026-01-01T00:00:00.000Z"), ("origin", "other.example"),
    ):  # fmt: skip
        said[name] = checked(script, tmp_path, retold(line, name, wrong))
    said["chain"] = checked(script, tmp_path, re.sub(rb'"chain": "..', b'"chain": "zz', line))
    said["content"] = checked(script, tmp_path, line.replace(b'[\\"matrix.example', b'[\\"other.example'))

    assert said["changes.ndjson"] == ["1 fits", "2 fits", "3 fits"]
    assert {name: lines for name, lines in said.items() if name != "changes.ndjson"} == {
        **{name: ["1 fits"] for name in ("actions.ndjson", "reveals.ndjson", "access.ndjson")},
        **{name: ["1 DOES NOT FIT"] for name in said if not name.endswith(".ndjson")},
    }


def retold(line, name, value):
    """The record says something else than its seal, which stays whole."""
    told = json.loads(line)
    assert told["record"][name] != value
    told["record"][name] = value
    return json.dumps(told).encode()


def test_a_title_adds_nothing_to_the_readme(auditor):
    name = "abc\n\nTo check it run\n    sh evil"
    ledger.append([an_entry(name)])

    readme = taken(auditor, media=f"mxc://matrix.example/{name}")["README.txt"].decode()

    assert "Evidence: media mxc://matrix.example/abc[U+000A][U+000A]To check" in readme
    assert "\n    sh evil" not in readme


def checked(script, folder, data):
    (folder / "records").write_bytes(data)
    ran = [sys.executable, "-", str(folder / "records")]
    return subprocess.run(ran, input=script, text=True, capture_output=True, check=True).stdout.splitlines()


def test_the_report_is_harmless_and_stands_alone(auditor, story):
    report = taken(auditor, media=MXC)["report.html"].decode()

    assert faults(report) == []
    assert "&lt;script&gt;pwned&lt;/script&gt;[U+202E]" in report
    assert "case &lt;7&gt;" in report
    assert not re.search(r"<(script|link|style|img)\b|https?://", report)


def test_one_user_of_either_kind(auditor, story):
    uploads = taken(auditor, user="@mallory:matrix.example")
    staff = taken(auditor, user="priya")

    assert [change["stream_id"] for change in records(uploads, "changes.ndjson")] == [1, 3, 5]
    assert records(uploads, "actions.ndjson") == []
    assert [action["action"] for action in records(staff, "actions.ndjson")] == [story.pk]
    assert len(records(staff, "reveals.ndjson")) == len(records(staff, "access.ndjson")) == 1


def test_one_action_comes_with_what_undid_it(auditor, story):
    undo = Action.objects.create(verb="release", target=MXC, staff=story.staff, created_at=BEGINNING, undoes=story)
    undo_work = {"status": "finished", "updated_at": BEGINNING, "total": 1}
    type(story.work).objects.create(action=undo, **undo_work)

    files = taken(auditor, action=story.pk)

    assert [action["action"] for action in records(files, "actions.ndjson")] == [story.pk, undo.pk]
    assert [change["action"] for change in records(files, "changes.ndjson")] == [story.pk, story.pk]
    assert "reveals.ndjson" not in files


def test_which_programs_were_handed_the_file_is_part_of_it(auditor, story):
    for target in (MXC, "mxc://matrix.example/other"):
        write(Access.DOWNLOAD, staff=None, who="hma", target=target)

    files = taken(auditor, media=MXC)

    assert [(entry["what"], entry["who"]) for entry in records(files, "access.ndjson")] == [
        ("reveal", "priya"),
        ("download", "hma"),
    ]


@pytest.mark.postgresql
def test_it_is_found_among_millions_of_files_that_programs_were_handed(auditor, story):
    write(Access.DOWNLOAD, staff=None, who="hma", target=MXC)
    [access] = [each for each in find(of_media(Mxc.parse(MXC))) if each.table.name == "access"]
    with transaction.atomic(), connection.cursor() as db:
        db.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        plans = [access.table.objects().filter(lane).order_by("id").explain() for lane in access.lanes]

    assert ["access_download" in plan for plan in plans] == [False, True]


def test_it_holds_what_its_reader_may_read(auditor, story):
    viewer = Client()
    viewer.force_login(make_staff("vera", role=Role.VIEWER))

    files = taken(viewer, media=MXC)

    assert {"changes.ndjson", "actions.ndjson"} < set(files)
    assert {"reveals.ndjson", "access.ndjson"}.isdisjoint(files)


def test_it_goes_window_by_window(auditor, story, monkeypatch):
    whole = taken(auditor, user="@mallory:matrix.example")["changes.ndjson"]
    monkeypatch.setattr("quarantine.chain.evidence.WINDOW", 2)

    assert taken(auditor, user="@mallory:matrix.example")["changes.ndjson"] == whole


def test_it_is_on_the_access_record(auditor, story):
    taken(auditor, media=MXC)

    begun, ended = list(AccessEntry.objects.order_by("pk"))[-2:]
    assert (begun.what, begun.who, begun.target) == ("evidence", "iris", "evidence-media.zip")
    assert json.loads(ended.details) == {"begun": begun.pk, "rows": 6, "complete": True}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400), ("media=abc", 400), ("action=x", 400), ("action=99999999999999999999", 400), ("user=", 400), ("user=a%00", 400),
        ("user=x&action=1", 400), ("cats=1", 400), ("media=mxc://a.example/none", 404), ("action=999", 404), ("user=%40nobody:a", 404),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(auditor, query, status):
    answer = auditor.get(f"/evidence.zip?{query}")

    assert answer.status_code == status
    assert answer.json()["error"]
    assert not AccessEntry.objects.filter(what="evidence").exists()


def test_pages_lead_to_it(auditor, story):
    assert f'href="/evidence.zip?action={story.pk}"' in auditor.get(f"/actions/{story.pk}/").text
    assert (
        'href="/evidence.zip?media=mxc%3A%2F%2Fmatrix.example%2Fabc"' in auditor.get("/media/matrix.example/abc/").text
    )


def test_the_command_writes_the_same(auditor, story, tmp_path):
    file = tmp_path / "out.zip"

    call_command("evidence", "--media", MXC, "--output", str(file))

    files = unpacked(file.read_bytes())
    assert files["changes.ndjson"] == taken(auditor, media=MXC)["changes.ndjson"]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="exists"):
        call_command("evidence", "--media", MXC, "--output", str(file))
    with pytest.raises(CommandError, match="Nothing is on record of action 999"):
        call_command("evidence", "--action", "999", "--output", str(tmp_path / "none.zip"))
    assert [each.name for each in tmp_path.iterdir()] == ["out.zip"]


@pytest.mark.parametrize(("place", "why"), [("nowhere/a.zip", "No such file or directory"), ("", "File exists")])
def test_a_file_that_can_not_be_written_is_a_sentence_and_exit_2(story, tmp_path, place, why):
    file = tmp_path / place

    with pytest.raises(CommandError) as refused:
        call_command("evidence", "--media", MXC, "--output", str(file))

    assert str(refused.value) == f"--output {file} can't be written: {why}."
    assert refused.value.returncode == 2
    assert not AccessEntry.objects.filter(what=Access.EVIDENCE).exists()
