"""The period that the insights are about, as the query string names it, and its parts."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext, gettext_lazy

from dashboard.search.filters import MOST_COMPLAINTS, moment_text
from dashboard.wording import times
from dashboard.wording.terms import MomentField, SingleField, quoted, read_choice

DAY = timedelta(days=1)
HOURS_UP_TO, DAYS_UP_TO, WEEKS_UP_TO, MONTHS_UP_TO = DAY * 3, DAY * 100, DAY * 1_100, DAY * 5_500
PRESETS = {
    "24h": gettext_lazy("24 h"),
    "7d": gettext_lazy("7 d"),
    "30d": gettext_lazy("30 d"),
    "90d": gettext_lazy("90 d"),
    "12mo": gettext_lazy("12 mo"),
    "all": gettext_lazy("All"),
}
DAYS = {"7d": 7, "30d": 30, "90d": 90, "12mo": 365}
SWITCH = ("on", "off")


class PickField(SingleField):
    """One of a few words."""

    def __init__(self, *, choices: Collection[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.choices = choices

    def read(self, text: str) -> str:
        return read_choice(choices=self.choices)(text)


class PeriodForm(forms.Form):
    range = PickField(choices=PRESETS, required=False)
    after = MomentField(required=False)
    before = MomentField(required=False)
    backfill = PickField(choices=SWITCH, required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in sorted(set(self.data) - set(self.fields))[:MOST_COMPLAINTS]:
            self.add_error(None, gettext("There is no parameter {name}.").format(name=quoted(name)))
        after, before = cleaned.get("after"), cleaned.get("before")
        if after and before and after >= before:
            self.add_error(None, gettext("“after” must be earlier than “before”."))
        if cleaned.get("range") and (after or before):
            self.add_error(None, gettext("Give either a range or dates, not both."))
        return cleaned

    @property
    def problems(self) -> list[str]:
        return [
            str(text) if name == NON_FIELD_ERRORS else f"{name}: {text}"
            for name, texts in self.errors.items()
            for text in texts
        ]

    def period(self, *, now: datetime) -> "Period":
        """The period asked for; the last 30 days where nothing is said. Only for a valid form."""
        given = self.cleaned_data
        after, before, preset = given["after"], given["before"], given["range"] or ""
        if not (after or before):
            preset = preset or "30d"
            after = start_of(preset, now)
        return Period(after=after, before=before, now=now, preset=preset, backfill=given["backfill"] != "off")


def start_of(preset: str, now: datetime) -> datetime | None:
    """Whole hours and days, up to and with the one that is under way."""
    if preset == "all":
        return None
    if preset == "24h":
        return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    return midnight(now) - DAY * (DAYS[preset] - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One column of the chart."""

    start: datetime
    end: datetime  # exclusive
    label: str
    name: str  # in full


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    after: datetime | None  # inclusive; None: from the beginning
    before: datetime | None  # exclusive; None: until now
    now: datetime
    preset: str
    backfill: bool  # whether changes of that source count

    @property
    def end(self) -> datetime:
        return min(self.before, self.now) if self.before else self.now

    @property
    def previous(self) -> tuple[datetime, datetime] | None:
        """As much time before it; None where there is no telling how much that is."""
        if self.after is None or self.after >= self.end:
            return None
        try:
            return self.after - (self.end - self.after), self.after
        except OverflowError:  # before the year 1
            return None

    @property
    def words(self) -> str:
        if self.after is None:
            return gettext("Until {time}").format(time=short(self.end)) if self.before else gettext("All there is")
        until = short(self.before) if self.before else gettext("now")
        return f"{short(self.after)}{times.TO}{until}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """As filters of the timeline."""
        return moments(self.after, self.before) + ([] if self.backfill else [("source", "-backfill")])

    def query(self, *, backfill: bool) -> list[tuple[str, str]]:
        """This page with the switch set so."""
        chosen = [("range", self.preset)] if self.preset else moments(self.after, self.before)
        return chosen + ([] if backfill else [("backfill", "off")])

    def grain(self, first: datetime) -> str:
        """Hours, days, weeks, months or years: as many columns as can be told apart."""
        length = self.end - (self.after or first)
        for most, grain in ((HOURS_UP_TO, "hour"), (DAYS_UP_TO, "day"), (WEEKS_UP_TO, "week"), (MONTHS_UP_TO, "month")):
            if length <= most:
                return grain
        return "year"

    def buckets(self, grain: str, first: datetime) -> Iterator[Bucket]:
        """Every one, also where nothing happened; not long before the first change."""
        begin = max(self.after, min(first, self.end - DAY * 365)) if self.after else first
        start = floor(grain, begin)
        while start < self.end:
            end = after(grain, start)
            label, name = named(grain, start)
            yield Bucket(start=start, end=end, label=label, name=name)
            start = end


def short(moment: datetime) -> str:
    """A day, with its time unless that is midnight."""
    return times.day(moment) if moment.time() == time.min else times.short(moment)


def moments(after: datetime | None, before: datetime | None) -> list[tuple[str, str]]:
    return [(name, moment_text(moment)) for name, moment in (("after", after), ("before", before)) if moment]


def midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time.min, UTC)


def floor(grain: str, moment: datetime) -> datetime:
    """When the hour, day, week (Monday), month or year of this moment began."""
    day = midnight(moment)
    match grain:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return day - DAY * day.weekday()
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def after(grain: str, start: datetime) -> datetime:
    """When the next one begins."""
    match grain:
        case "hour":
            return start + timedelta(hours=1)
        case "day":
            return start + DAY
        case "week":
            return start + DAY * 7
        case "month":
            return floor("month", start + DAY * 31)
    return floor("year", start + DAY * 366)


def named(grain: str, start: datetime) -> tuple[str, str]:
    """A short label and a name in full."""
    match grain:
        case "hour":
            name = gettext("{day}, {hour}:00 to {hour}:59 UTC").format(day=times.day(start), hour=f"{start:%H}")
            return f"{start:%H:%M}", name
        case "day":
            return times.day_and_month(start), f"{date_format(start, 'l')} {times.day(start)}"
        case "week":
            return times.day_and_month(start), gettext("Week from {day}").format(day=times.day(start))
        case "month":
            return date_format(start, "M Y"), date_format(start, "F Y")
    return f"{start:%Y}", f"{start:%Y}"
