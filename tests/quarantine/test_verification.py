"""Whatever is done to the record behind the gate's back is found, and the first row that does not fit is named."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from quarantine import inserting, ledger, seals
from quarantine.chain import verification
from quarantine.chain.verification import APART, BEYOND, BROKEN, CHANGED, OTHER_END, OTHER_HEAD, UNSEALED, check
from quarantine.models import Action, Chain, Change, Ledger, Source
from quarantine.sealing import NAME, content_of_change, link, seal
from tests.factories import make_action, make_staff
from tests.quarantine.ledger_checks import an_entry

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FACTS = {"uploader": "@eve:matrix.example", "upload_name": "cat.png", "media_type": "image/png", "sha256": "ab" * 32}
OTHER = {
    "origin": "other.example", "media_id": "other", "local": False, "quarantined": False, "deleted": True, "not_before": NOON,
    "source": Source.AUDIT, "cause": "hash", "feed_generation": 2, "feed_id": 99, "media_type": "image/gif",
    "media_class": "video", "media_length": 7, "sha256": "cd" * 32, "cut": True, "changed_by": "ann",
    "upload_name": "dog.png", "uploader": "@bob:matrix.example", "seen_at": NOON, "salts": b"\0\0\0", "digest": b"\1" * 32,
    "chain": b"\2" * 32,
}  # fmt: skip


@pytest.fixture
def eight(db):
    ledger.bind()
    for number in range(1, 9):
        ledger.append(
            [an_entry(f"m{number}", feed_generation=1, feed_id=number + 1, changed_by="@mod:matrix.example", **FACTS)]
        )


def table(number=0, **more):
    return replace(verification.tables()[number], **more)


def fault(number=0, **how):
    found = check(table(number, **how)).fault
    return found and (found.position, found.what)


@contextmanager
def undone():
    """What is done inside is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def row(position):
    return Change.objects.filter(pk=position)


def write_anew(*, after):
    """As somebody would who knows how: new digests and a new chain from some row on, and the ledger's own row with them."""
    previous = bytes(Change.objects.get(pk=after).chain) if after else seals.genesis(NAME)
    for change in Change.objects.filter(pk__gt=after).order_by("pk"):
        made = seal(content_of_change(change))
        previous = link(previous, change.pk, change.seen_at, made.digest)
        row(change.pk).update(salts=made.salts, digest=made.digest, chain=previous)
    Ledger.objects.update(chain=previous)


@pytest.mark.parametrize("year", [1, 1969, 1999, 2000])
def test_times_of_any_age_fit_as_they_were_sealed(eight, year):
    ledger.append([an_entry("old", not_before=datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))])

    assert Change.objects.get(pk=9).not_before.year == year
    assert fault() is None
    row(9).update(not_before=datetime(year, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC))
    assert fault() == (9, CHANGED)


@pytest.mark.postgresql
@pytest.mark.parametrize(("column", "what"), [("not_before", CHANGED), ("seen_at", APART)])
def test_a_time_that_no_clock_shows_is_a_fault_like_any(eight, column, what):
    with connection.cursor() as db:
        db.execute(f"UPDATE quarantine_change SET {column} = 'infinity' WHERE stream_id = 5")

    assert fault() == (5, what)


def test_what_the_gate_wrote_fits(eight):
    done = check(table())

    assert (done.rows, done.position, done.unsealed, done.redacted, done.fault) == (8, 8, 0, 0, None)
    assert done.head == bytes(Change.objects.get(pk=8).chain) == bytes(Ledger.objects.get().chain)


def test_an_empty_ledger_fits(db):
    ledger.bind()

    assert check(table()) == verification.Checked()


def test_any_changed_value_is_found(eight):
    found = {}
    for name, value in OTHER.items():
        with undone():
            row(4).update(**{"quarantined": False} if name == "deleted" else {}, **{name: value})
            found[name] = fault()
    with undone():
        row(4).update(action=make_action(staff=make_staff()))
        found["action_id"] = fault()

    by_chain = {"seen_at": (4, APART), "chain": (4, APART)}
    assert found == {name: by_chain.get(name, (4, CHANGED)) for name in (*OTHER, "action_id")}
    assert set(found) == {field.attname for field in Change._meta.concrete_fields} - {"stream_id"}


def test_rows_that_are_gone_are_found(eight):
    found = []
    for gone in ([1], [4, 5], [8], range(1, 9)):
        with undone():
            Change.objects.filter(pk__in=gone).delete()
            found.append(fault())

    assert found == [
        (1, "it is missing"),
        (4, "it and all rows up to 5 are missing"),
        (8, "it is missing"),
        (1, "it and all rows up to 8 are missing"),
    ]


