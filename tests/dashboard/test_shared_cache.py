"""Nothing that stands in the shared cache's table can make this process do anything."""

import base64
import os
import pickle
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.utils.timezone import now

pytestmark = pytest.mark.django_db
TABLE = settings.CACHES["default"]["LOCATION"]


class Deed:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def put(key, value):
    """As somebody with the database would, past Django."""
    code = base64.b64encode(pickle.dumps(value)).decode()
    with connection.cursor() as db:
        db.execute(f"UPDATE {TABLE} SET value = %s WHERE cache_key = %s", [code, cache.make_key(key)])
        assert db.rowcount == 1


def test_a_value_that_would_do_something_does_nothing(tmp_path):
    cache.set("attempts", [1.5])
    put("attempts", [Deed(tmp_path / "done")])

    with pytest.raises(pickle.UnpicklingError, match="plain values"):
        cache.get("attempts")

    assert not (tmp_path / "done").exists()
    assert pickle.loads(pickle.dumps(Deed(tmp_path / "done"))) is None  # anybody else would have done it
    assert (tmp_path / "done").exists()


def test_plain_values_come_back():
    values = {"history": [1.5, 2, "a"], "locked": True, "none": None, "table": {"a": (1, b"2")}}

    cache.set_many(values)

    assert cache.get_many([*values, "missing"]) == values
    assert cache.get("missing", "else") == "else"
    assert not cache.add("locked", False)
    assert cache.delete("locked")
    assert cache.get("locked") is None


def test_what_has_run_out_is_gone():
    cache.set("old", 1, timeout=60)
    with connection.cursor() as db:
        past = connection.ops.adapt_datetimefield_value(now().replace(microsecond=0) - timedelta(seconds=1))
        db.execute(f"UPDATE {TABLE} SET expires = %s", [past])

    assert cache.get("old") is None
