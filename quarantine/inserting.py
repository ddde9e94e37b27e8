"""The gate's writing: what was folded goes into the tables, whatever it holds. Under the ledger's lock."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import attrgetter

from django.db import DataError, transaction

from quarantine.bulk import load, upsert
from quarantine.models import Change, Ledger, MediaItem
from quarantine.new_rows import CHANGE_FIELDS, ITEM_FIELDS, NewChange, NewItem
from quarantine.sealing import chained, last_link

values_of_change, values_of_item = attrgetter(*CHANGE_FIELDS), attrgetter(*ITEM_FIELDS)


def write_changes(changes: list[NewChange], ledger: Ledger) -> None:
    write(changes, partial(insert_chained, ledger))


def write[Row: (NewChange, NewItem, MediaItem)](rows: list[Row], save: Callable[[list[Row]], object]) -> None:
    """Save the rows. A batch that fails is halved until the bad row stands alone; that one is stored minimally."""
    if not rows:
        return
    try:
        with transaction.atomic():
            save(rows)
    except (DataError, ValueError, OverflowError):
        if len(rows) == 1:
            blank(rows[0])
            save(rows)
            return
        middle = len(rows) // 2
        write(rows[:middle], save)
        write(rows[middle:], save)


def blank(row: NewChange | NewItem | MediaItem) -> None:
    """Without what strangers wrote of the media: that it happened, and to which media, must not be lost."""
    row.uploader, row.sha256 = "", None
    if isinstance(row, NewChange):
        row.media_type = row.media_class = row.upload_name = row.changed_by = ""
        row.media_length = row.not_before = None
        row.cut = True
        row.digest = None  # it is sealed anew


def insert_chained(ledger: Ledger, changes: list[NewChange]) -> None:
    """Insert the next changes; the chain moves on if that succeeds."""
    insert_changes(chained(changes, last_link(ledger)))
    ledger.chain, ledger.chain_from = changes[-1].chain, ledger.chain_from or changes[0].stream_id


def insert_changes(changes: Iterable[NewChange]) -> None:
    load(Change, CHANGE_FIELDS, map(values_of_change, changes), using="default")


def write_items(items: Sequence[MediaItem | NewItem]) -> None:
    """What was never heard of before is new for certain: the lock is held. So it goes in without a look at what is there."""
    write([item for item in items if isinstance(item, NewItem)], insert_items)
    write([item for item in items if isinstance(item, MediaItem)], update_items)


def insert_items(items: list[NewItem]) -> None:
    load(MediaItem, ITEM_FIELDS, map(values_of_item, items), using="default")


def update_items(items: list[MediaItem]) -> None:
    update = ["state", "stream_id", "version", "sha256", "uploader", "cut"]
    upsert(items, key=["origin", "media_id"], update=update)
