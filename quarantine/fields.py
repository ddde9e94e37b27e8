"""Column types the ledger needs and Django lacks."""

import re
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

SHA256 = re.compile(r"[0-9a-f]{64}")


if TYPE_CHECKING:
    HexField = models.BinaryField[str | None, str | None]  # only the stubs are generic
    AnyLookup = models.Lookup[Any]
else:
    HexField = models.BinaryField
    AnyLookup = models.Lookup


@models.Field.register_lookup
class Only(AnyLookup):
    """`exact`, but PostgreSQL does not conclude that there is one value: in order of this column and another, only an index of both is."""

    lookup_name = "only"

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> tuple[str, tuple[str | int, ...]]:
        column, before = self.process_lhs(compiler, connection)
        value, after = self.process_rhs(compiler, connection)
        one = f"ANY(ARRAY[{value}])" if connection.vendor == "postgresql" else value
        return f"{column} = {one}", (*before, *after)


class Sha256Field(HexField):
    """A sha256: 64 lower-case hex digits in Python, 32 bytes in the database (half the index)."""

    def from_db_value(self, value: bytes | memoryview | None, *_: Any) -> str | None:
        return None if value is None else bytes(value).hex()

    def to_python(self, value: Any) -> str | None:
        return value if value is None or isinstance(value, str) else bytes(value).hex()

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        raw = bytes.fromhex(value) if isinstance(value, str) else value
        return super().get_db_prep_value(raw, connection, prepared)
