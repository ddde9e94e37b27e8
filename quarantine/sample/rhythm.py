"""When things happen: busy evenings, quiet nights, slow weekends, and now and then a wave of spam."""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

STEP = timedelta(minutes=15)
BY_HOUR = (5, 4, 3, 2, 2, 2, 3, 5, 8, 10, 11, 11, 12, 12, 12, 13, 14, 16, 18, 19, 18, 15, 11, 7)  # UTC
BY_WEEKDAY = (10, 10, 10, 10, 11, 8, 7)
OFFICE_HOURS = range(7, 18)


@dataclass(frozen=True, slots=True)
class Wave:
    start: datetime
    end: datetime
    factor: int  # how many times busier


def make_waves(rng: Random, *, start: datetime, end: datetime) -> list[Wave]:
    """One every week or so, and two today, so that there is something to show."""
    waves = [
        Wave(end - timedelta(hours=7), end - timedelta(hours=5, minutes=20), 12),
        Wave(end - timedelta(minutes=50), end, 8),
    ]
    moment = start + timedelta(days=rng.uniform(3, 8))
    while moment < end - timedelta(days=1):
        length = timedelta(minutes=rng.randrange(40, 200))
        waves.append(Wave(moment, moment + length, rng.randrange(8, 30)))
        moment += timedelta(days=rng.uniform(4, 13))
    return waves


def make_moments(rng: Random, count: int, *, start: datetime, end: datetime, waves: list[Wave]) -> Iterator[datetime]:
    """`count` moments in order, from `start` on, denser where more happens; the last is seconds before `end`."""
    steps = [start + STEP * step for step in range((end - start) // STEP)]
    totals = list(accumulate(busyness(moment, waves) for moment in steps))
    for number in range(count):
        share = (number + rng.random()) / count * totals[-1]
        step = min(bisect(totals, share), len(steps) - 1)
        below = totals[step - 1] if step else 0
        moment = steps[step] + STEP * min((share - below) / (totals[step] - below), 1)
        last = number == count - 1
        yield max(moment, end - timedelta(seconds=rng.uniform(3, 20))) if last else moment


def busyness(moment: datetime, waves: list[Wave]) -> int:
    calm = BY_HOUR[moment.hour] * BY_WEEKDAY[moment.weekday()]
    return calm * max((wave.factor for wave in waves if wave.start <= moment < wave.end), default=1)


def in_office_hours(moment: datetime) -> bool:
    return moment.hour in OFFICE_HOURS and moment.weekday() < 5


def from_ms(moment: int) -> datetime:
    return datetime.fromtimestamp(moment // 1000, UTC).replace(microsecond=moment % 1000 * 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch, as Synapse keeps its times."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000
