"""A backfill that is killed again and again, and then finishes."""

from random import Random

import pytest

from quarantine.models import Change, Leg, Run, Source
from tests.quarantine.crew import running_crew
from tests.quarantine.ledger_checks import assert_sound
from tests.quarantine.synapse_tables import MOD

KILLS = 10
MEDIA = 1_200  # in each table; each fourth is quarantined


def add_media(synapse):
    rows = f"WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < {MEDIA})"
    chosen = f"CASE WHEN id % 4 = 0 THEN '{MOD}' END"
    for table, columns, values in (
        ("local_media_repository", "media_id, user_id", "'m' || id, '@ann:matrix.example'"),
        ("remote_media_cache", "media_origin, media_id", "'r.example', 'm' || id"),
    ):
        insert = f"INSERT INTO {table} ({columns}, quarantined_by, upload_name)"
        synapse.connection.execute(f"{rows} {insert} SELECT {values}, {chosen}, 'name ' || id FROM ids")


@pytest.mark.django_db(transaction=True)
def test_killed_ten_times_it_records_what_one_clean_run_would(synapse, process_env):
    add_media(synapse)
    random = Random(5)
    with running_crew(process_env()) as crew:
        for number in range(KILLS):
            kill(crew.start("walk"), steps=random.randint(1, 2), on_the_way=number % 2 == 1)
        begun, done = Leg.objects.filter(position__gt=0).exists(), Run.objects.filter(status="finished").exists()
        last = crew.start("walk")
        while (word := last.hear()) == "read":
            last.tell("go")

    assert (begun, done, word) == (True, False, "done")
    told = Change.objects.values_list("origin", "media_id", "quarantined", "source", "changed_by", "upload_name")
    wanted = [
        (origin, f"m{number}", True, Source.BACKFILL, MOD, f"name {number}")
        for origin in ("matrix.example", "r.example")
        for number in range(4, MEDIA + 1, 4)
    ]
    assert sorted(told) == sorted(wanted)
    assert [run.status for run in Run.objects.all()] == [Run.Status.FINISHED], "one run, resumed"
    assert_sound()


def kill(member, *, steps, on_the_way):
    """`kill -9` when so many steps are recorded and the next is read; or while that is being recorded."""
    for _ in range(steps):
        assert member.hear() == "read"
        member.tell("go")
    assert member.hear() == "read"
    if on_the_way:
        member.tell("go")
    member.kill()