def test_rows_that_changed_places_are_found(eight):
    row(3).update(stream_id=100)
    row(6).update(stream_id=3)
    row(100).update(stream_id=6)

    assert fault()[0] == 3


def test_a_row_that_was_put_in_is_found(eight):
    row(8).update(stream_id=9)
    copy = Change.objects.get(pk=7)
    copy.pk, copy.feed_id = 8, 77  # no feed row twice
    Change(**{field.attname: getattr(copy, field.attname) for field in Change._meta.concrete_fields}).save(
        force_insert=True
    )
    Ledger.objects.update(head=9)

    assert fault() == (8, CHANGED)


def test_a_row_added_without_a_seal_is_found(eight):
    plain = {field.attname: getattr(Change.objects.get(pk=8), field.attname) for field in Change._meta.concrete_fields}
    Change(**plain | {"stream_id": 9, "feed_id": 77, "salts": None, "digest": None, "chain": None}).save(
        force_insert=True
    )
    Ledger.objects.update(head=9)

    assert fault() == (9, UNSEALED)
    assert fault(open_to=9) is None


def test_a_seal_taken_off_is_found(eight):
    row(5).update(salts=None, digest=None, chain=None)

    assert fault() == (5, UNSEALED)
    assert fault(open_to=5) == (6, APART)


def test_what_was_written_anew_is_found_with_a_kept_head(eight):
    kept = {6: bytes(Change.objects.get(pk=6).chain)}
    row(3).update(uploader="@innocent:matrix.example")
    write_anew(after=2)

    assert fault() is None
    assert fault(expected=kept) == (6, OTHER_HEAD)


def test_an_end_that_was_cut_off_is_found_with_a_kept_head(eight):
    kept = {8: bytes(Change.objects.get(pk=8).chain)}
    Change.objects.filter(pk__gt=5).delete()
    Ledger.objects.update(head=5)

    assert fault() == (5, OTHER_END)

    Ledger.objects.update(chain=Change.objects.get(pk=5).chain)

    assert fault() is None
    assert fault(expected=kept)[0] == 8


def test_rows_beyond_an_end_that_was_moved_down_are_found(eight):
    row(7).update(uploader="@innocent:matrix.example")
    Ledger.objects.update(head=5, chain=Change.objects.get(pk=5).chain)

    assert fault() == (6, BEYOND)
    assert check(table(), first=2, last=4).fault is None

    Ledger.objects.update(head=0, chain=None, chain_from=None)
    assert fault() == (1, BEYOND)


def test_what_is_recorded_while_it_is_checked_is_not_beyond_the_end(eight):
    scope = verification.Scope.of(table(), first=1, last=None)
    done = verification.check_part(table(), scope.first, scope.last)

    ledger.append([an_entry("later")])

    assert (scope.conclude(done).fault, done.rows) == (None, 8)


def test_what_is_recorded_between_two_looks_at_the_end_is_not_beyond_it(eight, monkeypatch):
    looked = verification.Table.end

    def end(self):
        found = looked(self)
        ledger.append([an_entry(f"beyond {found.position}")])
        return found

    monkeypatch.setattr(verification.Table, "end", end)

    assert (fault(), Ledger.objects.get(pk=1).head) == (None, 10)


def test_positions_that_a_new_generation_leaves_out_are_not_missed(eight):
    ledger.new_generation()
    assert (fault(), check(table(), first=5).fault) == (None, None)

    ledger.append([an_entry("later")])
    assert (fault(), check(table()).position) == (None, 1_000_009)

    Change.objects.filter(pk=8).delete()
    assert fault() == (8, "it and all rows up to 1000008 are missing")


def test_rows_without_a_seal_are_counted_at_least(eight):
    Change.objects.update(salts=None, digest=None, chain=None)
    Ledger.objects.update(chain=None, chain_from=None)
    assert (fault(), check(table()).unsealed) == (None, 8)

    Change.objects.filter(pk=3).delete()
    assert fault()[0] == 8
    assert "7 rows, and 8 were counted" in fault()[1]


def test_a_range_is_checked_by_itself(eight):
    row(3).update(uploader="@innocent:matrix.example")

    assert check(table(), first=4).fault is None
    assert (check(table(), first=4, last=6).rows, check(table(), last=2).fault) == (3, None)
    assert check(table(), first=2, last=3).fault.position == 3
    Change.objects.filter(pk__in=[6, 7]).delete()
    assert check(table(), first=4, last=6).fault == verification.Fault(6, "it and all rows up to 7 are missing")


