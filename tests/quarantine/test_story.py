"""The story the sample tells: the same for the same seed."""

from datetime import UTC, datetime, timedelta
from random import Random

from quarantine.sample.rhythm import from_ms, make_moments, make_waves, to_ms
from quarantine.sample.story import Story

END = datetime(2026, 11, 22, 14, 32, 41, tzinfo=UTC)
START = END - timedelta(days=90)


def test_the_same_seed_tells_the_same_story():
    stories = [Story(changes=400, media=300, seed=3, staff=["a", "b"], home="matrix.example", end=END) for _ in "12"]

    first, second = [list(story.tell()) for story in stories]

    assert first == second
    assert stories[0].stage.items == stories[1].stage.items


def test_another_seed_tells_another():
    stories = [Story(changes=50, media=50, seed=seed, staff=["a"], home="matrix.example", end=END) for seed in (1, 2)]

    first, second = ({item.media_id for one in story.tell() for item in one.items} for story in stories)

    assert first
    assert first.isdisjoint(second)


def test_moments_are_in_order_and_end_now():
    waves = make_waves(Random(2), start=START, end=END)

    moments = list(make_moments(Random(1), 500, start=START, end=END, waves=waves))

    assert moments == sorted(moments)
    assert moments[0] >= START
    assert END - timedelta(seconds=20) <= moments[-1] <= END


def test_a_wave_is_busier_than_the_day_before():
    [wave, *_] = waves = make_waves(Random(2), start=START, end=END)

    moments = list(make_moments(Random(1), 5_000, start=START, end=END, waves=waves))

    day = timedelta(days=1)
    during = sum(wave.start <= moment < wave.end for moment in moments)
    before = sum(wave.start - day <= moment < wave.end - day for moment in moments)
    assert during > 4 * before


def test_milliseconds_survive_both_ways():
    moment = datetime(2026, 11, 22, 14, 32, 41, 999_000, tzinfo=UTC)

    assert from_ms(to_ms(moment)) == moment
