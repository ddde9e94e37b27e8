"""Writing in bulk stores and raises what Django's way does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from quarantine import bulk
from quarantine.models import Action, Change, MediaItem, Role, Source, Staff, State, Verb, Work

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 14, 32, 41, 123_000, tzinfo=UTC)
NASTY = [
    "",
    " ",
    "a\tb\nc\r\\d\\N",
    '"q",;\'s',
    '{a,NULL,"b"}',
    "\\.",
    "\\x00",
    "100 %s %(x)s",
    "🔥\u202e٣",
    "\x01\x7f",
    "NULL",
]


def change(number, **facts):
    named = {"origin": "o.example", "media_id": f"m{number}", "local": False, "quarantined": True, "seen_at": NOW}
    return Change(**({"stream_id": number, "source": Source.FEED} | named | facts))


def changes():
    odd = [
        change(1, feed_generation=1, feed_id=2**63 - 1, media_length=2**62, sha256="00ff" * 16, digest=b"\x00\xff"),
        change(2, quarantined=False, deleted=True, seen_at=NOW + timedelta(microseconds=1)),
        change(3, not_before=datetime(1970, 1, 1, tzinfo=UTC), local=True, cut=True, source=Source.AUDIT),
    ]
    return odd + [change(number, upload_name=name) for number, name in enumerate(NASTY, start=4)]


def items(*, version):
    return [
        MediaItem(
            origin="o", media_id=name or "e", local=False, state=State.QUARANTINED, version=version, uploader=name
        )
        for name in NASTY
    ] + [MediaItem(origin="o", media_id="h", local=True, state=State.DELETED, version=version, sha256="ab" * 32)]


def rows(model):
    return list(model.objects.order_by("pk").values())


def stored(model, write):
    """What is in the table after `write`, which is then undone."""
    with transaction.atomic():
        write()
        found = rows(model)
        transaction.set_rollback(True)
    return found


def test_what_is_inserted_is_what_django_inserts():
    by_django = stored(Change, lambda: Change.objects.bulk_create(changes()))
    ours = stored(Change, lambda: bulk.insert(changes()))

    assert len(ours) == 3 + len(NASTY)
    assert ours == by_django


def test_what_the_database_numbers_and_json_are_as_django_has_them():
    staff = Staff.objects.create(username="ann", role=Role.MODERATOR)
    action = Action.objects.create(verb=Verb.RELEASE, target="x", staff=staff, created_at=NOW)
    outcome = {"a": [1, None, 'ü"\\'], "b": {}}

    bulk.insert([Action(verb=Verb.PROTECT, target="y", staff=staff, created_at=NOW, undoes=action)])
    bulk.insert([Work(action=action, updated_at=NOW, outcome=outcome)])

    later = Action.objects.get(target="y")
    assert later.pk > action.pk
    assert (later.staff, later.undoes) == (staff, action)
    assert Work.objects.get().outcome == outcome
    assert Work.objects.filter(outcome__a=[1, None, 'ü"\\']).exists()


def test_what_is_there_already_is_updated_as_django_does():
    update = ["state", "version", "uploader"]
    fields = {"update_conflicts": True, "unique_fields": ["origin", "media_id"], "update_fields": update}
    bulk.upsert(items(version=1), key=["origin", "media_id"], update=update)
    assert rows(MediaItem) == stored_anew()

    def changed():
        some = items(version=2)
        for item in some:
            item.sha256 = "cd" * 32  # not among what is updated
        return [*some, MediaItem(origin="new", media_id="n", local=False, state=State.RELEASED)]

    by_django = stored(MediaItem, lambda: MediaItem.objects.bulk_create(changed(), **fields))
    ours = stored(MediaItem, lambda: bulk.upsert(changed(), key=["origin", "media_id"], update=update))

    assert ours == by_django
    assert {row["version"] for row in ours} == {0, 2}


def stored_anew():
    """The items as Django writes them into an empty table."""
    with transaction.atomic():
        MediaItem.objects.all().delete()
        MediaItem.objects.bulk_create(items(version=1))
        found = rows(MediaItem)
        transaction.set_rollback(True)
    return found


def test_nothing_to_write_is_nothing_written():
    bulk.insert([])
    bulk.upsert([], key=["origin", "media_id"], update=["state"])

    assert not Change.objects.exists()


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"media_length": 2**63}, (DataError, OverflowError)),
        ({"upload_name": "\ud800"}, ValueError),
        ({"sha256": "no hex"}, ValueError),
        ({"deleted": True}, IntegrityError),  # and quarantined
        ({"stream_id": 1}, IntegrityError),
    ],
)
def test_a_bad_row_raises_and_the_transaction_goes_on(facts, error):
    with pytest.raises(error), transaction.atomic():
        bulk.insert([change(1), change(2, **facts)])

    assert not Change.objects.exists()
    bulk.insert([change(1)])
    assert Change.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.parametrize("facts", [{"upload_name": "a\x00"}, {"upload_name": "a" * 1_025}])
def test_text_that_postgresql_refuses_is_refused_not_cut(facts):
    item = MediaItem(origin="o", media_id=facts["upload_name"], local=False, state=State.RELEASED)

    with pytest.raises((DataError, ValueError)), transaction.atomic():
        bulk.insert([change(1, **facts)])
    with pytest.raises((DataError, ValueError)), transaction.atomic():
        bulk.upsert([item], key=["origin", "media_id"], update=["state"])

    assert not MediaItem.objects.exists()


def test_indexes_come_back_as_they_were():
    before = indexes()

    with transaction.atomic(), bulk.without_indexes(Change, MediaItem):
        inside = indexes()
        bulk.insert(changes())

    assert len(before) - len(inside) > 15
    assert indexes() == before
    with pytest.raises(IntegrityError), transaction.atomic():  # a unique one among them
        bulk.insert([change(99, feed_generation=1, feed_id=2**63 - 1)])


def indexes():
    with connection.cursor() as db:
        found = set()
        for model in (Change, MediaItem):
            db.execute(bulk.INDEXES[connection.vendor], [model._meta.db_table])
            found.update(db.fetchall())
    return found
