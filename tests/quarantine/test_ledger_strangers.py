"""Whatever strangers call their media: it is recorded, and the ledger goes on."""

import sqlite3
from datetime import UTC, datetime

import pytest
from django.db import connection

from quarantine import ledger
from quarantine.entries import Entry
from quarantine.feed import FeedCursor
from quarantine.models import Change, MediaItem, Source
from tests.quarantine.ledger_checks import an_entry, assert_sound, rows

pytestmark = pytest.mark.django_db

HASH = "a" * 64
BIDI = "\u202egnp.exe"
HOSTILE = [
    {"media_type": "image/" + "x" * 10_240},
    {"upload_name": "\U0001f4a9" * 10_240, "uploader": "\U0001f4a9" * 10_240},
    {"upload_name": "a\x00b", "media_type": "\x00", "uploader": "\x00", "changed_by": "\x00", "quarantined_by": "\x00"},
    {"upload_name": "\ud800", "media_type": "\udfff/\udfff", "uploader": "\udc80", "changed_by": "\ud800"},
    {"upload_name": BIDI, "media_type": BIDI, "uploader": BIDI},
    {"media_length": -1},
    {"media_length": 2**63},
    {"media_length": 10**40},
    {"sha256": "not a hash"},
    {"sha256": "\x00" * 64},
    {"not_before": datetime(1, 1, 1, tzinfo=UTC)},
    {"not_before": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)},
]
HOSTILE_IDS = [
    "i" * 10_240,
    "i" * 10_239 + "j",
    "\x00",
    "\ud800",
    "\udfff",
    BIDI,
    "\U0001f4a9" * 10_240,
    "",
    "'; --",
    "%00",
]


@pytest.fixture
def bound(db):
    return ledger.bind()


def test_no_row_of_strangers_stops_the_ledger(bound):
    entries = [an_entry(f"m{number}", **facts) for number, facts in enumerate(HOSTILE)]
    entries += [an_entry(media_id, origin=origin) for media_id in HOSTILE_IDS for origin in HOSTILE_IDS]

    assert ledger.append(entries).recorded == len(HOSTILE) + len(HOSTILE_IDS) ** 2
    assert ledger.append(entries).repeated == len(entries)
    released = [Entry(mxc=entry.mxc, quarantined=False, source=Source.FEED) for entry in entries]
    assert ledger.append(released).recorded == len(entries)
    assert_sound()


def test_what_was_changed_to_be_stored_is_flagged(bound):
    ledger.append([an_entry("i" * 10_240), an_entry("plain", upload_name="\x00"), an_entry(BIDI, upload_name=BIDI)])

    assert rows("cut") == [(True,), (True,), (False,)]
    assert list(MediaItem.objects.order_by("stream_id").values_list("cut", flat=True)) == [True, False, False]


def test_a_refused_row_stands_alone_and_is_stored_minimally(bound, refused_name):
    entries = [an_entry(f"m{number}", upload_name="fine.png", sha256=HASH) for number in range(10)]
    entries[6] = an_entry("m6", upload_name=refused_name, sha256=HASH, uploader="@m:spam.example", media_length=5)

    assert ledger.append(entries, cursor=FeedCursor(generation=1, before=0, after=4)).recorded == 10

    whole = ("fine.png", HASH, False)
    minimal = ("", None, True)
    assert rows("upload_name", "sha256", "cut") == [whole] * 6 + [minimal] + [whole] * 3
    bare = Change.objects.get(media_id="m6")
    assert (bare.quarantined, bare.uploader, bare.media_length, bare.source) == (True, "", None, Source.FEED)
    assert_sound()


@pytest.fixture
def refused_name(engine):
    """A name that passes all we check, in a database that refuses it."""
    if engine == "postgresql":
        refuse_on_postgresql("quarantine_change", "upload_name", "refused")
        yield "refused"
        return
    limit = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2_000)
    yield "é" * 1_024
    connection.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)


def refuse_on_postgresql(table, column, value):
    """Until the test's transaction is rolled back."""
    with connection.cursor() as db:
        db.execute(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'data_exception'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW
            WHEN (NEW.{column} = '{value}') EXECUTE FUNCTION refuse()
            """
        )


@pytest.mark.postgresql
@pytest.mark.parametrize("table", ["quarantine_change", "quarantine_mediaitem"])
def test_a_refused_uploader_stops_neither_the_change_nor_its_media(bound, table):
    refuse_on_postgresql(table, "uploader", "refused")
    entries = [an_entry(f"m{number}", uploader="@m:spam.example", sha256=HASH) for number in range(5)]
    entries[1] = an_entry("m1", uploader="refused", sha256=HASH)

    assert ledger.append(entries).recorded == 5

    model = Change if table == "quarantine_change" else MediaItem
    stored = model.objects.order_by("stream_id").values_list("uploader", "sha256")
    assert list(stored) == [("@m:spam.example", HASH), ("", None)] + [("@m:spam.example", HASH)] * 3
    assert_sound()
