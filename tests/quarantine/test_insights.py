"""What the insights count is what a reader of every change would: over any range, however much of it was added up."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.apps import apps
from django.core.management import call_command

from quarantine.counting import completion, insights, rollup
from quarantine.counting.recounting import Missing, recount
from quarantine.counting.tallies import KEYED, KINDS, WATCHED, step
from quarantine.models import Change, RolledUp, Source, State, Tally
from tests.factories import make_action, make_change, make_ledger
from tests.quarantine.crew import running_crew

SMALL = (4, 16, 64)
BEGAN = datetime(2026, 1, 30, 22, tzinfo=UTC)
ORIGINS = ["matrix.example", "a.example", "b.example"]


@pytest.fixture
def _small_blocks(monkeypatch):
    """Every size and every cut is met by a few hundred changes."""
    for module in (rollup, insights):
        monkeypatch.setattr(module, "SIZES", SMALL)
    monkeypatch.setattr(rollup, "KEPT", 3)
    monkeypatch.setattr(rollup, "HOURS", 6)
    monkeypatch.setattr(insights, "LIVE_KEPT", 5)
    monkeypatch.setattr(completion, "SIZES", SMALL)


def make_story(length, *, seed):
    """Changes of a few media, seen over weeks, by all means."""
    chance, moment, held = Random(seed), BEGAN, set()
    actions = [make_action(category=category) for category in ("spam", "other", "")]
    for _ in range(length):
        moment += timedelta(seconds=chance.choice([1, 60, 5_000, 40_000]))
        media = chance.randrange(length // 3)
        found = media not in held and chance.random() < 0.3
        action = None if found else chance.choice([None, None, *actions])
        make_change(
            seen_at=moment,
            not_before=None if found else moment - timedelta(seconds=chance.choice([1, 1, 10_000])),
            state=chance.choice([State.RELEASED, State.DELETED]) if media in held else State.QUARANTINED,
            media_id=f"media{media}",
            origin=ORIGINS[media % 3],
            source=Source.BACKFILL if found else Source.ACTION if action else Source.FEED,
            action=action,
            changed_by=chance.choice(["", "system", "mod"]),
            uploader=f"@user{int(chance.expovariate(0.2))}:matrix.example" if chance.random() < 0.8 else "",
            sha256=f"{int(chance.expovariate(0.1)):064x}" if chance.random() < 0.9 else None,
            cause=chance.choice(["item", "hash", "unknown"]),
        )
        held ^= {media}


def expected(changes, kind):
    """The same, by reading every change."""
    return Counter(key for change in changes for key in keys(change, kind))


def keys(change, kind):
    when = f"{change.seen_at:%Y-%m-%d %H}"
    what = "|".join((change.state, change.source, change.cause, "local" if change.local else "remote"))
    if kind in {"hour", "day"}:
        return [f"{when if kind == 'hour' else when[:10]}|{what}"]
    if kind == "week":
        return [f"{change.seen_at.isoweekday()} {when[11:]}"]
    if kind == "held":
        return time_held(change)
    value = {"actor": change.changed_by, "reason": change.action.category if change.action else ""}
    value |= {"origin": change.origin, "uploader": change.uploader, "sha256": change.sha256}
    return [value[kind] or ""] if change.quarantined or kind in {"actor", "reason"} else []


def time_held(change):
    if change.state != State.RELEASED:
        return []
    same = Change.objects.filter(origin=change.origin, media_id=change.media_id, pk__lt=change.pk)
    start = same.order_by("pk").last()
    both = [change, start]
    watched = all(one.not_before and one.seen_at - one.not_before <= WATCHED for one in both)
    return [step(change.seen_at - start.seen_at)] if watched and start.source != Source.BACKFILL else []


def assert_true(low, high, *, backfill):
    changes = [
        change
        for change in Change.objects.select_related("action").order_by("pk")
        if low <= change.pk < high and (backfill or change.source != Source.BACKFILL)
    ]
    for kinds in (insights.LONG_KINDS, insights.SHORT_KINDS):
        found = insights.measure(low, high, backfill=backfill, kinds=kinds)
        assert found.left_out == 0
        for kind in kinds:
            if kind in KEYED:
                assert_top(found.top(kind, 3), expected(changes, kind))
            else:
                assert found.sums(kind) == expected(changes, kind), (low, high, kind)


def assert_top(top, all_keys):
    """Every number is exact; the keys are those with most, or it is said that they may not be."""
    unknown = all_keys.pop("", 0)
    assert top.unknown == unknown
    assert dict(top.rows) == {key: all_keys[key] for key, _ in top.rows}
    assert top.total == all_keys.total()
    missed = max((number for key, number in all_keys.items() if key not in dict(top.rows)), default=0)
    assert top.unseen >= missed
    if top.certain:
        assert [number for _, number in top.rows] == [number for _, number in all_keys.most_common(3)]
    if top.other_keys is not None:
        assert top.other_keys == len(all_keys) - len(top.rows)


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_sums_are_what_every_change_says():
    make_story(140, seed=2)
    chance = Random(2)
    ranges = [sorted(chance.choices(range(1, 142), k=2)) for _ in range(3)]

    assert_true(1, 141, backfill=True)  # nothing is added up yet
    rollup.roll_up(stop=iter([False] * 20 + [True]).__next__)
    assert_true(1, 141, backfill=True)  # a part of it
    rollup.roll_up()
    assert dict(RolledUp.objects.values_list("size", "end")) == {4: 140, 16: 128, 64: 128}
    for low, high in [(1, 141), (64, 128), *ranges]:
        assert_true(low, high, backfill=low % 2 == 0)


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_a_block_is_stored_once():
    make_story(60, seed=3)
    block = rollup.next_block(60)
    tallies = list(rollup.summaries(*block))
    rollup.roll_up()
    before = list(Tally.objects.order_by("pk").values())

    assert not rollup.store(*block, tallies, redactions=None)
    rollup.roll_up()

    assert list(Tally.objects.order_by("pk").values()) == before


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_a_period_is_exact_to_the_moment():
    make_story(60, seed=4)
    rollup.roll_up()
    rows = list(Change.objects.order_by("pk"))
    after, before = rows[10].seen_at, rows[41].seen_at

    found = insights.period(after, before, backfill=True, kinds=["day"])

    assert found.sums("day") == expected([row for row in rows if after <= row.seen_at < before], "day")
    nothing = insights.period(rows[-1].seen_at + timedelta(days=1), None, backfill=True, kinds=["day"])
    assert not nothing.sums("day")


@pytest.mark.django_db
def test_left_out_keys_are_counted_where_they_are_missing():
    for place in range(6):
        make_change(origin="a.example", source=Source.BACKFILL if place == 2 else Source.FEED, sha256=None)
    make_change(origin="b.example")
    make_change(origin="a.example", state=State.RELEASED)

    def counted(kind, *missing):
        return recount(kind, [Missing(key=key, low=low, high=high, backfill=of) for key, low, high, of in missing])

    a, b = "a.example", "b.example"
    assert counted("origin", (a, 2, 5, False), (a, 5, 6, False), (b, 1, 7, False)) == Counter({a: 3})
    assert counted("origin", (a, 1, 9, True), (b, 1, 9, False), (b, 1, 9, True)) == Counter({a: 1, b: 1})
    assert counted("sha256", ("", 2, 5, False), ("00" * 32, 1, 9, False)) == Counter({"": 2})


def test_neighbouring_blocks_are_one_range():
    assert list(insights.joined([(0, 4), (4, 8), (12, 16), (16, 80)])) == [(0, 8), (12, 80)]
    assert list(insights.joined([])) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_larger_blocks_keep_few_hours():
    for place in range(1, 128):  # in four hours; then each in another
        make_change(seen_at=BEGAN + timedelta(minutes=2 * place if place < 64 else 60 * place))

    rollup.roll_up()

    larger = Tally.objects.filter(kind="hour", size__gt=4)
    assert sorted(larger.values_list("size", "start")) == [(16, 0), (16, 16), (16, 32), (16, 48), (64, 0)]
    found = insights.measure(1, 128, backfill=True, kinds=insights.SHORT_KINDS)
    read = [part for part in found.parts["hour"] if part.counts]
    assert len(read) == 1 + 64 // 4  # the large block, and instead of the other one the smallest
    assert found.sums("hour") == expected(Change.objects.all(), "hour")


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_blocks_of_earlier_versions_are_completed():
    make_story(140, seed=9)
    rollup.roll_up()
    whole = list(Tally.objects.order_by("pk").values())
    Tally.objects.filter(kind="hour", size__gt=4).delete()
    for tally in Tally.objects.filter(kind="sha256", floor__gt=0):
        tally.counts.pop("")
        tally.save()
    assert_true(1, 141, backfill=True)

    completion.complete(apps)

    assert list(Tally.objects.order_by("pk").values()) == whole
    assert Tally.objects.filter(kind="sha256", floor__gt=0).values_list("counts", flat=True)[0].keys() > {""}


@pytest.mark.django_db
def test_what_is_not_added_up_yet_is_said(monkeypatch):
    make_story(60, seed=5)
    monkeypatch.setattr(insights, "LIVE_MOST", 12)

    found = insights.measure(1, 61, backfill=True, kinds=["day"])

    assert found.left_out == 60 - 12
    assert found.sums("day") == expected(Change.objects.filter(pk__lte=12), "day")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_small_blocks")
def test_killed_and_racing_adders_count_everything_once(process_env):
    make_ledger(homeserver_name="matrix.example")
    with running_crew(process_env()) as crew:
        for number, moment in enumerate((0.05, 0.15, 0.02)):
            first, second = (crew.start("add_up", sizes=SMALL, kept=3, slow=moment) for _ in range(2))
            crew.start("write", number=number, batches=6).tell("go")  # so that there is always something to add up
            assert first.hear() == "adding"
            assert second.hear() == "adding"
            first.kill()
            second.kill()

    rollup.roll_up()
    head = Change.objects.count()
    assert RolledUp.objects.get(size=4).end == (head + 1) // 4 * 4
    assert_true(1, head + 1, backfill=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_small_blocks")
def test_the_follower_adds_up_beside_following():
    make_story(30, seed=6)
    adder = rollup.RollUp(threading.Event())

    adder.tick()
    adder.thread.join()

    assert ends() == {4: 28, 16: 16}
    make_story(30, seed=7)
    adder.tick()  # too soon
    assert not adder.thread.is_alive()
    assert ends() == {4: 28, 16: 16}


@pytest.mark.django_db
@pytest.mark.usefixtures("_small_blocks")
def test_prepare_adds_up_what_earlier_versions_left(capfd):
    make_story(30, seed=8)

    call_command("prepare")

    assert ends() == {4: 28, 16: 16}
    assert "Adding up for the insights" in capfd.readouterr().err


def ends():
    return dict(RolledUp.objects.exclude(end=0).values_list("size", "end"))


def test_every_kind_is_checked():
    assert {*insights.LONG_KINDS, *insights.SHORT_KINDS} == set(KINDS)
