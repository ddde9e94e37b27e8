"""One piece ahead, in order, by a thread that leaves nothing behind."""

import threading

import pytest
from django.db import connection, connections

from quarantine.ahead import ahead
from quarantine.models import Staff


class Pieces:
    """1, 2, 3 …, each noted when it is made; `until` has been made once `made` holds so many."""

    def __init__(self, number, *, trouble=None):
        self.made, self.threads, self.changed = [], set(), threading.Condition()
        self.number, self.trouble = number, trouble

    def __iter__(self):
        for piece in range(1, self.number + 1):
            if piece == self.trouble:
                raise KeyError(piece)
            with self.changed:
                self.made.append(piece)
                self.threads.add(threading.current_thread())
                self.changed.notify_all()
            yield piece

    def wait_for(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.made) >= number, timeout=30)


def test_the_next_piece_is_made_while_one_is_dealt_with_and_no_more():
    pieces, taken = Pieces(4), []

    with ahead(iter(pieces)) as some:
        for piece in some:
            pieces.wait_for(min(piece + 1, 4))
            taken.append((piece, len(pieces.made)))

    assert taken == [(1, 2), (2, 3), (3, 4), (4, 4)]
    assert threading.current_thread() not in pieces.threads
    assert not any(thread.is_alive() for thread in pieces.threads)


def test_what_goes_wrong_there_is_raised_here_after_what_went_well():
    taken = []

    with pytest.raises(KeyError, match="3"), ahead(iter(Pieces(4, trouble=3))) as some:
        taken.extend(some)

    assert taken == [1, 2]


def test_whoever_stops_half_way_leaves_no_thread():
    pieces = Pieces(1_000)

    with ahead(iter(pieces)) as some:
        assert next(some) == 1

    assert len(pieces.made) <= 2
    assert not any(thread.is_alive() for thread in pieces.threads)


@pytest.mark.django_db(transaction=True)
def test_the_threads_connections_end_with_it():
    opened = []

    def look():
        list(Staff.objects.all())
        opened.append(connections["default"].connection)
        yield 1

    with ahead(look()) as some:
        assert list(some) == [1]

    [theirs] = opened
    assert theirs is not connection.connection
    assert is_closed(theirs)


def is_closed(raw):
    if connection.vendor == "postgresql":
        return raw.closed
    with pytest.raises(Exception, match="closed database"):
        raw.execute("SELECT 1")
    return True
