"""Folding entries over what the ledger holds, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from quarantine.entries import Entry
from quarantine.fold import Batch, LedgerError, take
from quarantine.models import Action, Cause, Intent, Ledger, MediaItem, Source, Staff, State, Verb
from quarantine.mxc import Mxc

NOW = datetime(2026, 11, 22, 14, 32, 41, 120_000, tzinfo=UTC)
MEDIA = Mxc("matrix.example", "abc")
REMOTE = Mxc("evil.example", "abc")
HASH, OTHER_HASH = "a" * 64, "b" * 64
TOKEN_USER = "@dashboard:matrix.example"


def a_batch(*items, intents=(), known=(), kind="sample", last_seen_at=None):
    ledger = Ledger(homeserver_name="matrix.example", homeserver_kind=kind, last_seen_at=last_seen_at)
    held = {item.mxc: item for item in items}
    return Batch(ledger=ledger, now=NOW, items=held, known_feed_ids=set(known), intents=list(intents))


def an_item(state=State.QUARANTINED, *, mxc=MEDIA, version=3, stream_id=7, **facts):
    return MediaItem(
        origin=mxc.origin, media_id=mxc.media_id, state=state, version=version, stream_id=stream_id, **facts
    )


def an_entry(quarantined=True, *, mxc=MEDIA, source=Source.FEED, **facts):
    return Entry(mxc=mxc, quarantined=quarantined, source=source, **facts)


def a_row(feed_id, quarantined=True, **facts):
    return an_entry(quarantined, feed_generation=1, feed_id=feed_id, **facts)


def an_intent(verb=Verb.QUARANTINE, *, mxc=MEDIA, sha256=None, feed_head=10, by="tom", generation=1):
    staff = Staff(pk=1, username=by)
    action = Action(pk=5, verb=verb, cause=Cause.HASH, reason="spam", staff=staff)
    return Intent(
        action=action,
        origin=mxc.origin,
        media_id=mxc.media_id,
        sha256=sha256,
        feed_generation=generation,
        feed_head=feed_head,
        matrix_user=TOKEN_USER,
    )


def fold(batch, *entries):
    for entry in entries:
        take(batch, entry)
    return batch


def counts(batch):
    return {"repeated": batch.repeated, "stale": batch.stale, "duplicate": batch.duplicate}


# --- What is recorded and what is not -----------------------------------------------------


@pytest.mark.parametrize("before", [None, State.RELEASED, State.DELETED])
def test_quarantine_is_a_change_of_what_was_not_quarantined(before):
    batch = fold(a_batch(*([an_item(before)] if before else [])), an_entry())

    [change] = batch.changes
    assert (change.quarantined, change.deleted, change.stream_id) == (True, False, 1)
    assert batch.items[MEDIA].state == State.QUARANTINED


@pytest.mark.parametrize("deleted", [False, True])
def test_only_quarantined_media_is_released_or_deleted(deleted):
    leaving = an_entry(quarantined=False, deleted=deleted)

    assert len(fold(a_batch(an_item(State.QUARANTINED)), leaving).changes) == 1
    for before in ([], [an_item(State.RELEASED)], [an_item(State.DELETED)]):
        batch = fold(a_batch(*before), leaving)
        assert (batch.changes, counts(batch)) == ([], {"repeated": 1, "stale": 0, "duplicate": 0})


def test_a_release_does_not_turn_deleted_media_into_released():
    batch = fold(a_batch(an_item(State.DELETED)), a_row(1, quarantined=False))

    assert batch.items[MEDIA].state == State.DELETED


def test_repeats_are_counted_not_recorded():
    batch = fold(a_batch(), an_entry(), an_entry(), an_entry(quarantined=False), an_entry(quarantined=False))

    assert [change.quarantined for change in batch.changes] == [True, False]
    assert batch.repeated == 2


def test_positions_and_counters_move_with_each_change():
    batch = fold(a_batch(), an_entry(), an_entry(mxc=REMOTE), an_entry(quarantined=False))

    assert [change.stream_id for change in batch.changes] == [1, 2, 3]
    assert [change.local for change in batch.changes] == [True, False, True]
    assert batch.ledger.head == 3
    assert (batch.ledger.quarantined_local, batch.ledger.quarantined_remote) == (0, 1)


def test_a_row_in_the_ledger_is_a_duplicate_whatever_it_says():
    batch = fold(a_batch(known=[(1, 4)]), a_row(4), a_row(5), a_row(5))

    assert [change.feed_id for change in batch.changes] == [5]
    assert counts(batch) == {"repeated": 0, "stale": 0, "duplicate": 2}


def test_a_row_of_another_generation_is_another_row():
    batch = fold(a_batch(known=[(2, 4)]), a_row(4))

    assert [(change.feed_generation, change.feed_id) for change in batch.changes] == [(1, 4)]


# --- Old looks ----------------------------------------------------------------------------


@pytest.mark.parametrize(("expected", "stale"), [(2, 1), (3, 0), (4, 1), (0, 1)])
def test_a_look_counts_only_while_the_media_has_not_moved(expected, stale):
    batch = fold(a_batch(an_item(version=3)), an_entry(quarantined=False, source=Source.AUDIT, expected=expected))

    assert (len(batch.changes), batch.stale) == (1 - stale, stale)


def test_a_look_at_unknown_media_expects_nothing_to_be_known():
    batch = fold(a_batch(), an_entry(expected=0, source=Source.AUDIT))

    assert len(batch.changes) == 1


@pytest.mark.parametrize("quarantined", [True, False])
def test_a_repeating_row_makes_earlier_looks_stale(quarantined):
    state = State.QUARANTINED if quarantined else State.RELEASED
    batch = a_batch(an_item(state, version=3, stream_id=7))

    fold(batch, a_row(1, quarantined), an_entry(not quarantined, source=Source.AUDIT, expected=3))

    assert (batch.changes, batch.stale) == ([], 1)
    item = batch.items[MEDIA]
    assert (item.version, item.stream_id, item.state) == (4, 7, state)


def test_a_release_of_unknown_media_makes_earlier_looks_stale():
    batch = a_batch()

    fold(batch, a_row(1, quarantined=False), an_entry(source=Source.AUDIT, expected=0))

    assert (batch.changes, batch.stale) == ([], 1)
    item = batch.items[MEDIA]
    assert (item.version, item.stream_id, item.state) == (1, 0, State.RELEASED)


def test_a_repeating_look_moves_nothing():
    batch = fold(a_batch(an_item(version=3)), an_entry(source=Source.AUDIT, expected=3))

    assert batch.touched == set()
    assert batch.items[MEDIA].version == 3


# --- When ---------------------------------------------------------------------------------


def test_time_never_goes_backwards_whoever_says_it():
    later = NOW + timedelta(hours=1)

    batch = fold(a_batch(), an_entry(seen_at=later), an_entry(False), an_entry(seen_at=NOW), an_entry(False))

    assert [change.seen_at for change in batch.changes] == [later] * 4


def test_the_clock_may_jump_back():
    later = NOW + timedelta(hours=1)

    [change] = fold(a_batch(last_seen_at=later), an_entry()).changes

    assert change.seen_at == later


def test_history_keeps_milliseconds_as_everything_does():
    history = NOW.replace(microsecond=120_999) - timedelta(days=3)

    [change] = fold(a_batch(), an_entry(seen_at=history)).changes

    assert change.seen_at == NOW - timedelta(days=3)


def test_only_the_samples_history_says_when_it_was_seen():
    with pytest.raises(LedgerError, match="Only the sample"):
        fold(a_batch(kind="synapse"), an_entry(seen_at=NOW))


@pytest.mark.parametrize(("hours", "kept"), [(-1, -1), (0, 0), (1, 0)])
def test_it_cannot_have_happened_after_it_was_seen(hours, kept):
    [change] = fold(a_batch(), an_entry(not_before=NOW + timedelta(hours=hours))).changes

    assert change.not_before == NOW + timedelta(hours=kept)


# --- What is remembered of the media ------------------------------------------------------


def test_what_the_ledger_knew_is_not_forgotten():
    known = an_item(sha256=HASH, uploader="@mallory:matrix.example")

    batch = fold(a_batch(known), an_entry(quarantined=False, deleted=True))

    [change] = batch.changes
    assert (change.sha256, change.uploader) == (HASH, "@mallory:matrix.example")
    assert batch.items[MEDIA].sha256 == HASH


def test_what_is_known_now_replaces_it():
    batch = fold(a_batch(an_item(sha256=HASH)), an_entry(quarantined=False, sha256=OTHER_HASH))

    assert (batch.changes[0].sha256, batch.items[MEDIA].sha256) == (OTHER_HASH, OTHER_HASH)


# --- Whose doing --------------------------------------------------------------------------


def test_a_row_that_fulfils_an_intent_is_the_actions():
    row = a_row(11, changed_by=TOKEN_USER, quarantined_by=TOKEN_USER)

    [change] = fold(a_batch(intents=[an_intent()]), row).changes

    assert (change.source, change.changed_by, change.cause) == (Source.ACTION, "tom", Cause.HASH)
    assert change.action_id == 5


def test_a_release_has_no_actor_to_compare():
    intent = an_intent(Verb.RELEASE)

    [change] = fold(a_batch(an_item(), intents=[intent]), a_row(11, quarantined=False)).changes

    assert (change.source, change.changed_by, change.action_id) == (Source.ACTION, "tom", 5)


@pytest.mark.parametrize("verb", [Verb.QUARANTINE, Verb.RELEASE])
def test_copies_of_the_same_file_follow_by_hash(verb):
    quarantined = verb == Verb.QUARANTINE
    items = [] if quarantined else [an_item(mxc=REMOTE)]
    copy = a_row(11, quarantined, mxc=REMOTE, sha256=HASH, quarantined_by=TOKEN_USER if quarantined else "")

    [change] = fold(a_batch(*items, intents=[an_intent(verb, sha256=HASH)]), copy).changes

    assert change.action_id == 5


OURS = {"quarantined_by": TOKEN_USER, "sha256": HASH}


@pytest.mark.parametrize(
    ("intent", "row"),
    [
        pytest.param({}, a_row(11, quarantined_by="@other:matrix.example"), id="another actor"),
        pytest.param({}, a_row(11), id="actor not known"),
        pytest.param({}, a_row(10, **OURS), id="at the feed head"),
        pytest.param({}, a_row(9, **OURS), id="below the feed head"),
        pytest.param({}, a_row(11, mxc=REMOTE, **OURS), id="other media"),
        pytest.param({"sha256": OTHER_HASH}, a_row(11, mxc=REMOTE, **OURS), id="other media, other hash"),
        pytest.param({}, a_row(11, mxc=REMOTE, quarantined_by=TOKEN_USER), id="other media, no hash on either"),
        pytest.param({"verb": Verb.RELEASE}, a_row(11, **OURS), id="the opposite verb"),
        pytest.param({"verb": Verb.PROTECT}, a_row(11, **OURS), id="another verb"),
        pytest.param({"generation": 2}, a_row(11, **OURS), id="another generation"),
        pytest.param({}, an_entry(source=Source.AUDIT, **OURS), id="found by a look"),
    ],
)
def test_what_others_did_is_not_the_actions(intent, row):
    [change] = fold(a_batch(intents=[an_intent(**intent)]), row).changes

    assert (change.source, change.changed_by, change.action_id) == (row.source, row.changed_by, None)


def test_a_deletion_is_nobodys_release():
    row = a_row(11, quarantined=False, deleted=True)

    [change] = fold(a_batch(an_item(), intents=[an_intent(Verb.RELEASE)]), row).changes

    assert change.action_id is None


def test_an_action_may_name_itself():
    [change] = fold(a_batch(), an_entry(action_id=9, source=Source.ACTION, changed_by="tom")).changes

    assert (change.action_id, change.source, change.changed_by) == (9, Source.ACTION, "tom")
