"""Whatever happens in whatever order: the ledger is the fold of its changes, tells no untruth, and ends up right."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from quarantine import feed, ledger, look
from quarantine.entries import clean_mxc
from quarantine.homeserver import media
from quarantine.homeserver.feed import FIRST, Reader
from quarantine.ledger import CursorMovedError
from quarantine.models import Cause, Change, MediaItem, Source, State
from quarantine.mxc import Mxc
from quarantine.sweep import Sweep
from tests.quarantine.ledger_checks import assert_sound, catch_up_fully, undone
from tests.quarantine.made_up_homeserver import MadeUpHomeserver

HERE, FAR = "matrix.example", "far.example"
HOSTILE = Mxc(FAR, "x" * 300 + "\x00")
AT_FIRST = [Mxc(HERE, "one"), Mxc(HERE, "two"), HOSTILE]
MEDIA = [*AT_FIRST, Mxc(HERE, "three"), Mxc(FAR, "four")]
HASHES = ["a" * 64, None]  # copies of one file, and media of before there were hashes
ACTORS = ["@ann:matrix.example", "@bob:matrix.example"]

some_media = st.sampled_from(MEDIA)
somebody = st.sampled_from(ACTORS)


class ImpatientReader(Reader):
    """Passes every hole at once, as a minute's patience does on PostgreSQL; on SQLite there are none."""

    def __init__(self, meanwhile=None):
        super().__init__()
        self.meanwhile = meanwhile  # what another process does between our reading and our recording

    def read(self, *, after, limit):
        prefix = super().read(after=after, limit=limit)
        if self.meanwhile:
            self.meanwhile()
        taken = {row.feed_id for row in prefix.rows}
        return replace(prefix, holes=sorted(set(range(max(after + 1, FIRST), max(taken, default=0))) - taken))


