"""Does the record still say what was recorded? Every row's content against its digest, every digest against the chain.

Reads short windows by key, so any number of rows takes constant memory and no statement lasts. What can be found:
a value that was changed, a row that is missing, added, moved or exchanged. What only a kept head can show (see
`Table.expected`): that everything from some row on was written anew, by somebody who knows how to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import psycopg
from django.db import connection, models
from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from quarantine import seals
from quarantine.models import AccessEntry, Action, Chain, Change, Ledger, Reveal
from quarantine.seals import BrokenSealError

WINDOW = 10_000  # rows a statement
FARTHEST = 2**63 - 1  # a position
SINCE_1970 = 946_684_800_000_000  # PostgreSQL counts microseconds since 2000
SEAL = ("salts", "digest", "chain")
CHANGED = "its content is not what was recorded"
BROKEN = "its seal is damaged"
APART = "it does not follow the row before it: one of the two was put there, moved or sealed anew, or something between them is gone"
UNSEALED = "it has no seal, and the rows before it have one"
OTHER_END = (
    "the chain ends here with another value than the one on record: what came after is gone, or this was written anew"
)
OTHER_HEAD = "its chain value is not the one that was kept: it, or something before it, was written anew"
FEWER = "up to here there are {rows:,} rows, and {told:,} were counted when they were recorded: some without a seal are gone"
BEYOND = "it lies beyond where the chain ends by the record's own account, so nothing vouches for it"
GONE = "a chain value was kept for this position, and there is no such row any more: it is gone"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first row that does not fit, and how."""

    position: int
    what: str


@dataclass(slots=True, kw_only=True)
class Checked:
    """What was found of one table. `head` is the last chain value that was checked, with its position."""

    rows: int = 0
    unsealed: int = 0  # from before there were seals: nothing vouches for them
    redacted: int = 0
    position: int = 0
    head: bytes | None = None
    fault: Fault | None = None


class End(NamedTuple):
    """Where a table ends by its own account: the last position, the last chain value, and of changes how many there are."""

    position: int
    value: bytes | None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """One chain. `key` orders it; `time` is a column that was given under the lock, beside the key."""

    name: str
    model: type[models.Model]
    key: str = "id"
    time: str | None = None
    open_to: int | None = None  # rows up to this position may lack a seal
    expected: Mapping[int, bytes] = field(default_factory=dict)  # chain values that were kept, by position

    @property
    def plain(self) -> tuple[str, ...]:
        return tuple(getattr(self.model, "PLAIN", ()))

    @property
    def personal(self) -> tuple[str, ...]:
        return tuple(getattr(self.model, "PERSONAL", ()))

    def objects(self) -> "models.QuerySet[Any]":
        return self.model._default_manager.all()

    def end(self) -> End:
        if self.model is Change:
            held = Ledger.objects.get(pk=1)
            return End(held.head, None if held.chain is None else bytes(held.chain), held.changes)
        chain = Chain.objects.filter(pk=self.model._meta.db_table).first()
        return End(chain.position, bytes(chain.value)) if chain else End(0, None)

    def newest(self, *, upto: int) -> int:
        """The last position there is, up to this one; 0: none."""
        rows = self.objects().filter(**{f"{self.key}__lte": upto}).order_by(f"-{self.key}")
        return rows.values_list(self.key, flat=True).first() or 0

    def begins(self) -> int | None:
        """The first sealed position; None: nothing is sealed."""
        if self.model is Change:
            return Ledger.objects.values_list("chain_from", flat=True).get(pk=1)
        sealed = self.objects().exclude(chain=None)
        first: int | None = sealed.order_by(self.key).values_list(self.key, flat=True).first()
        return first

    def link_before(self, position: int) -> bytes:
        """The chain value of the last sealed row below."""
        earlier = self.objects().filter(**{f"{self.key}__lt": position, f"{self.key}__gte": self.begins() or position})
        found = earlier.exclude(chain=None).order_by(f"-{self.key}").values_list("chain", flat=True).first()
        return bytes(found) if found is not None else seals.genesis(self.model._meta.db_table)


def tables() -> list[Table]:
    return [
        Table(name="ledger", model=Change, key="stream_id", time="seen_at"),
        Table(name="actions", model=Action),
        Table(name="reveals", model=Reveal),
        Table(name="access", model=AccessEntry),
    ]


