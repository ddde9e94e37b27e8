"""When a change happened, in words that claim no more than is known. All in UTC."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from django.utils.dateformat import format as date_format
from django.utils.translation import get_language, gettext

from quarantine.models import Change

EXACT = timedelta(seconds=2)
MINUTE = timedelta(minutes=2)
TO = " \N{EN DASH} "


@dataclass(frozen=True, slots=True)
class When:
    """Two short lines for a row and a full sentence.

    `moment` is set when the time is known well enough to count from ("4 min ago").
    """

    first: str
    second: str
    sentence: str
    moment: datetime | None = None
    since: datetime | None = None  # where `second` is a range: its beginning


def when(change: Change) -> When:
    """The time of a change is an interval: it happened after `not_before`, and was seen at `seen_at`."""
    seen, since = change.seen_at, change.not_before
    if since is None:
        return When(
            gettext("before"), day(seen), gettext("before {time}; how long before is not known").format(time=full(seen))
        )
    since = min(since, seen)
    if seen - since <= EXACT:
        return When(f"{seen:%H:%M:%S}", day(seen), full(seen), moment=seen)
    between = gettext("between {start} and {end}").format(start=full(since), end=full(seen))
    if seen - since <= MINUTE:
        return When(f"{seen:%H:%M}", day(seen), between, moment=seen)
    return When(gettext("between"), short_range(since, seen), between, since=since)


def day(moment: datetime) -> str:
    return day_of(moment.date(), get_language())


@lru_cache(maxsize=1_000)
def day_of(on: date, language: str | None) -> str:
    """Kept, for the rows of a page are of a few days."""
    return date_format(on, gettext("j M Y"))


def day_and_month(moment: datetime) -> str:
    return date_format(moment, gettext("j M"))


def full(moment: datetime) -> str:
    return f"{day(moment)}, {moment:%H:%M:%S} UTC"


def short(moment: datetime) -> str:
    """Day and minute: "3 Mar 2026, 14:02"."""
    return f"{day(moment)}, {moment:%H:%M}"


def short_range(start: datetime, end: datetime) -> str:
    """As few words as tell the two apart."""
    if start.date() == end.date():
        return f"{start:%H:%M}{TO}{end:%H:%M}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{date_format(start, gettext('j'))}{TO}{day(end)}"
    if start.year == end.year:
        return f"{day_and_month(start)}{TO}{day_and_month(end)}"
    return f"{date_format(start, 'M Y')}{TO}{date_format(end, 'M Y')}"


def iso(moment: datetime) -> str:
    """As a `datetime` attribute takes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def from_ms(milliseconds: int | None) -> str:
    """A time as Synapse keeps it, in full; empty for none, or for a number that is no time."""
    try:
        return full(datetime.fromtimestamp(milliseconds / 1000, UTC)) if milliseconds else ""
    except (OverflowError, ValueError, OSError):
        return ""


def duration(seconds: float) -> str:
    """Roughly how long: the two largest units at most."""
    whole = int(seconds)
    if whole < 60:
        return gettext("{seconds} s").format(seconds=whole)
    minutes, hours = whole // 60 % 60, whole // 3600
    said = gettext("{hours} h {minutes} min") if hours else gettext("{minutes} min")
    return said.format(hours=hours, minutes=minutes)