class Interleavings(RuleBasedStateMachine):
    """Moderators, users, backups and followers, in any order."""

    transactions = Bundle("transactions")
    looks = Bundle("looks")

    def __init__(self):
        super().__init__()
        self.example = undone()
        self.example.__enter__()
        self.homeserver = MadeUpHomeserver()
        self.reader = ImpatientReader()
        self.sweep = Sweep(newest=1, turn=1)

    # --- What happens on the homeserver ---------------------------------------------------

    @initialize(hashes=st.lists(st.sampled_from(HASHES), min_size=len(AT_FIRST), max_size=len(AT_FIRST)))
    def begin_with(self, hashes):
        for mxc, sha256 in zip(AT_FIRST, hashes, strict=True):
            self.homeserver.upload(mxc, sha256)

    @rule(mxc=some_media, sha256=st.sampled_from(HASHES))
    def upload(self, mxc, sha256):
        self.homeserver.upload(mxc, sha256)

    @rule(mxc=some_media, by=somebody | st.none())
    def act(self, mxc, by):
        """Quarantine or release, repeats included."""
        if transaction := self.homeserver.begin(mxc, by):
            self.homeserver.commit(transaction)

    @rule(target=transactions, mxc=some_media, by=somebody | st.none())
    def begin(self, mxc, by):
        transaction = self.homeserver.begin(mxc, by)
        return transaction if transaction else multiple()

    @rule(transaction=consumes(transactions), well=st.booleans())
    def end(self, transaction, well):
        if transaction in self.homeserver.under_way:
            self.homeserver.commit(transaction) if well else self.homeserver.roll_back(transaction)

    @rule(mxc=some_media)
    def delete(self, mxc):
        self.homeserver.delete(mxc)

    @rule(mxc=some_media)
    def protect(self, mxc):
        self.homeserver.protect(mxc)

    # --- What the ledger's processes do ---------------------------------------------------

    @rule(limit=st.integers(1, 5))
    def follow(self, limit):
        feed.catch_up(self.reader, limit=limit)

    @rule()
    def start_again(self):
        self.reader = ImpatientReader()
        self.sweep = Sweep(newest=1, turn=1)

    @rule(limit=st.integers(1, 5), other=st.integers(1, 5))
    def follow_two_at_once(self, limit, other):
        """The second has read the same rows, and comes too late with them."""
        with suppress(CursorMovedError):
            feed.catch_up(ImpatientReader(lambda: feed.catch_up(ImpatientReader(), limit=other)), limit=limit)

    @rule(target=looks, mxc=some_media)
    def begin_look(self, mxc):
        items = ledger.fetch_items([clean_mxc(mxc)]).values()
        found = media.read([mxc]).get(mxc)
        last = look.last_changes(list(items)).get(clean_mxc(mxc))
        return look.to_entry(mxc, found, last, expected=max((item.version for item in items), default=0))

    @rule(entry=consumes(looks))
    def end_look(self, entry):
        ledger.append([entry])

    @rule(mxc=some_media, by=somebody | st.none())
    def look_and_be_overtaken(self, mxc, by):
        entry = self.begin_look(mxc)
        self.act(mxc, by)
        self.follow_fully()
        self.end_look(entry)

    @rule(slow=some_media, quick=some_media, by=somebody | st.none(), other=somebody | st.none())
    def follow_past_a_transaction(self, slow, quick, by, other):
        """What takes its ids first may commit last."""
        transaction = self.homeserver.begin(slow, by)
        self.act(quick, other)
        self.follow_fully()
        if transaction:
            self.homeserver.commit(transaction)

    @rule(keys=st.lists(some_media, unique=True), mxc=some_media, by=somebody | st.none())
    def look_while_somebody_acts(self, keys, mxc, by):
        def settle():
            self.act(mxc, by)
            self.follow_fully()

        look.record(keys, settle=settle)

    @rule()
    def sweep_once(self):
        self.sweep.tick(self.follow_fully)

    def follow_fully(self):
        catch_up_fully(self.reader)

    # --- What must be true ----------------------------------------------------------------

    def teardown(self):
        try:
            self.check()
        finally:
            self.example.__exit__(None, None, None)

    def check(self):
        for transaction in list(self.homeserver.under_way):
            self.homeserver.commit(transaction)
        assert_sound()
        self.follow_fully()
        assert_sound()
        self.assert_feed_was_followed()
        look.record(MEDIA)
        assert_sound()
        assert held_as_quarantined() == {clean_mxc(mxc) for mxc in self.homeserver.quarantined()}
        self.assert_no_untruth()

    def assert_feed_was_followed(self):
        """Where the feed tells all, following it is enough."""
        if not self.homeserver.restored:
            silent = {clean_mxc(mxc) for mxc in self.homeserver.silent}
            there = {clean_mxc(mxc) for mxc in self.homeserver.quarantined()}
            assert held_as_quarantined() - silent == there - silent

    def assert_no_untruth(self):
        """A row of the feed has the actor it had, or none; released is what was released, deleted what was deleted."""
        if self.homeserver.restored:
            return
        deleted = {clean_mxc(mxc) for mxc in self.homeserver.deleted}
        released = {clean_mxc(mxc) for mxc in self.homeserver.released}
        for change in Change.objects.all():
            assert change.quarantined or change.mxc in (deleted if change.deleted else released)
            if change.source == Source.FEED and change.changed_by:
                assert change.changed_by == self.homeserver.actors[change.feed_id]
            assert (change.cause == Cause.HASH) == (change.changed_by == look.SYSTEM)


class InterleavingsWithBackups(Interleavings):
    """The same on a homeserver that is restored from backups: then only soundness and the end can be told."""

    backups = Bundle("backups")

    @rule(target=backups)
    def backup(self):
        return self.homeserver.backup()

    @rule(backup=consumes(backups))
    def restore(self, backup):
        self.homeserver.restore(backup)


def held_as_quarantined():
    return {item.mxc for item in MediaItem.objects.filter(state=State.QUARANTINED)}


@pytest.mark.django_db
@pytest.mark.parametrize("machine", [Interleavings, InterleavingsWithBackups])
def test_any_interleaving_leaves_a_true_ledger(engine, machine):
    ledger.bind()
    examples = settings(
        max_examples=60 if engine == "sqlite" else 25,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(machine, settings=examples)
