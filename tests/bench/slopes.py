"""Whether something grows over time, and how sure that is."""

from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import median

SURE = 1.96  # standard deviations: 95 %


@dataclass(frozen=True)
class Slope:
    """By so much a unit of time; from `low` to `high` with 95 % certainty."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def medians(times: list[float], values: list[float], *, every: float) -> tuple[list[float], list[float]]:
    """One for each whole stretch of time: neighbours in time are alike, and would count as more than they tell."""
    stretches: dict[int, list[tuple[float, float]]] = {}
    for time, value in zip(times, values, strict=True):
        stretches.setdefault(int((time - times[0]) / every), []).append((time, value))
    whole = list(stretches.values())[:-1]
    return [median(time for time, _ in each) for each in whole], [median(value for _, value in each) for each in whole]


def slope(times: list[float], values: list[float]) -> Slope:
    """Theil and Sen's: the median of all slopes between two points, its interval after Kendall. Needs three points.

    https://en.wikipedia.org/wiki/Theil%E2%80%93Sen_estimator
    """
    points = list(zip(times, values, strict=True))
    slopes = sorted((later - value) / (at - time) for (time, value), (at, later) in combinations(points, 2))
    count, pairs = len(points), len(slopes)
    width = SURE * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, round((pairs - width) / 2) - 1)
    return Slope(median(slopes), slopes[low], slopes[pairs - 1 - low])
