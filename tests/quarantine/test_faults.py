"""The ledger's database fails over, fills up, or is upgraded under load: what was said stays, what was not comes again."""

import re
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader

from quarantine import ledger
from quarantine.counting.summaries import standing
from quarantine.entries import Entry
from quarantine.ledger import JUMP
from quarantine.models import Change, Source
from quarantine.mxc import Mxc
from tests.environment import manage
from tests.quarantine.followers import eventually, follower
from tests.quarantine.ledger_checks import assert_sound
from tests.quarantine.own_cluster import own_cluster
from tests.quarantine.test_outages import BACK, PREPARE, recorded
from tests.standby import standby_of

# As PostgreSQL says it when no block can be had for a row.
FULL = """
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON quarantine_change EXECUTE FUNCTION full_disk();
"""
LANDED = "0014_reveal"  # what is in use
# What takes a lock for as long as it reads or writes the whole of a table.
BLOCKING = re.compile(
    r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)|ALTER COLUMN .* TYPE|SET NOT NULL|ADD CONSTRAINT (?!.*NOT VALID)|^UPDATE",
    re.IGNORECASE,
)
LARGE = ("quarantine_change", "quarantine_mediaitem")


@pytest.fixture
def machine():
    with own_cluster() as owned:
        yield owned


@pytest.fixture
def env(machine, synapse_on_postgresql, process_env):
    """The environment of a prepared ledger on the machine."""
    url = machine.cluster.url_of(machine.cluster.create_database("ledger"))
    env = process_env(DATABASE_URL=url)
    manage(env, "shell", "--no-imports", "-c", PREPARE)
    return env


@pytest.mark.sqlite
def test_what_a_standby_never_had_is_heard_again_after_failing_over_to_it(machine, env, synapse_on_postgresql):
    url = env["DATABASE_URL"]
    with standby_of(machine.cluster) as standby, follower(env, "--interval", "0.05") as process:
        synapse_on_postgresql.quarantine(2, "both have it")
        eventually(lambda: recorded(url) == [2])
        standby.catch_up(machine.cluster)
        standby.stop()
        synapse_on_postgresql.quarantine(3, "the primary alone")
        eventually(lambda: recorded(url) == [2, 3])
        machine.stop()
        synapse_on_postgresql.quarantine(4, "said while there was none")
        fail_over(env, standby, port=machine.port)
        process.wait_for(BACK)
        eventually(lambda: recorded(url) == [2, 3, 4])
        assert process.stop() == 0
        with psycopg.connect(url) as db:
            positions = [position for (position,) in db.execute("SELECT stream_id FROM quarantine_change ORDER BY 1")]

    assert positions[0] == 1
    assert positions[1] > 1_000_000, "no reader can have been given these positions for something else"
    assert positions[2] == positions[1] + 1


def fail_over(env, standby, *, port):
    """Promote, begin a new generation, and only then answer under the old address."""
    standby.start()
    standby.ask("SELECT pg_promote()")
    database = env["DATABASE_URL"].rpartition("/")[2]
    manage(env | {"DATABASE_URL": standby.cluster.url_of(database)}, "ledger", "new-generation")
    standby.stop()
    standby.port = port
    standby.start()


@pytest.mark.django_db
def test_after_failing_over_no_position_is_given_out_twice():
    ledger.bind()
    ledger.append([entry(2), entry(3)])

    held = ledger.new_generation()

    assert (held.head, held.changes) == (2 + JUMP, 2)
    assert ledger.left_out(1, held.head) == JUMP
    ledger.append([entry(4)])
    ledger.new_generation()
    ledger.append([entry(5), entry(6)])
    head = 5 + 2 * JUMP
    assert list(Change.objects.order_by("pk").values_list("pk", flat=True)) == [1, 2, 3 + JUMP, head - 1, head]
    assert ledger.current().changes == 5
    assert ledger.left_out(1, head) == 2 * JUMP
    assert ledger.left_out(3 + JUMP, head) == JUMP
    assert ledger.left_out(head - 1, head) == 0
    assert standing(datetime.now(UTC)).last_day == 5


def entry(number):
    return Entry(mxc=Mxc("matrix.example", f"media{number}"), quarantined=True, source=Source.FEED)


@pytest.mark.sqlite
def test_a_full_disk_is_waited_for(machine, env, synapse_on_postgresql):
    url = env["DATABASE_URL"]
    with follower(env, "--interval", "0.05") as process:
        synapse_on_postgresql.quarantine(2, "abc")
        eventually(lambda: recorded(url) == [2])
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(FULL)
            synapse_on_postgresql.quarantine(3, "xyz")
            process.wait_for("No space left on device")
            db.execute("DROP TRIGGER full_disk ON quarantine_change")
        process.wait_for(BACK)
        eventually(lambda: recorded(url) == [2, 3])
        assert process.stop() == 0


@pytest.mark.sqlite
@pytest.mark.django_db(transaction=True)
def test_a_full_file_keeps_what_it_has_and_takes_the_rest_later():
    ledger.bind()
    some = [batch_of_500(number) for number in range(100)]
    ledger.append(some[0])
    with connection.cursor() as db:
        db.execute("PRAGMA page_count")
        [pages] = db.fetchone()
        db.execute(f"PRAGMA max_page_count = {pages + 4}")
        with pytest.raises(OperationalError, match="full"):
            append_all(some[1:])  # what earlier tests left free is used up first
        stored = Change.objects.count()
        assert stored == ledger.current().head
        assert stored % 500 == 0
        db.execute("PRAGMA max_page_count = 1000000000")
        ledger.append(some[stored // 500])

    assert Change.objects.count() == stored + 500
    assert_sound()


def append_all(batches):
    for entries in batches:
        ledger.append(entries)


def batch_of_500(number):
    return [
        Entry(mxc=Mxc("full.example", f"{number}-{n:0200}"), quarantined=True, source=Source.FEED) for n in range(500)
    ]


# --- Upgrades -----------------------------------------------------------------------------


def statements(name):
    """What a migration does to PostgreSQL, a statement a line."""
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        loader = MigrationLoader(connection)
        state = loader.project_state(("quarantine", name), at_end=False)
        loader.get_migration("quarantine", name).apply(state, editor, collect_sql=True)
    return [line for line in editor.collected_sql if not line.startswith("--")]


def newer_than(landed):
    return sorted(name for app, name in MigrationLoader(None).disk_migrations if app == "quarantine" and name > landed)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", newer_than(LANDED))
def test_no_upgrade_locks_a_large_table_for_long(name):
    blocking = [
        line for line in statements(name) if BLOCKING.search(line) and any(f'"{table}"' in line for table in LARGE)
    ]

    assert not blocking


def test_an_upgrade_that_would_is_seen():
    for line in (
        'CREATE INDEX "x" ON "quarantine_change" ("a")',
        'ALTER TABLE "quarantine_change" ALTER COLUMN "a" TYPE text',
        'ALTER TABLE "quarantine_change" ALTER COLUMN "a" SET NOT NULL',
        'ALTER TABLE "quarantine_change" ADD CONSTRAINT "c" CHECK (a > 1)',
        'UPDATE "quarantine_change" SET "a" = 1',
    ):
        assert BLOCKING.search(line), line
    assert not BLOCKING.search('ALTER TABLE "quarantine_change" ADD COLUMN "a" text NULL')
    assert not BLOCKING.search("CREATE INDEX CONCURRENTLY x ON quarantine_change (a)")
