"""What the soak says of memory over time."""

from itertools import cycle, islice

import pytest

from tests.bench.slopes import medians, slope

MINUTES = [number / 2 for number in range(18)]
NOISE = list(islice(cycle([0.0, 3.0, -2.0, 1.0, -3.0]), len(MINUTES)))  # MB


def test_what_grows_evenly_grows_by_that_and_for_sure():
    grown = slope(MINUTES, [200 + 2.5 * minute for minute in MINUTES])

    assert (grown.value, grown.low, grown.high) == pytest.approx((2.5, 2.5, 2.5))


def test_one_peak_is_no_growth():
    grown = slope(MINUTES, [200.0] * 17 + [500.0])

    assert (grown.value, grown.low, grown.high) == (0, 0, 0)


def test_what_only_goes_up_and_down_can_not_be_told_from_none():
    grown = slope(MINUTES, [200 + noise for noise in NOISE])

    assert grown.low < 0 < grown.high


def test_growth_beyond_the_noise_is_told_from_none():
    grown = slope(MINUTES, [200 + 2 * minute + noise for minute, noise in zip(MINUTES, NOISE, strict=True)])

    assert 0 < grown.low < 2 < grown.high


def test_the_interval_is_kendalls():
    """By hand: of 18 points 153 pairs; 1.96 deviations of their sum, which is sqrt(18 * 17 * 41 / 18), are 51.75."""
    values = [float(number) ** 2 for number in range(18)]

    grown = slope([float(number) for number in range(18)], values)

    slopes = sorted(float(one + other) for one in range(18) for other in range(one))
    assert (grown.low, grown.high) == (slopes[50], slopes[102])


def test_a_median_is_of_a_whole_stretch():
    minutes, values = medians([0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 1.0], [1.0, 9.0, 2.0, 3.0, 4.0, 5.0, 99.0], every=0.5)

    assert (minutes, values) == ([0.1, 0.6], [2.0, 4.0])
