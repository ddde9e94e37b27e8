"""Files handed to programs, on the access record.

A line for each media item, program and day (UTC), in each process. Each by itself would be as many for a matcher that
gets through its pages, for it asks for each file once; but one that fails half-way asks for the whole page again, every few
seconds for as long as that lasts, and would write the same lines for ever. What was written today is held in memory alone,
so that a file costs no look-up. A new process, and what was pushed out, mean one line more.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, datetime

from quarantine.accounts.access_record import write
from quarantine.models import Access, Consumer
from quarantine.mxc import Mxc

HELD = 20_000  # of some 300 bytes; a page of changes has at most 1,000 files


class Written:
    """What was written last, as far as it is held."""

    def __init__(self, *, most: int = HELD) -> None:
        self.lock = threading.Lock()
        self.most = most
        self.held: OrderedDict[Hashable, None] = OrderedDict()

    def has(self, key: Hashable) -> bool:
        with self.lock:
            if key not in self.held:
                return False
            self.held.move_to_end(key)
            return True

    def add(self, key: Hashable) -> None:
        with self.lock:
            self.held[key] = None
            while len(self.held) > self.most:
                self.held.popitem(last=False)


written = Written()  # by this process


def record_download(consumer_id: int, mxc: Mxc, *, address: str) -> None:
    """Before the first byte leaves. Two at the same moment may both be written down."""
    consumer = Consumer.objects.get(pk=consumer_id)
    key = datetime.now(UTC).date(), consumer.token_digest, mxc
    if not written.has(key):
        write(Access.DOWNLOAD, staff=None, who=consumer.name, target=str(mxc), address=address)
        written.add(key)
