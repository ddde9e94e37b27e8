"""The last 24 hours at a glance: how many changes each had, as bars the size of a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.utils.translation import get_language, gettext

from dashboard.serving.memory import Memory
from dashboard.wording.text import whole
from quarantine.counting.summaries import Standing, hourly, last_hours

WIDTH, HEIGHT, GAP = 104, 18, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    over: str  # outline of the hours that are over
    going_on: str  # and of the one that is not
    most: int
    words: str


SPARKS = Memory[Spark | None](size=10)


def spark(stands: Standing) -> Spark | None:
    """None where none of these hours had any. The same until the ledger holds more, or the hour is over."""
    hour = stands.now.replace(minute=0, second=0, microsecond=0)
    return SPARKS.recall(
        (stands.edition, hour, get_language()), partial(drawn, stands), worth_keeping=lambda _: bool(stands.edition)
    )


def drawn(stands: Standing) -> Spark | None:
    numbers = hourly(stands.now, head=stands.head)
    if not any(numbers):
        return None
    most = max(numbers)
    return Spark(
        over="".join(bars(numbers[:-1], most=most, of=len(numbers))),
        going_on="".join(bars([*[0] * (len(numbers) - 1), numbers[-1]], most=most, of=len(numbers))),
        most=most,
        words=in_words(last_hours(stands.now), numbers),
    )


def bars(numbers: Sequence[int], *, most: int, of: int) -> list[str]:
    """An hour without changes has no bar, one with few of them is seen."""
    pitch = WIDTH / of
    heights = [max(HEIGHT * number / most, 1.5) if number else 0 for number in numbers]
    return [
        f"M{pitch * place:.1f} {HEIGHT}v-{height:.1f}h{pitch - GAP:.1f}v{height:.1f}z"
        for place, height in enumerate(heights)
        if height
    ]


def in_words(hours: Sequence[datetime], numbers: Sequence[int]) -> str:
    most = max(numbers)
    said = gettext(
        "Changes per hour, the last 24 hours: at most {number}, from {hour}:00 UTC; {now} in the hour under way. To the insights."
    )
    busiest = hours[max(range(len(hours)), key=numbers.__getitem__)]
    return said.format(number=whole(most), hour=f"{busiest:%H}", now=whole(numbers[-1]))
