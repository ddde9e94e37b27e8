"""People who keep using the sample homeserver, so that there is something to watch.

Every step quarantines or releases something, by the homeserver's own rules; whoever follows its
feed sees it arrive. Nothing here writes to the ledger.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from django.conf import settings

from quarantine.homeserver import media
from quarantine.homeserver.gateway import UnknownMediaError
from quarantine.homeserver.media import Media
from quarantine.homeserver.models import FeedChange
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.mxc import Mxc
from quarantine.sample import names
from quarantine.sample.items import Item, Studio
from quarantine.sample.rhythm import to_ms

RECENT = 200  # feed rows back, to find something to release, match or delete
SHORTEST, LONGEST = 1.0, 4.0  # seconds between steps


class Simulator:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.studio = Studio(rng, home=settings.HOMESERVER_NAME)

    def step(self) -> str:
        """Let something happen, and say what in a few words."""
        scenes: dict[Callable[[], str], int] = {
            self.quarantine_one: 46,
            self.upload_known: 20,
            self.release_one: 12,
            self.quarantine_copies: 10,
            self.sweep_user: 6,
            self.quarantine_again: 4,
            self.delete_one: 2,
        }
        [scene] = self.rng.choices(list(scenes), list(scenes.values()))
        return scene() or self.quarantine_one()

    def pause(self) -> float:
        """Seconds until the next step."""
        return self.rng.uniform(SHORTEST, LONGEST)

    # --- Scenes: each says what it did, or nothing if it could do nothing -----------------

    def quarantine_one(self) -> str:
        mxc = self.post(self.studio.make(self.now()))
        homeserver = self.moderator()
        homeserver.quarantine(mxc)
        return f"{homeserver.user_id} quarantined {mxc}"

    def quarantine_copies(self) -> str:
        """The same file from several people and servers; to quarantine one is to quarantine all."""
        first = self.studio.make(self.now())
        copies = [self.post(item) for item in (first, *(self.studio.copy(first, self.now()) for _ in range(2)))]
        homeserver = self.moderator()
        homeserver.quarantine(copies[0])
        return f"{homeserver.user_id} quarantined {copies[0]} and its {len(copies) - 1} copies"

    def sweep_user(self) -> str:
        spammer = self.studio.spammer()
        for _ in range(self.rng.randrange(3, 7)):
            self.post(self.studio.make(self.now(), local=True, uploader=spammer))
        homeserver = self.moderator()
        return f"{homeserver.user_id} quarantined {homeserver.quarantine_user(spammer)} items of {spammer}"

    def upload_known(self) -> str:
        """A quarantined file is uploaded again: the homeserver quarantines it by itself and tells nobody."""
        known = self.recent(quarantined=True)
        if known is None or known.sha256 is None:
            return ""
        item = self.studio.make(self.now(), local=True)
        item.sha256, item.media_type = known.sha256, known.media_type or ""
        item.media_length = known.media_length or 0
        return f"{item.uploader} uploaded a quarantined file again: {self.post(item)}"

    def release_one(self) -> str:
        held = self.recent(quarantined=True)
        if held is None:
            return ""
        self.moderator().release(held.mxc)
        return f"released {held.mxc}"

    def quarantine_again(self) -> str:
        released = self.recent(quarantined=False)
        if released is None or released.protected:
            return ""
        homeserver = self.moderator()
        homeserver.quarantine(released.mxc)
        return f"{homeserver.user_id} quarantined {released.mxc} again"

    def delete_one(self) -> str:
        """Deletion says nothing to anybody, so something else has to be seen meanwhile."""
        held = self.recent(quarantined=True)
        if held is None or not held.local:
            return ""
        try:
            self.moderator().delete(held.mxc)
        except UnknownMediaError:
            return ""
        return f"deleted {held.mxc}; {self.quarantine_one()}"

    # --- Who and what ---------------------------------------------------------------------

    def moderator(self) -> SampleHomeserver:
        [name] = self.rng.choices(names.MODERATORS, (5, 3, 2, 1))
        return SampleHomeserver(user_id=f"{name}:{settings.HOMESERVER_NAME}")

    def post(self, item: Item) -> Mxc:
        """Put the item on the homeserver: uploaded here, or fetched from another server."""
        file = File(
            sha256=item.sha256,
            media_type=item.media_type,
            media_length=item.media_length,
            upload_name=item.upload_name or None,
        )
        mxc = Mxc(item.origin, item.media_id)
        homeserver, created = self.moderator(), to_ms(item.created)
        if item.local:
            return homeserver.upload(file, uploader=item.uploader or "", media_id=item.media_id, created_ts=created)
        homeserver.cache_remote(file, mxc=mxc, created_ts=created)
        return mxc

    def recent(self, *, quarantined: bool) -> Media | None:
        """Some media of a recent feed row that is in this state now."""
        rows = FeedChange.objects.order_by("-stream_id").filter(quarantined=quarantined)[:RECENT]
        keys = sorted({Mxc(row.origin or settings.HOMESERVER_NAME, row.media_id) for row in rows})
        found = [one for one in media.read(keys).values() if (one.quarantined_by is not None) == quarantined]
        return self.rng.choice(found) if found else None

    def now(self) -> datetime:
        """A moment ago: who uploads something isn't caught in the same millisecond."""
        return datetime.now(UTC) - timedelta(seconds=self.rng.uniform(0.5, 600))
