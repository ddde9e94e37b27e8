"""Append-only records in a chain: each row vouches for the ones before it (see quarantine.seals)."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar, NoReturn

from django.db import connection, models, transaction

from quarantine.models.append_only import AppendOnly, AppendOnlyError, AppendOnlyQuerySet
from quarantine.seals import genesis, link, seal


class Chain(models.Model):
    """Where the chain of one table ends. Its row is locked while one is added, so rows are chained as they are committed."""

    name = models.CharField(max_length=64, primary_key=True)  # of the table
    position = models.BigIntegerField(default=0)  # key of the last row
    value = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"

    @classmethod
    def held(cls, name: str) -> "Chain":
        """The chain, locked until the transaction ends."""
        found = cls.objects.select_for_update().filter(pk=name).first()
        if found is None:
            cls.objects.get_or_create(pk=name, defaults={"value": genesis(name)})
            found = cls.objects.select_for_update().get(pk=name)
        return found


class ChainedQuerySet[Record: models.Model](AppendOnlyQuerySet[Record]):
    def bulk_create(self, *_: Any, **__: Any) -> NoReturn:
        raise AppendOnlyError  # it would leave the chain out


class Chained(AppendOnly):
    """A base. Rows are added one at a time, by `save`; rows from before there were chains have no seal."""

    PLAIN: ClassVar[Sequence[str]]  # attributes that are digested as they are
    PERSONAL: ClassVar[Sequence[str]] = ()  # texts that may have to be blanked one day

    salts = models.BinaryField(null=True)
    digest = models.BinaryField(max_length=32, null=True)
    chain = models.BinaryField(max_length=32, null=True)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add it. Raises AppendOnlyError if it was added before."""
        if not self._state.adding:
            raise AppendOnlyError
        with transaction.atomic():
            held = Chain.held(self._meta.db_table)
            self.pk = self.pk or next_key(self._meta.db_table, held)
            self.append_to(held)
            super().save(*args, **kwargs)
            held.save(update_fields=["position", "value"])

    def append_to(self, held: Chain) -> None:
        """Seal the row as the last one of the chain, which the caller saves."""
        sealed = seal(values(self, self.PLAIN), values(self, self.PERSONAL))
        self.salts, self.digest = sealed.salts, sealed.digest
        self.chain = held.value = link(bytes(held.value), self.pk, digest=sealed.digest)
        held.position = self.pk


def values(row: models.Model, names: Sequence[str]) -> list[Any]:
    return [attrgetter(name)(row) for name in names]


def next_key(table: str, held: Chain) -> int:
    """The next key of a table; above every one there is, also those that another release added beside the chain."""
    with connection.cursor() as db:
        if connection.vendor == "postgresql":
            db.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])
        else:
            db.execute(
                "SELECT max(%s, coalesce((SELECT seq FROM sqlite_sequence WHERE name = %s), 0)) + 1",
                [held.position, table],
            )
        [key] = db.fetchone()
    return int(key)
