"""Programs that read from web processes which may die at any moment, as such programs should be written."""

import http.client
import itertools
import json
import threading

from django.db import connections

from quarantine import ledger
from quarantine.entries import Entry
from quarantine.models import Source
from quarantine.mxc import Mxc
from tests.quarantine.followers import eventually
from tests.servers import QuietError, Stream

CHANGES = "/_synapse/admin/v1/media/quarantine_changes"
WRITERS, BATCHES, BATCH = 3, 20, 5
STORM = WRITERS * BATCHES * BATCH  # changes


class Reader(threading.Thread):
    """Goes from one server to the next when one fails, and on from what it has.

    `seen` are the positions it was given, in the order they came.
    """

    def __init__(self, ports, headers):
        super().__init__(daemon=True)
        self.headers = headers
        self.ports = itertools.cycle(ports)
        self.seen: list[int] = []
        self.position = 0
        self.failures = 0
        self.stopped = threading.Event()

    def run(self):
        port = next(self.ports)
        while not self.stopped.is_set():
            try:
                self.read(port)
            except (OSError, http.client.HTTPException, RefusedError, QuietError):
                self.failures += 1
                port = next(self.ports)
                self.stopped.wait(0.05)

    def finish(self, end):
        """Let it read up to here; it ends when what it reads does."""
        eventually(lambda: self.position >= end)
        self.stopped.set()


class RefusedError(Exception):
    """The server answered, but not with what was asked for."""


class Poller(Reader):
    """Keeps `next_batch`, and a page only once it has come whole."""

    def read(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", f"{CHANGES}?from={self.position}&limit=7&deleted=1", headers=self.headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RefusedError(body)
            page = json.loads(body)
            assert page["next_batch"] >= self.position
            self.seen += [change["stream_id"] for change in page["changes"]]
            self.position = page["next_batch"]
        finally:
            connection.close()


class Watcher(Reader):
    """Reads events, and comes back with the id of the last one."""

    def read(self, port):
        with Stream(port, "/changes/live", self.headers | {"Last-Event-ID": str(self.position)}) as stream:
            if stream.status != 200:
                raise RefusedError(stream.status)
            for event in stream:
                assert event.name == "change"
                self.seen.append(event.id)
                self.position = event.id
        raise RefusedError("ended")


# --- A storm of writers -------------------------------------------------------------------


def write(writer):
    for number in range(BATCHES):
        names = [Mxc("w.example", f"{writer}-{number}-{row}") for row in range(BATCH)]
        ledger.append([Entry(mxc=mxc, quarantined=True, source=Source.FEED) for mxc in names])
    connections.close_all()


def read_through_a_storm(port, token):
    """The positions that a program was given from the beginning, while others wrote."""
    reader = Poller([port], {"Authorization": f"Bearer {token}"})
    writers = [threading.Thread(target=write, args=[number]) for number in range(WRITERS)]
    for thread in (reader, *writers):
        thread.start()
    for writer in writers:
        writer.join()
    reader.finish(ledger.current().head)
    reader.join()
    assert not reader.failures
    return reader.seen
