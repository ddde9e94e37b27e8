"""The access record: what goes in and what never does, who reads it, and that reading it is on it."""

import json
import re
from datetime import timedelta

import pytest
from django.test import Client

from quarantine import consumers
from quarantine.accounts.access_record import MOST_OF_ACCOUNT, MOST_OF_STRANGERS, record, record_failure
from quarantine.accounts.staff import add_staff, disable_staff, enable_staff, set_password, set_role
from quarantine.chain import verification
from quarantine.models import Access, AccessEntry, Role
from quarantine.models.append_only import AppendOnlyError
from tests.dashboard.crawler import faults
from tests.dashboard.people import PASSWORD, sign_in
from tests.factories import make_action, make_changes, make_ledger, make_staff

pytestmark = pytest.mark.django_db
URL = "/record/"
SECRET = "another horse battery"


@pytest.fixture
def auditor(client, db):
    make_ledger()
    client.force_login(make_staff("iris", role=Role.AUDITOR))
    return client


def lines():
    """Oldest first, of what matters here."""
    return list(AccessEntry.objects.order_by("pk").values_list("what", "who", "target", "address"))


def details(entry):
    return json.loads(entry.details)


def told_details(html):
    """What stands in the column of details, newest first."""
    column = re.findall(r"<td>(<span class=\"nw\">.*?)</td>", html)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in column]


def last():
    return AccessEntry.objects.order_by("-pk")[0]


# --- What goes in -------------------------------------------------------------------------


def test_signing_in_failing_and_signing_out_are_recorded(client, settings):
    make_staff("anna")

    sign_in(client, "anna", "wrong", REMOTE_ADDR="192.0.2.77")
    sign_in(client, "nobody\x00\u202e", "wrong", REMOTE_ADDR="2001:db8:1:2::3")
    settings.ACCESS_RECORD_ADDRESSES = "full"
    sign_in(client, "anna", REMOTE_ADDR="192.0.2.77")
    settings.ACCESS_RECORD_ADDRESSES = "none"
    client.post("/logout/", REMOTE_ADDR="192.0.2.77")

    told = [(what, who, address) for what, who, _, address in lines()]
    assert told[0] == ("sign-in-failed", "anna", "192.0.2.0/24")
    assert told[-2:] == [("sign-in", "anna", "192.0.2.77"), ("sign-out", "anna", "")]
    assert "wrong" not in str(list(AccessEntry.objects.values()))


def test_a_password_of_ones_own_is_recorded(client):
    client.force_login(make_staff("anna"))

    client.post("/account/password/", {"oldpassword": PASSWORD, "password1": SECRET, "password2": SECRET})

    assert [line[:3] for line in lines()][1:2] == [("password-changed", "anna", "anna")]


def test_what_strangers_can_fill_is_bounded_and_hides_no_account():
    anna = make_staff("anna")
    for number in range(MOST_OF_STRANGERS + 5):
        record_failure(f"bot{number}" + "x" * 10_000)
    for _ in range(MOST_OF_ACCOUNT + 5):
        record_failure("anna")

    failed = AccessEntry.objects.filter(what=Access.SIGN_IN_FAILED)
    assert failed.filter(staff=None).count() == MOST_OF_STRANGERS
    assert failed.filter(staff=anna).count() == MOST_OF_ACCOUNT
    assert "more" in details(failed.filter(staff=None).order_by("-pk")[0])
    assert max(len(who) for who in failed.values_list("who", flat=True)) == 255

    AccessEntry._base_manager.update(at=last().at - timedelta(hours=2))
    assert record_failure("bot") is not None


def test_accounts_and_tokens_are_recorded_with_who_did_it():
    root = make_staff("root", role=Role.ADMIN)
    add_staff(name="ben", role=Role.VIEWER, password=SECRET, by=root)
    set_role(name="ben", role=Role.LEAD, by=root)
    set_password(name="ben", password=SECRET + "!")
    disable_staff("ben", by=root)
    enable_staff("ben", by=root)
    token = consumers.create("hma", scopes=["changes:read"], staff=root)
    consumers.revoke("hma", staff=root)
    consumers.revoke("hma", staff=root)

    assert [line[:3] for line in lines()] == [
        ("account-added", "root", "ben"),
        ("role-changed", "root", "ben"),
        ("password-changed", "terminal", "ben"),
        ("account-disabled", "root", "ben"),
        ("account-enabled", "root", "ben"),
        ("token-created", "root", "hma"),
        ("token-revoked", "root", "hma"),
    ]
    assert details(AccessEntry.objects.get(what="role-changed")) == {"before": "viewer", "after": "lead"}
    kept = str(list(AccessEntry.objects.values()))
    assert SECRET not in kept
    assert token not in kept


@pytest.mark.django_db(transaction=True)  # an export reads over connections of its own
def test_exports_are_recorded_with_filters_and_rows(auditor):
    make_changes(3)
    make_action()

    for address in ("/changes.ndjson?state=quarantined&limit=2", "/actions.csv", "/record.json?what=export"):
        b"".join(auditor.get(address).streaming_content)

    begun = AccessEntry.objects.filter(what="export").order_by("pk")
    assert [entry.target for entry in begun] == [
        "quarantine-changes.ndjson",
        "quarantine-actions.csv",
        "access-record.json",
    ]
    assert details(begun[0]) == {"filters": "state=quarantined&limit=2"}
    ended = AccessEntry.objects.filter(what="export-ended").order_by("pk")
    assert [details(entry) for entry in ended] == [
        {"begun": entry.pk, "rows": rows, "complete": True} for entry, rows in zip(begun, (2, 1, 3), strict=True)
    ]


