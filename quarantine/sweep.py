"""Media with a hash we know as quarantined, looked up by hash every few seconds.

Synapse quarantines re-uploads of a known hash by itself and writes no row in its feed
(element-hq/synapse#19672). Both media tables index sha256, so this needs no scan.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import batched

from quarantine import ledger, look
from quarantine.acting import returns
from quarantine.homeserver import media
from quarantine.homeserver.media import Media
from quarantine.ledger import Appended
from quarantine.models import MediaItem, State
from quarantine.mxc import Mxc

NEWEST = 500  # hashes looked up each time
COPIES = 8  # media read for each of them: copies of one file come in waves
ROUND = 1_500  # further ones each time, in turn


class Sweep:
    """Looks at the newest hashes each time, and at the others in turn."""

    def __init__(self, *, newest: int = NEWEST, turn: int = ROUND) -> None:
        self.newest = newest
        self.turn = turn
        self.below: int | None = None  # the position the turn has got down to; None: start again

    def tick(self, settle: Callable[[], None]) -> Appended:
        """Record what the homeserver quarantined by hash since, and report what it didn't.

        `settle` follows the feed to its end first.
        """
        done = Appended(head=ledger.current().head)
        found = media.with_hashes(self.next_hashes())
        for some in batched(self.missing(found), look.BATCH):  # a popular file may come back ten thousandfold
            done = done.then(look.record(some, settle=settle))
        returns.settle_old()
        returns.note(found, settle=settle)
        return done

    def missing(self, found: list[Media]) -> list[Mxc]:
        """Media that is quarantined there and not here."""
        quarantined = [row.mxc for row in found if row.quarantined_by is not None]
        held = look.held_as_quarantined(quarantined)
        return [mxc for mxc in quarantined if mxc not in held]

    def next_hashes(self) -> list[str]:
        """At most newest + turn sha256, newest first."""
        newest = known_hashes(below=None, limit=self.newest)
        if newest.reached is None:
            return newest.hashes
        if self.below is None or self.below > newest.reached:
            self.below = newest.reached
        older = known_hashes(below=self.below, limit=self.turn)
        self.below = older.reached
        return list(dict.fromkeys(newest.hashes + older.hashes))


@dataclass(frozen=True, slots=True)
class Known:
    """Different sha256, newest first, and the position they reach down to; None: there are no older ones."""

    hashes: list[str]
    reached: int | None


def known_hashes(*, below: int | None, limit: int) -> Known:
    """At most `limit` sha256 of media the ledger holds as quarantined or deleted, below a position (exclusive).

    A wave of copies of one file counts once; but no more than `limit` times COPIES media are read.
    """
    items = MediaItem.objects.filter(sha256__isnull=False).exclude(state=State.RELEASED).order_by("-stream_id")
    if below is not None:
        items = items.filter(stream_id__lt=below)
    rows = list(items.values_list("stream_id", "sha256")[: limit * COPIES])
    hashes: dict[str, None] = {}
    reached = below
    for position, sha256 in rows:
        if len(hashes) == limit and sha256 not in hashes:
            return Known(list(hashes), reached)
        hashes[sha256 or ""] = None
        reached = position
    return Known(list(hashes), reached if len(rows) == limit * COPIES else None)