def check(table: Table, *, first: int = 1, last: int | None = None) -> Checked:
    """Check from `first` to `last`, both inclusive, or to the end as it is now. Stops at the first fault."""
    scope = Scope.of(table, first=first, last=last)
    return scope.conclude(check_part(table, scope.first, scope.last))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is to be checked, fixed before it begins: the table may grow meanwhile."""

    table: Table
    first: int
    last: int
    end: End | None  # what it must come to, where it goes to the end of the table

    @classmethod
    def of(cls, table: Table, *, first: int, last: int | None) -> Self:
        end = table.end()
        if last is None or last >= end.position:
            return cls(table=table, first=first, last=end.position, end=end)
        return cls(table=table, first=first, last=last, end=None)

    def conclude(self, done: Checked) -> Checked:
        """What can be said only at the end."""
        done.fault = done.fault or self.fault_after(done) or self.fault_beyond() or self.fault_of_kept()
        return done

    def fault_beyond(self) -> Fault | None:
        """A row above the end would never be checked, were the end moved down behind the gate's back."""
        if self.end is None:
            return None
        table, key = self.table, self.table.key
        newest, end = table.newest(upto=FARTHEST), table.end().position  # in this order: a row and the end move at once
        open_to = table.open_to or (0 if end or table.model is Change else newest)  # at 0 nothing was ever sealed
        beyond = table.objects().filter(**{f"{key}__range": (end + 1, newest)})  # what is above was added since
        first = beyond.exclude(**{f"{key}__lte": open_to}, chain=None).order_by(key).values_list(key, flat=True).first()
        return Fault(first, BEYOND) if first else None

    def fault_of_kept(self) -> Fault | None:
        """A row whose chain value was kept can't be compared where it is gone: that is for nobody else to notice."""
        table, kept = self.table, set(self.table.expected)
        found = table.objects().filter(**{f"{table.key}__in": kept}).values_list(table.key, flat=True)
        lost = kept.difference(found)
        return Fault(min(lost), GONE) if lost else None

    def fault_after(self, done: Checked) -> Fault | None:
        """After the last row, or for want of it."""
        table, end = self.table, self.end
        newest = table.newest(upto=self.last)
        if end is None:
            following = table.objects().filter(**{f"{table.key}__gt": self.last}).order_by(table.key)
            after = following.values_list(table.key, flat=True).first() or 0
            fault = check_part(table, after, after).fault if newest < self.last else None
            return fault if fault is not None and fault.position <= self.last else None
        if end.value is not None and table.link_before(self.last + 1) != end.value:
            gone = table.model is Change and newest < self.last
            return Fault(newest + 1, missing(newest + 1, self.last)) if gone else Fault(newest, OTHER_END)
        if self.first == 1 and end.rows is not None and done.rows != end.rows:
            return Fault(newest, FEWER.format(rows=done.rows, told=end.rows))
        return None


def check_part(table: Table, first: int, last: int) -> Checked:
    """Check from `first` to `last`, both inclusive; that the row before fits is for another part to say."""
    walk = Walk(table=table, previous=table.link_before(first), before=table.newest(upto=first - 1))
    for rows in windows(table, first, last):
        if not walk.take(rows):
            break
    return walk.done


def together(done: Checked, more: Checked) -> Checked:
    """What was found of two parts, one after the other."""
    return Checked(
        rows=done.rows + more.rows,
        unsealed=done.unsealed + more.unsealed,
        redacted=done.redacted + more.redacted,
        position=more.position or done.position,
        head=more.head or done.head,
        fault=done.fault or more.fault,
    )


def windows(table: Table, first: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
    names = (table.key, table.time or table.key, *SEAL, *table.plain, *table.personal)
    after = first - 1
    while after < last:
        some = table.objects().filter(**{f"{table.key}__gt": after, f"{table.key}__lte": last}).order_by(table.key)
        rows = fetch(some.values_list(*names)[:WINDOW])
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def fetch(some: "models.QuerySet[Any]") -> list[tuple[Any, ...]]:
    """The rows, on PostgreSQL in its binary form and past the ORM, which costs less; times are microseconds there."""
    if connection.vendor != "postgresql":
        return list(some)
    connection.ensure_connection()
    sql, params = some.query.sql_with_params()
    with connection.wrap_database_errors, psycopg.Cursor[tuple[Any, ...]](connection.connection) as db:
        db.adapters.register_loader("timestamptz", Microseconds)
        return db.execute(sql.encode(), params, binary=True).fetchall()


class Microseconds(Loader):
    """A time as a seal has it, and of any year that PostgreSQL can be made to store."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int:
        return int.from_bytes(data, "big", signed=True) + SINCE_1970


@dataclass(kw_only=True)
class Walk:
    """One way along a chain."""

    table: Table
    previous: bytes
    before: int  # position of the last row there is before the next
    done: Checked = field(default_factory=Checked)

    def __post_init__(self) -> None:
        self.open_to = self.table.open_to or (self.table.begins() or self.table.end().position + 1) - 1
        self.apart = 5 + len(self.table.plain)
        self.gapless = self.table.model is Change

    def take(self, rows: list[tuple[Any, ...]]) -> bool:
        """Whether all of them fit."""
        expected, gapless = self.table.expected, self.gapless
        for row in rows:
            position, chain = row[0], row[4]
            what = self.unsealed(position) if chain is None and row[2] is None and row[3] is None else self.sealed(row)
            if what is None and position in expected and chain != expected[position]:
                what = OTHER_HEAD
            if what in {APART, UNSEALED} and gapless and position > self.before + 1:
                what = missing(self.before + 1, position - 1)
                position = self.before + 1
            if what is not None:
                self.done.fault = Fault(position, what)
                return False
            self.before = position
        self.done.rows += len(rows)
        return True

    def unsealed(self, position: int) -> str | None:
        if position > self.open_to:
            return UNSEALED
        self.done.unsealed += 1
        return None

    def sealed(self, row: tuple[Any, ...]) -> str | None:
        position, time, salts, digest, chain = row[:5]
        if salts is None or digest is None or chain is None:
            return BROKEN
        try:
            found = seals.digest(row[5 : self.apart], row[self.apart :], salts)
        except BrokenSealError:
            return CHANGED
        if found != digest:
            return CHANGED
        given = (
            (position,) if self.table.time is None else (position, time if type(time) is int else seals.micros(time))
        )
        link = seals.link(self.previous, *given, digest=digest)
        if link != chain:
            return APART
        self.previous = self.done.head = link
        self.done.position = position
        self.done.redacted += seals.BLANKED in salts and seals.is_redacted(salts)
        return None


def missing(first: int, last: int) -> str:
    return "it is missing" if first == last else f"it and all rows up to {last} are missing"
