"""A client that does what hma-matrix's exchange does, request by request.

It asks for the changes after its checkpoint, downloads what is quarantined in them, and moves the checkpoint
once it has read the whole page. Only a file that is not found is passed over: whatever else goes wrong ends
the run, nothing of the page is kept, and the next run asks for the same page.
"""

import hashlib
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from quarantine.mxc import Mxc

CHANGES = "/_synapse/admin/v1/media/quarantine_changes?from="
FILE = "/_matrix/client/v1/media/download/"
BYPASS = "?admin_unsafely_bypass_quarantine=true"


class StoppedError(Exception):
    """The run ended before there was nothing newer."""


@dataclass(kw_only=True)
class Exchange:
    port: int  # of whom it asks, on 127.0.0.1
    token: str
    checkpoint: int = 0
    kept: list[tuple[Mxc, str]] = field(default_factory=list)  # each file that arrived: its name and its sha256
    asked: int = 0  # files asked for in all runs
    before_reading: Callable[[Mxc], None] = lambda _mxc: None  # called when a file's headers have come

    def run(self) -> None:
        """Until there is nothing newer. Raises StoppedError."""
        while self.next_page():
            pass

    def next_page(self) -> bool:
        """Whether there may be more: a checkpoint that stays is the only end there is."""
        status, body = self.get(f"{CHANGES}{self.checkpoint}")
        if status != 200:
            msg = f"the page after {self.checkpoint}: {status} {body[:200]!r}"
            raise StoppedError(msg)
        page = json.loads(body)
        quarantined = [Mxc(row["origin"], row["media_id"]) for row in page["changes"] if row["quarantined"]]
        self.kept += [(mxc, sha256) for mxc in quarantined if (sha256 := self.download(mxc))]
        before, self.checkpoint = self.checkpoint, page["next_batch"]
        return self.checkpoint != before

    def download(self, mxc: Mxc) -> str:
        """The sha256 of the file; empty where it is not found."""
        self.asked += 1
        path = f"{FILE}{quote(mxc.origin, safe='')}/{quote(mxc.media_id, safe='')}{BYPASS}"
        status, body = self.get(path, lambda: self.before_reading(mxc))
        if status == 404:
            return ""
        if status != 200:
            msg = f"{mxc}: {status} {body[:200]!r}"
            raise StoppedError(msg)
        return hashlib.sha256(body).hexdigest()

    def get(self, path: str, before_reading: Callable[[], None] = lambda: None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = connection.getresponse()
            before_reading()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise StoppedError(repr(error)) from error
        finally:
            connection.close()