def test_rows_from_before_there_were_seals_are_counted(eight):
    Change.objects.filter(pk__lte=3).update(salts=None, digest=None, chain=None)
    write_anew(after=0)
    Change.objects.filter(pk__lte=3).update(salts=None, digest=None, chain=None)
    previous = seals.genesis(NAME)
    for change in Change.objects.filter(pk__gt=3).order_by("pk"):
        previous = link(previous, change.pk, change.seen_at, bytes(change.digest))
        row(change.pk).update(chain=previous)
    Ledger.objects.update(chain=previous, chain_from=4)

    done = check(table())

    assert (done.rows, done.unsealed, done.fault) == (8, 3, None)


def test_a_row_that_had_to_be_blanked_at_the_gate_fits(eight, monkeypatch):
    """Written minimally after its batch was refused: halved, sealed anew, chained in order."""
    insert, refused = inserting.insert_changes, []

    def picky(chained):
        changes = list(chained)
        if any(change.upload_name == "bad" for change in changes):
            refused.append(len(changes))
            raise ValueError
        insert(changes)

    monkeypatch.setattr(inserting, "insert_changes", picky)
    names = ["a", "b", "bad", "c"]
    ledger.append([an_entry(f"n{name}", upload_name=name) for name in names])

    assert refused == [4, 2, 1]
    assert list(Change.objects.filter(pk__gt=8).order_by("pk").values_list("upload_name", flat=True)) == [
        "a",
        "b",
        "",
        "c",
    ]
    assert fault() is None


# --- What staff did -----------------------------------------------------------------------


@pytest.fixture
def three(db):
    staff = make_staff()
    return [make_action(staff=staff, reason=f"case {number}") for number in range(3)]


def test_actions_are_chained(three):
    done = check(table(1))

    assert (done.rows, done.position, done.fault) == (3, three[2].pk, None)
    assert done.head == bytes(Chain.objects.get(pk="quarantine_action").value)


def test_one_that_was_taken_out_and_the_rest_written_anew_is_found_with_its_kept_head(three):
    first, second, third = Action.objects.order_by("pk")
    kept = {second.pk: bytes(second.chain)}
    assert fault(1, expected=kept) is None

    second.work.delete()
    Action._base_manager.filter(pk=second.pk)._raw_delete("default")
    chain = seals.link(bytes(first.chain), third.pk, digest=bytes(third.digest))
    Action._base_manager.filter(pk=third.pk).update(chain=chain)
    Chain.objects.filter(name=Action._meta.db_table).update(value=chain)

    assert fault(1) is None
    assert fault(1, expected=kept) == (second.pk, verification.GONE)


def test_actions_that_were_changed_or_removed_are_found(three):
    raw = {action.pk: Action._base_manager.filter(pk=action.pk) for action in three}
    first, middle, last = raw
    found = []
    for name, value in (
        ("reason", "none"),
        ("target", "x"),
        ("verb", "release"),
        ("category", "spam"),
        ("cause", "list"),
        ("created_at", NOON + timedelta(1)),
    ):
        with undone():
            raw[middle].update(**{name: value})
            found.append(fault(1))
    with undone():
        Action._base_manager.filter(pk=middle).update(chain=None)
        found.append(fault(1))
    for gone in (first, middle, last):
        with undone():
            raw[gone]._raw_delete("default")
            found.append(fault(1))

    broken = [(middle, BROKEN), (middle, APART), (last, APART), (middle, OTHER_END)]
    assert found == [(middle, CHANGED)] * 6 + broken


def test_actions_beyond_an_end_that_was_moved_down_or_taken_away_are_found(three):
    end = Chain.objects.filter(pk=Action._meta.db_table)
    end.update(position=three[0].pk, value=three[0].chain)
    assert fault(1) == (three[1].pk, BEYOND)

    end.delete()
    assert fault(1) == (three[0].pk, BEYOND)


def test_actions_that_another_release_added_last_are_told_from_those_that_were_put_there(three):
    fourth = make_action(staff=three[0].staff)
    Action._base_manager.filter(pk=fourth.pk).update(salts=None, digest=None, chain=None)
    end = Chain.objects.filter(pk=Action._meta.db_table)
    end.update(position=three[2].pk, value=three[2].chain)

    assert fault(1) == (fourth.pk, BEYOND)
    assert fault(1, open_to=fourth.pk) is None

    Action._base_manager.update(salts=None, digest=None, chain=None)
    end.delete()
    assert fault(1) is None  # from before there were seals
