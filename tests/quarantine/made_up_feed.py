"""A feed that follows from its ids: whoever reads on after a crash reads the same rows."""

from random import Random

from quarantine.entries import Entry
from quarantine.models import Source
from quarantine.mxc import Mxc

MEDIA = 40


def is_hole(feed_id):
    """Passed before it was filled."""
    return feed_id % 17 == 0


def entries(ids):
    """What these rows say; nothing for a hole."""
    return [entry(feed_id) for feed_id in ids if not is_hole(feed_id)]


def entry(feed_id):
    random = Random(feed_id)
    return Entry(
        mxc=Mxc("matrix.example", f"fed-{random.randrange(MEDIA)}"),
        quarantined=random.random() < 0.6,
        source=Source.FEED,
        feed_generation=1,
        feed_id=feed_id,
    )


def late(feed_id):
    """The row that turned up in a hole; of media of its own, so that it is recorded whenever it comes."""
    mxc = Mxc("evil.example", f"late-{feed_id}")
    return Entry(mxc=mxc, quarantined=True, source=Source.FEED, feed_generation=1, feed_id=feed_id)


def changing(position):
    """The ids up to `position` (inclusive) whose rows change something, in order."""
    quarantined = set()
    ids = []
    for row in entries(range(1, position + 1)):
        if row.quarantined != (row.mxc in quarantined):
            quarantined ^= {row.mxc}
            ids.append(row.feed_id)
    return ids
