"""The cache that all processes share, in the ledger's database.

Django keeps values there as pickles, and a pickle can name any function to call when it is read: whoever can
write to that one table could run code here, with the homeserver's token at hand. So only plain values are read:
numbers, text, lists and the like. What the throttle of sign-ins counts is nothing else.
"""

import base64
import io
import pickle
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

from django.core.cache.backends.db import DatabaseCache
from django.db import connections, router
from django.utils.timezone import now


class PlainUnpickler(pickle.Unpickler):
    """https://docs.python.org/3/library/pickle.html#restricting-globals"""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        msg = f"The shared cache holds a {module}.{name}; it is for plain values."
        raise pickle.UnpicklingError(msg)


class PlainCache(DatabaseCache):
    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Raises UnpicklingError for a value that is not plain."""
        known = {self.make_and_validate_key(key, version=version): key for key in keys}
        if not known:
            return {}
        database = connections[router.db_for_read(self.cache_model_class) or "default"]
        expires = database.ops.adapt_datetimefield_value(second(now()))
        marks = ", ".join(["%s"] * len(known))
        table = database.ops.quote_name(self._table)  # type: ignore[attr-defined] # not among the stubs
        statement = f"SELECT cache_key, value FROM {table}"  # noqa: S608 - the table that the settings name
        with database.cursor() as db:
            db.execute(f"{statement} WHERE expires > %s AND cache_key IN ({marks})", [expires, *known])
            return {known[key]: plain(value) for key, value in db.fetchall()}


def second(moment: datetime) -> datetime:
    """As entries keep it."""
    return moment.replace(microsecond=0)


def plain(stored: str) -> Any:
    return PlainUnpickler(io.BytesIO(base64.b64decode(stored, validate=True))).load()
