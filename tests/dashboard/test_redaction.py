"""Blanking by law: gone everywhere people look, on record that it was done, and the chain still fits."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from quarantine import ledger
from quarantine.accounts.access_record import record
from quarantine.acting import approvals
from quarantine.alerting import alert_rules, alerts
from quarantine.chain import evidence, redaction, verification
from quarantine.chain.redaction import RedactionError, of_action, of_alert, of_media, of_user, redact
from quarantine.counting import rollup, tallies
from quarantine.models import (
    Access,
    AccessEntry,
    Action,
    Alert,
    AlertKind,
    Change,
    MediaItem,
    Proposal,
    Role,
    Ruling,
    Staff,
    Tally,
    Work,
)
from quarantine.models.append_only import AppendOnlyError
from quarantine.mxc import Mxc
from quarantine.seals import REDACTED
from tests.factories import BEGINNING, make_action, make_staff
from tests.quarantine.ledger_checks import an_entry

pytestmark = pytest.mark.django_db
MALLORY = "@mallory:matrix.example"
WHY = "Request 4711"


@pytest.fixture
def story(db):
    """Two uploads of mallory's, one of another's; an action aimed at mallory by priya."""
    ledger.bind()
    priya = make_staff("priya")
    action = make_action(staff=priya, target=MALLORY, reason="mallory again")
    facts = {"uploader": MALLORY, "upload_name": "mallory.png", "changed_by": "priya", "action_id": action.pk}
    ledger.append([an_entry("a", **facts), an_entry("b", **facts)])
    ledger.append(
        [an_entry("c", uploader="@ann:matrix.example", upload_name="ann.png", changed_by="@mod:matrix.example")]
    )
    return action


def changes(*names):
    return list(Change.objects.order_by("pk").values_list(*names))


def checked():
    return {table.name: verification.check(table) for table in verification.tables()}


def assert_fits(**redacted):
    done = checked()
    assert [each.fault for each in done.values()] == [None] * 4
    assert {name: each.redacted for name, each in done.items() if each.redacted} == redacted


def test_a_user_is_gone_from_everywhere(story):
    record(Access.SIGN_IN_FAILED, by=None, target=MALLORY)

    redact(of_user(MALLORY), reason=WHY, by=None)

    assert changes("uploader", "upload_name", "changed_by") == [
        (REDACTED, REDACTED, "priya"),
        (REDACTED, REDACTED, "priya"),
        ("@ann:matrix.example", "ann.png", "@mod:matrix.example"),
    ]
    assert (Action.objects.get().target, Action.objects.get().reason) == (REDACTED, "mallory again")
    assert list(MediaItem.objects.order_by("media_id").values_list("uploader", flat=True)) == [
        "",
        "",
        "@ann:matrix.example",
    ]
    assert MALLORY not in "".join(everything())
    assert_fits(ledger=2, actions=1, access=1)


def everything():
    """Every value of every table of ours, as text."""
    for table in connection.introspection.table_names():
        with connection.cursor() as db:
            db.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            yield str(db.fetchall())


def test_no_salt_is_left_to_try_names_against(story):
    before = [bytes(salts) for [salts] in changes("salts")]

    redact(of_user(MALLORY), reason=WHY, by=None)

    after = [bytes(salts) for [salts] in changes("salts")]
    assert before[0][18:34] not in after[0]
    assert before[0][:17] == after[0][:17]  # of changed_by
    assert before[2] == after[2]
    [first, *_] = evidence.find(evidence.of_media(Mxc("matrix.example", "a")))
    [[(row, previous)]] = first.rows()
    assert evidence.voucher(first.table, row, previous)["personal"] == {
        "changed_by": {"value": "priya", "salt": before[0][1:17].hex()},
        "upload_name": None,
        "uploader": None,
    }


def test_one_media_item_loses_uploader_and_name_alone(story):
    redact(of_media(Mxc("matrix.example", "b")), reason=WHY, by=None)

    assert changes("uploader", "upload_name")[:2] == [(MALLORY, "mallory.png"), (REDACTED, REDACTED)]
    assert_fits(ledger=1)


def test_one_action_loses_target_and_reason(story):
    redact(of_action(story.pk), reason=WHY, by=None)

    assert list(Action.objects.values_list("target", "reason", "verb")) == [(REDACTED, REDACTED, "quarantine")]
    assert_fits(actions=1)


def declined(action, *, note):
    Proposal.objects.create(action=action, affected=2, expires_at=BEGINNING)
    Work.objects.filter(action=action).update(status=Work.Status.HELD)
    lena = Staff.objects.filter(username="lena").first() or make_staff("lena", role=Role.LEAD)
    approvals.record(action, Ruling.Kind.DECLINED, staff=lena, note=note, affected=None)


def test_what_was_written_when_it_was_ruled_on_is_gone_too(story, client):
    other = make_action(staff=story.staff, reason="kept")
    for action in (story, other):
        declined(action, note="mallory is my neighbour")
    assert of_action(story.pk).counts() == {"actions": 1, "rulings": 1, "lines of the access record": 1}

    assert redact(of_action(story.pk), reason=WHY, by=None) == 3

    notes = Ruling.objects.order_by("pk").values_list("note", "kind", "staff__username")
    assert list(notes) == [(REDACTED, "declined", "lena"), ("mallory is my neighbour", "declined", "lena")]
    told = AccessEntry.objects.filter(what=Access.RULING).order_by("pk").values_list("who", "target", "details")
    assert told[0] == ("lena", str(story.pk), REDACTED)
    assert "neighbour" in told[1][2]
    assert_fits(actions=1, access=1)
    client.force_login(make_staff("iris", role=Role.ADMIN))
    for url in (
        f"/actions/{story.pk}/",
        f"/record/?what=ruling&cursor={AccessEntry.objects.get(target=str(other.pk)).pk}",
    ):
        page = client.get(url).text
        assert REDACTED in page
        assert "neighbour" not in page
    assert redact(of_action(story.pk), reason=WHY, by=None) == 0


def test_an_account_has_to_be_disabled_and_is_renamed(story):
    with pytest.raises(RedactionError, match="Disable it first"):
        redact(of_user("priya"), reason=WHY, by=None)
    story.staff.is_active = False
    story.staff.save()

    redact(of_user("priya"), reason=WHY, by=None)

    assert [name for [name] in changes("changed_by")] == [REDACTED, REDACTED, "@mod:matrix.example"]
    assert Action.objects.get().staff.username == f"redacted-{story.staff.pk}"
    assert "priya" not in "".join(everything())
    assert_fits(ledger=2)


def test_sums_forget_the_person_too(story):
    Tally.objects.create(
        size=1000, start=0, kind="uploader", backfill=False, counts={MALLORY: 2, "@ann:matrix.example": 1}
    )
    Tally.objects.create(size=1000, start=0, kind="origin", backfill=False, counts={"matrix.example": 3})

    redact(of_user(MALLORY), reason=WHY, by=None)

    assert Tally.objects.get(kind="uploader").counts == {REDACTED: 2, "@ann:matrix.example": 1}
    assert set(redaction.KEYED) <= set(tallies.KEYED)


def test_alerts_forget_the_person_too(story):
    for person in (MALLORY, "@eve:matrix.example"):
        alert_rules.mute(
            AlertKind.RELEASE, subject=person, hours=1, staff=make_staff(f"a{len(person)}", role=Role.ADMIN)
        )
        alerts.begin(alert_rules.rule_of(AlertKind.RELEASE), person, number=1, since=BEGINNING, last_at=BEGINNING)
        redact(of_user(person), reason=WHY, by=None)

    assert list(Alert.objects.values_list("subject", "ended_at")) == [(REDACTED, BEGINNING)] * 2
    assert "@eve" not in "".join(everything())
    assert MALLORY not in "".join(everything())


def alerted(kind, subject, *, note):
    alert = alerts.begin(alert_rules.rule_of(kind), subject, number=1, since=BEGINNING, last_at=BEGINNING)
    assert alert_rules.acknowledge(alert, note=note, staff=make_staff(f"ack{alert.pk}"))
    return alert


def test_what_was_written_of_an_alert_is_gone_with_the_person_it_was_about(story):
    alerted(AlertKind.RELEASE, MALLORY, note="mallory is my neighbour")
    alerted(AlertKind.RELEASE, "@eve:matrix.example", note="on leave")
    alerted(AlertKind.FAILED, "action", note="the proxy")

    redact(of_user(MALLORY), reason=WHY, by=None)

    notes = Alert.objects.order_by("pk").values_list("subject", "note")
    assert list(notes) == [(REDACTED, REDACTED), ("@eve:matrix.example", "on leave"), ("action", "the proxy")]


def test_one_alert_loses_its_note(story, client):
    alert, other = (alerted(AlertKind.BURST, f"{name}.example", note="mallory again") for name in "ab")

    said = run("--alert", str(alert.pk), "--reason", WHY, "--yes")

    assert "Rows with something to blank: 1 alerts." in said
    assert list(Alert.objects.order_by("pk").values_list("subject", "note")) == [
        ("a.example", REDACTED),
        ("b.example", "mallory again"),
    ]
    assert json.loads(AccessEntry.objects.get(what=Access.REDACTION).details) == {
        "of": "alert",
        "reason": WHY,
        "rows": {"alerts": 1},
    }
    client.force_login(make_staff("vera", role=Role.VIEWER))
    assert [REDACTED in client.get(f"/alerts/{each.pk}/").text for each in (alert, other)] == [True, False]
    assert redact(of_alert(alert.pk), reason=WHY, by=None) == 0


def test_the_providers_name_for_who_was_given_an_account_is_gone(story):
    record(Access.ACCOUNT_LINKED, by=None, target=MALLORY, subject="mallory-at-work")
    record(Access.ROLE_CHANGED, by=None, target=MALLORY, before="viewer", after="lead")

    redact(of_user(MALLORY), reason=WHY, by=None)

    lines = AccessEntry.objects.exclude(what=Access.REDACTION).order_by("pk").values_list("target", "details")
    assert list(lines) == [(REDACTED, REDACTED), (REDACTED, '{"after": "lead", "before": "viewer"}')]
    assert_fits(ledger=2, actions=1, access=2)


# --- What goes on meanwhile ---------------------------------------------------------------


def test_a_change_that_is_recorded_meanwhile_does_not_bring_the_name_back(story, monkeypatch):
    """Its media is no longer on the homeserver, so the gate puts in what it remembers."""
    windows = redaction.windows

    def late(part):
        yield from windows(part)
        ledger.append([an_entry("a", quarantined=False)])

    monkeypatch.setattr(redaction, "windows", late)

    redact(of_user(MALLORY), reason=WHY, by=None)

    assert changes("media_id", "uploader")[3:] == [("a", "")]


def test_sums_that_are_being_added_up_meanwhile_do_not_bring_the_name_back(story, monkeypatch):
    monkeypatch.setattr(rollup, "SIZES", (4, 8))
    summaries, due = rollup.summaries, [of_user(MALLORY)]

    def slow(*block):
        found = list(summaries(*block))
        if due:
            redact(due.pop(), reason=WHY, by=None)
        return found

    monkeypatch.setattr(rollup, "summaries", slow)

    rollup.roll_up()

    [tally] = Tally.objects.filter(kind="uploader")
    assert tally.counts == {REDACTED: 2, "@ann:matrix.example": 1}


def test_it_is_on_record_without_what_was_there(story):
    ann = make_staff("ann", role=Role.ADMIN)

    redact(of_user(MALLORY), reason=f" {WHY} ", by=ann)
    redact(of_media(Mxc("matrix.example", "c")), reason=WHY, by=ann)

    told = [(entry.who, entry.target, json.loads(entry.details)) for entry in AccessEntry.objects.order_by("pk")]
    assert told[0] == (
        "ann",
        "",
        {
            "of": "user",
            "reason": WHY,
            "rows": {"changes": 2, "actions": 1, "lines of the access record": 0, "alerts": 0},
        },
    )
    assert told[1][1:] == ("mxc://matrix.example/c", {"of": "media", "reason": WHY, "rows": {"changes": 1}})


def test_twice_is_once_and_rows_without_seals_are_blanked_too(story):
    Change.objects.filter(pk=1).update(salts=None, digest=None, chain=None)

    assert redact(of_user(MALLORY), reason=WHY, by=None) == 3
    assert redact(of_user(MALLORY), reason=WHY, by=None) == 0
    assert Change.objects.get(pk=1).uploader == REDACTED


def test_a_row_that_does_not_fit_is_left_alone(story):
    Change.objects.filter(pk=2).update(salts=b"\0\0\0")

    with pytest.raises(RedactionError, match="Row 2 of quarantine_change does not fit"):
        redact(of_user(MALLORY), reason=WHY, by=None)

    assert Change.objects.get(pk=2).uploader == MALLORY


def test_what_was_blanked_before_a_row_that_does_not_fit_is_not_denied(story, client):
    client.force_login(make_staff("vera", role=Role.VIEWER))
    assert "mallory.png" in client.get("/").text
    Action._base_manager.filter(pk=story.pk).update(salts=b"\0\0\0")

    with pytest.raises(CommandError, match="What was blanked before it stays blanked") as refused:
        run("--user", MALLORY, "--reason", WHY, "--yes")

    assert (refused.value.returncode, "Nothing" in str(refused.value)) == (1, False)
    assert changes("uploader")[:2] == [(REDACTED,), (REDACTED,)]
    assert "mallory.png" not in client.get("/").text


def test_pages_show_it_at_once(story, client):
    client.force_login(make_staff("vera", role=Role.VIEWER))
    assert "mallory.png" in client.get("/").text

    redact(of_user(MALLORY), reason=WHY, by=None)

    for address in ("/", "/media/matrix.example/a/", f"/actions/{story.pk}/", "/actions/"):
        page = client.get(address).text
        assert REDACTED in page
        assert MALLORY not in page
        assert "mallory.png" not in page


def test_the_guards_of_the_models_stay(story):
    story.reason = REDACTED

    for way in (story.save, lambda: Action.objects.update(reason=REDACTED)):
        with pytest.raises(AppendOnlyError):
            way()


# --- The command --------------------------------------------------------------------------


def run(*options):
    out = StringIO()
    call_command("redact", *options, stdout=out)
    return out.getvalue()


def test_a_dry_run_blanks_nothing(story):
    said = run("--user", MALLORY, "--reason", WHY, "--dry-run", "--json")

    assert "Rows with something to blank: 2 changes, 1 actions" in said
    assert json.loads(said.splitlines()[-1])["rows"]["changes"] == 2
    assert changes("uploader")[0] == (MALLORY,)
    assert not AccessEntry.objects.exists()


def test_it_blanks_with_yes_alone(story):
    with pytest.raises(CommandError, match="add --yes"):
        run("--user", MALLORY, "--reason", WHY)
    assert changes("uploader")[0] == (MALLORY,)

    assert "3 rows blanked." in run("--user", MALLORY, "--reason", WHY, "--yes")
    assert changes("uploader")[0] == (REDACTED,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--user", MALLORY, "--reason", " "], "Say why"),
        (["--user", "", "--reason", WHY], "--user is a name"),
        (["--user", "priya", "--reason", WHY], "account in use"),
        (["--alert", "999", "--reason", WHY], "There is no alert 999"),
        (["--action", "999", "--reason", WHY], "There is no action 999"),
        (["--media", "abc", "--reason", WHY], "Nothing was blanked"),
        (["--user", MALLORY, "--reason", WHY, "--staff", "nobody"], "no account"),
    ],
)
def test_what_makes_no_sense_is_refused(story, options, said):
    with pytest.raises(CommandError, match=said) as refused:
        run(*options, "--yes")

    assert refused.value.returncode == 2
    assert not AccessEntry.objects.exists()
