"""The other side of crew.py: `python -m tests.quarantine.crew_member SOCKET`."""

import json
import os
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from itertools import count
from random import Random
from threading import Event

import django

django.setup()

from django.db import IntegrityError, connection

from quarantine import candidates, inserting, ledger
from quarantine.backfill import Job
from quarantine.counting import rollup
from quarantine.entries import Entry
from quarantine.feed import FeedCursor
from quarantine.ledger import CursorMovedError
from quarantine.models import OpenHole, Run, Source
from quarantine.mxc import Mxc
from quarantine.walk import Pace
from tests.quarantine import made_up_feed

BIGGEST_BATCH = 50


class Line:
    """To the test and back."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.words = self.socket.makefile("r")
        self.say(os.getpid())

    def say(self, word):
        self.socket.sendall(f"{word}\n".encode())

    def wait(self):
        self.words.readline()


# --- Racing -------------------------------------------------------------------------------


def stand_still(line):
    """From here on this process's gate halts once before the first row goes in, when its position is already given out."""
    insert, stood = inserting.insert_changes, []

    def halting(changes):
        if not stood:
            stood.append(line.say("holding"))
            line.wait()
        insert(changes)

    inserting.insert_changes = halting


def write(line, *, number, batches, positions="ledger", hold=False):
    """Append batches of 1 to 50 media of our own."""
    {"ledger": lambda: None, "unlocked": unlock, "sequence": use_a_sequence}[positions]()
    random = Random(number)
    line.wait()
    if hold:
        stand_still(line)
    try:
        for batch in range(batches):
            ledger.append(new_media(f"{number}-{batch}", random.randint(1, BIGGEST_BATCH)))
    except IntegrityError:
        line.say("collided")
    else:
        line.say("done")


def unlock():
    """Break this process's gate: no lock."""
    ledger.lock = lambda: None


def use_a_sequence():
    """Break this process's gate: no lock, and positions from a sequence, as one would do without."""
    unlock()
    read = ledger.current

    def current():
        held = read()
        with connection.cursor() as db:
            db.execute("SELECT nextval('positions')")
            [held.head] = db.fetchone()
        return held

    ledger.current = current


def new_media(prefix, count):
    return [
        Entry(mxc=Mxc("evil.example", f"{prefix}-{item}"), quarantined=True, source=Source.FEED)
        for item in range(count)
    ]


# --- Being killed -------------------------------------------------------------------------


def follow(line, *, seed):
    """Until killed: feed rows with their cursor, rows that turn up late, and looks at other media."""
    random = Random(seed)
    for turn in count():
        for step in (feed_on, fill_a_hole, look_around):
            with suppress(CursorMovedError):  # the other one was quicker
                step(random)
        if not turn:
            line.say("following")


def feed_on(random):
    before = ledger.current().feed_position
    after = before + random.randint(1, BIGGEST_BATCH)
    ids = range(before + 1, after + 1)
    cursor = FeedCursor(
        generation=1, before=before, after=after, holes=tuple(each for each in ids if made_up_feed.is_hole(each))
    )
    ledger.append(made_up_feed.entries(ids), cursor=cursor)


def fill_a_hole(_random):
    at = ledger.current().feed_position
    for hole in OpenHole.objects.order_by("feed_id").values_list("feed_id", flat=True)[:1]:
        ledger.append([made_up_feed.late(hole)], cursor=FeedCursor(generation=1, before=at, after=at, filled=(hole,)))


def look_around(random):
    key = Mxc("matrix.example", f"seen-{random.randrange(30)}")
    version = max((item.version for item in ledger.fetch_items([key]).values()), default=0)
    ledger.append([Entry(mxc=key, quarantined=random.random() < 0.5, source=Source.AUDIT, expected=version)])


def walk(line):
    """One backfill in small steps; when it has read something it says so, and waits to be told to go on."""
    candidates.BATCH = 8  # so that one step is several transactions
    pace = Pace(window=1, max_snapshot=0.0)

    def ask(*_):
        line.say("read")
        line.wait()

    Job(kind=Run.Kind.BACKFILL, over=["local", "remote"], stop=Event(), pace=pace, progress=ask).go()
    line.say("done")


# --- Adding up ----------------------------------------------------------------------------


def add_up(line, *, sizes, kept, slow):
    """Until killed; it says so when it is about to store a block, and takes its time while it does.

    Said before the lock that two adders fight for: the one that never wins it has said so, too.
    """
    rollup.SIZES, rollup.KEPT = tuple(sizes), kept
    said, store = [], rollup.store

    def announce(*block, **known):
        if not said:
            said.append(line.say("adding"))
        return store(*block, **known)

    def linger(execute, sql, params, many, context):
        if sql.startswith('INSERT INTO "quarantine_tally"'):
            time.sleep(slow)
        return execute(sql, params, many, context)

    rollup.store = announce
    with connection.execute_wrapper(linger):
        while True:
            rollup.roll_up()


# --- Starting -----------------------------------------------------------------------------


def serve(path):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    for line in sys.stdin:
        if os.fork() == 0:
            work(path, **json.loads(line))


def work(path, *, task, **details):
    try:
        {"write": write, "follow": follow, "walk": walk, "add_up": add_up}[task](Line(path), **details)
        connection.close()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