@pytest.mark.django_db(transaction=True)
def test_no_padding_pushes_a_filter_off_the_record(auditor):
    padding = "&".join(f"origin=padding{number}-{'x' * 400}.example" for number in range(90))
    telling = "uploader=@whom:matrix.example"

    b"".join(auditor.get(f"/changes.ndjson?{padding}&{telling}").streaming_content)

    assert details(AccessEntry.objects.get(what="export"))["filters"] == f"{padding}&{telling}"
    page = auditor.get(f"{URL}?what=export").text
    assert "padding0-" in page
    assert len(page) < 50_000


@pytest.mark.django_db(transaction=True)
def test_an_export_that_was_left_early_says_so(auditor):
    make_changes(3)
    answer = auditor.get("/changes.ndjson")

    next(answer.chunks)
    answer.chunks.close()

    assert details(last())["complete"] is False


def test_the_record_is_chained_and_cannot_be_edited(auditor):
    entry = record(Access.REVEAL, by=None, target="mxc://matrix.example/abc", number=1)
    [table] = [table for table in verification.tables() if table.name == "access"]

    assert verification.check(table).fault is None
    for way in (
        entry.save,
        entry.delete,
        AccessEntry.objects.all().delete,
        lambda: AccessEntry.objects.update(who="x"),
    ):
        with pytest.raises(AppendOnlyError):
            way()
    AccessEntry._base_manager.filter(pk=entry.pk).update(who="x")
    assert verification.check(table).fault.position == entry.pk


# --- The page -----------------------------------------------------------------------------


def test_strangers_and_other_roles_are_refused(client):
    make_ledger()
    assert client.get(URL).status_code == 302
    for role in (Role.VIEWER, Role.MODERATOR, Role.LEAD):
        other = Client()
        other.force_login(make_staff(role, role=role))
        page = other.get("/")
        assert (other.get(URL).status_code, other.get("/record.csv").status_code) == (403, 403)
        assert 'href="/record/"' not in page.text
    admin = Client()
    admin.force_login(make_staff("root", role=Role.ADMIN))
    assert admin.get(URL).status_code == 200


def test_it_shows_what_is_on_record_harmlessly(auditor):
    record_failure("<script>pwned</script>\u202e")
    record(Access.ROLE_CHANGED, by=None, target="ben", before="viewer", after="lead")

    page = auditor.get(URL)

    assert faults(page.text) == []
    assert "&lt;script&gt;pwned&lt;/script&gt;" in page.text
    assert "no such account" in page.text
    assert "<bdi>viewer</bdi>" in page.text
    assert "Role changed" in page.text
    assert '<th scope="col" data-in-zone="When, local time">When, UTC</th>' in page.text


def test_details_are_told_in_the_readers_words(auditor):
    record(Access.TOKEN_CREATED, by=None, target="hma", scopes=["changes:read", "metrics:read"], expires_at=None)
    record(Access.EXPORT_ENDED, by=None, target="a.csv", rows=3, complete=True, filters="", of="<b>")

    english = auditor.get("/record/").text
    german = auditor.get("/record/", headers={"Accept-Language": "de"}).text

    assert told_details(english)[:2] == [
        "complete yes · of &lt;b&gt; · rows 3",
        "expires never · opens changes:read, metrics:read",
    ]
    assert told_details(german)[:2] == [
        "vollständig ja · of &lt;b&gt; · Zeilen 3",
        "läuft ab nie · öffnet changes:read, metrics:read",
    ]


def test_reading_it_is_on_it_once(auditor):
    for address in (URL, URL, f"{URL}?what=sign-in", f"{URL}?cat=1"):
        auditor.get(address)

    assert [(who, target) for what, who, target, _ in lines() if what == "record-read"] == [
        ("iris", ""),
        ("iris", "what=sign-in"),
    ]


def test_filters_and_pages(auditor):
    make_staff("anna")
    for number in range(60):
        record(Access.EXPORT, by=None, target=f"file{number}")

    page = auditor.get(f"{URL}?what=export&who=terminal")

    assert "file59" in page.text
    assert "file9<" not in page.text
    older = auditor.get(f"{URL}?{page.context['older']}")
    assert "file9<" in older.text
    assert older.context["older"] is None
    assert [entry.what for entry, _ in auditor.get(f"{URL}?who=-terminal").context["entries"]][-1] == "sign-in"
    assert "Nothing in the record matches" in auditor.get(f"{URL}?before=2020-01-01").text


@pytest.mark.parametrize("query", ["cat=1", "what=nonsense", "after=x", "cursor=0"])
def test_a_bad_filter_is_told(auditor, query):
    page = auditor.get(f"{URL}?{query}")
    export = auditor.get(f"/record.ndjson?{query}")

    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert page.context["entries"] == []
    assert (export.status_code, export.json()["errcode"]) == (400, "M_INVALID_PARAM")


def test_it_takes_few_queries(auditor, django_assert_num_queries):
    for _ in range(60):
        record(Access.EXPORT, by=None)
    auditor.get(URL)

    with django_assert_num_queries(4):  # session, account, when it was read last, the page
        auditor.get(URL)


def test_it_is_exported_safe_for_spreadsheets(auditor):
    record_failure('=cmd("x")')

    said = b"".join(auditor.get("/record.csv?what=sign-in-failed").streaming_content).decode()
    [line] = b"".join(auditor.get("/record.ndjson?what=sign-in-failed").streaming_content).splitlines()

    assert said.splitlines()[0] == "number,at,what,who,known,target,address,details"
    assert '"\'=cmd(""x"")"' in said
    assert json.loads(line)["who"] == '=cmd("x")'
