"""docs/deploy/web-role.sql: with it the pages work, and what is on record can't be changed by them."""

import pytest
from django.conf import settings
from django.db import ProgrammingError, connection, transaction

from quarantine import ledger
from quarantine.chain import verification
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import AccessEntry, Action, Change, Reveal, Role
from quarantine.models.append_only import AppendOnly
from tests.dashboard.people import sign_in
from tests.environment import ROOT
from tests.factories import make_categories, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]
ROLE = "dashboard_web"
STATEMENTS = (ROOT / "docs" / "deploy" / "web-role.sql").read_text()
RECORD = (
    "quarantine_change",
    "quarantine_action",
    "quarantine_reveal",
    "quarantine_accessentry",
    "quarantine_proposal",
    "quarantine_ruling",
)
COLUMNS = {
    "quarantine_accessentry": "who",
    "quarantine_action": "reason",
    "quarantine_proposal": "affected",
    "quarantine_ruling": "note",
}


@pytest.fixture
def home(transactional_db):
    ledger.bind()
    make_categories()
    for name, role in (("priya", Role.MODERATOR), ("iris", Role.AUDITOR)):
        make_staff(name, role=role)
    return SampleHomeserver(user_id=f"@ann:{settings.HOMESERVER_NAME}")


@pytest.fixture
def as_web(home):
    """From here on this process is signed in to the ledger's database as the web's role."""
    with connection.cursor() as db:
        db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
        if db.fetchone() is None:
            db.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'web'")
        db.execute(STATEMENTS)
    owner = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update(USER=ROLE, PASSWORD="web")
    yield home
    connection.close()
    connection.settings_dict.update(owner)


def current_user():
    with connection.cursor() as db:
        db.execute("SELECT current_user, session_user")
        return db.fetchone()


def test_pages_act_and_record(as_web, client):
    media = as_web.upload(File(sha256="a" * 64, upload_name="scam.png"), uploader="@mallory:matrix.example")
    sign_in(client, "priya", "wrong")
    sign_in(client, "priya")
    page = client.get("/actions/new/", {"verb": "quarantine", "media": str(media)})
    answer = {"digest": page.context["plan"].digest, "category": "spam", "reason": "case 7"}
    done = client.post("/actions/new/", dict(page.context["hidden"]) | answer, follow=True)
    for address in ("/", f"/media/matrix.example/{media.media_id}/", "/actions/", "/insights/", "/account/"):
        assert client.get(address).status_code == 200
    rows = b"".join(client.get("/changes.ndjson").streaming_content)
    client.post("/logout/")

    assert "Asked 1 · changed 1" in done.text
    assert rows.count(b"\n") == Change.objects.count() == 1
    assert list(AccessEntry.objects.order_by("pk").values_list("what", flat=True)) == [
        "sign-in-failed", "sign-in", "export", "export-ended", "sign-out",
    ]  # fmt: skip
    assert [verification.check(table).fault for table in verification.tables()] == [None] * 4
    assert current_user() == (ROLE, ROLE)


@pytest.mark.parametrize("table", RECORD)
def test_what_is_on_record_cannot_be_changed(as_web, table):
    refused = [
        f"UPDATE {table} SET {COLUMNS.get(table, 'media_id')} = NULL",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
        f"DROP TABLE {table} CASCADE",
    ]
    refused += [
        f"UPDATE {table} SET {COLUMNS.get(table, 'media_id')} = DEFAULT",
        f"ALTER TABLE {table} DROP COLUMN {COLUMNS.get(table, 'media_id')}",
    ]

    for statement in refused:
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"), transaction.atomic():
            connection.cursor().execute(statement)


def test_the_statements_name_every_append_only_table():
    def below(model):
        for each in model.__subclasses__():
            yield from below(each)
            if not each._meta.abstract:
                yield each._meta.db_table

    assert {*below(AppendOnly), Change._meta.db_table} == set(RECORD)
    assert {model._meta.db_table for model in (Action, Reveal, AccessEntry)} < set(RECORD)
    assert ", ".join(RECORD) in STATEMENTS
