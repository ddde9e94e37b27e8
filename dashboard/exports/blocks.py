"""Text that PostgreSQL makes of many rows, handed over a block at a time: begun before it is read.

Sent row by row, as by COPY, they cost more to send and to take than to make: so the database joins some hundred of them.
While one connection is read, another may already be at work.
"""

import selectors
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from django.db import connections
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from dashboard.replica import REACHED, Place

# The planner can't know how small the ranges are; and an export takes as long as its reader, who is bounded.
SETTINGS = "SET jit = off; SET statement_timeout = 0"
COPIED = 1024 * 1024  # bytes of lines in a block


@dataclass(frozen=True, slots=True)
class Block:
    rows: int
    last: int  # the lowest position in it
    text: bytes


class BlockReader:
    """One connection, one statement at a time. May be used from any thread, by one at a time."""

    def __init__(self, place: Place) -> None:
        """Raises an error of psycopg's or Django's where this place has not got so far."""
        self.own = connections[place.alias].copy()
        self.own.inc_thread_sharing()
        self.own.ensure_connection()
        self.raw: psycopg.Connection = self.own.connection
        self.raw.pgconn.nonblocking = 0  # to send a statement waits until all of it is sent
        self.patience = place.patience
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.raw.pgconn.socket, selectors.EVENT_READ)
        try:
            self.prepare(place)
        except psycopg.Error:
            self.close()
            raise

    def prepare(self, place: Place) -> None:
        self.begin(SETTINGS, [])
        list(self.rows(self.result()))
        if place.is_replica:  # behind one address there may be several
            self.begin(REACHED, [place.position, place.written, place.written])
            if list(self.rows(self.result())) != [[b"t"]]:
                msg = "It has not got far enough."
                raise psycopg.OperationalError(msg)

    def close(self) -> None:
        self.selector.close()
        self.own.close()

    def begin(self, statement: str, params: Sequence[object]) -> None:
        """What is ready waits in the sockets' buffers, a few megabytes at most, until it is read."""
        self.raw.pgconn.send_query(psycopg.ClientCursor(self.raw).mogrify(statement, params).encode())
        self.raw.pgconn.set_single_row_mode()

    def blocks(self) -> Iterator[Block]:
        """Of a statement with columns as `Block` has them, or of a COPY of lines that begin with their position.

        Raises psycopg's errors: whoever gets to the end has it all.
        """
        first = self.result()
        if first is not None and first.status == ExecStatus.COPY_OUT:
            yield from self.copied()
            first = self.result()
        for rows, last, text in self.rows(first):
            yield Block(int(rows or 0), int(last or 0), text or b"")

    def copied(self) -> Iterator[Block]:
        """Of a COPY of lines that begin with their position."""
        lines, held = list[bytes](), 0
        next_line = self.raw.pgconn.get_copy_data
        while (length := (taken := next_line(1))[0]) >= 0:
            if not length:
                self.wait()
                continue
            lines.append(bytes(taken[1]))
            held += length
            if held >= COPIED:
                yield block_of(lines)
                lines, held = [], 0
        if lines:
            yield block_of(lines)

    def rows(self, result: PGresult | None) -> Iterator[list[bytes | None]]:
        """From this result on; values as text."""
        ended = False
        while result is not None:
            if result.status == ExecStatus.SINGLE_TUPLE:
                yield [result.get_value(0, column) for column in range(result.nfields)]
            elif result.status in {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}:
                ended = True
            else:
                raise error_from_result(result)
            result = self.result()
        if not ended:
            msg = "The server said nothing."
            raise psycopg.OperationalError(msg)

    def result(self) -> PGresult | None:
        while self.raw.pgconn.is_busy():
            self.wait()
        return self.raw.pgconn.get_result()

    def wait(self) -> None:
        if not self.selector.select(self.patience):
            msg = f"The server said nothing for {self.patience:g} s."
            raise psycopg.OperationalError(msg)
        self.raw.pgconn.consume_input()


def block_of(lines: list[bytes]) -> Block:
    return Block(len(lines), int(lines[-1].partition(b",")[0]), b"".join(lines))
