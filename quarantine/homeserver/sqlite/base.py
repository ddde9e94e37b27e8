"""SQLite as Django speaks it, but text that is not UTF-8 is read with U+FFFD instead of an error.

Media rows come from strangers, and one unreadable file name must not stop the follower.
"""

import sqlite3
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection: sqlite3.Connection = super().get_new_connection(conn_params)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        return connection
