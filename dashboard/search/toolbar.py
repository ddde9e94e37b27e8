"""The filter form as people see it: menus of choices, and whatever else the address asks for.

It is made from the query string as it was written, so that a mistake stays on screen to be mended
and nothing that the form has no place for is lost when it is sent again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from dashboard.search.counts import FACETS, choice_slug, known_values
from dashboard.search.filters import MOMENTS, ChangeFilter, query_string
from quarantine.models import State


@dataclass(frozen=True, slots=True)
class Option:
    """A checkbox."""

    name: str
    value: str
    label: str
    checked: bool = False
    icon: str = ""
    known: bool = True  # offered always, not only while it is asked for

    @property
    def slug(self) -> str:
        return choice_slug(self.name, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The choices of one filter, and a place to type another value where any is possible."""

    name: str
    label: str
    options: list[Option]
    placeholder: str = ""

    @property
    def number(self) -> int:
        return sum(option.checked for option in self.options)

    @property
    def known(self) -> list[Option]:
        return [option for option in self.options if option.known]

    @property
    def others(self) -> list[Option]:
        return [option for option in self.options if not option.known]

    @property
    def counted(self) -> bool:
        """Whether there are numbers to be had."""
        return self.name in FACETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    slug: str
    label: str
    groups: list[Group] = field(default_factory=list)
    moments: dict[str, str] = field(default_factory=dict)

    @property
    def open_ended(self) -> bool:
        """Whether values can be typed."""
        return any(group.placeholder for group in self.groups)

    @property
    def number(self) -> int:
        """How many of its filters are active."""
        return sum(group.number for group in self.groups) + sum(map(bool, self.moments.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbar:
    search: str  # what the search box holds
    kept: list[Option]  # sent along unseen
    menus: list[Menu]
    recent: list[tuple[str, str, bool]]  # "Last 24 hours", the query string for it, whether it is the present one
    html: SafeString = field(default_factory=SafeString)  # of the menus

    @property
    def number(self) -> int:
        return sum(menu.number for menu in self.menus)


def toolbar(filters: ChangeFilter, *, username: str, now: datetime) -> Toolbar:
    given = Given(filters, username)
    searches = given.of("q")
    return Toolbar(
        search=searches[0] if searches else "",
        kept=[Option("q", more, more) for more in searches[1:]]
        + [Option(name, value, value) for name in ("limit", "fold") for value in given.of(name)],
        menus=[
            Menu(slug="state", label=gettext("State"), groups=[given.choices("state", icons=State.values)]),
            Menu(slug="scope", label=gettext("Scope"), groups=[given.choices("scope", icons=["home", "globe"])]),
            Menu(
                slug="origin", label=gettext("Origin"), groups=[given.choices("origin", placeholder="matrix.example")]
            ),
            Menu(
                slug="by", label=gettext("Changed by"), groups=[given.choices("by", placeholder="@user:matrix.example")]
            ),
            Menu(slug="cause", label=gettext("Cause"), groups=[given.choices("cause")]),
            Menu(slug="type", label=gettext("Type"), groups=[given.choices("type", placeholder="image/png")]),
            Menu(slug="date", label=gettext("Date"), moments={name: given.moment(name) for name in MOMENTS}),
            Menu(slug="more", label=gettext("More filters"), groups=given.rest()),
        ],
        recent=list(recent(filters, now=now)),
    )


@dataclass(frozen=True, slots=True)
class Given:
    """The query string, as written."""

    filters: ChangeFilter
    username: str

    def of(self, name: str) -> list[str]:
        return [value.strip() for value in self.filters.data.getlist(name) if value.strip()]

    def choices(self, name: str, *, icons: Sequence[str] = (), placeholder: str = "") -> Group:
        """The known values, checked where they are asked for, then those asked for that are none of them."""
        given, labels = self.of(name), known_values(name, self.username)
        marks = dict(zip(labels, icons, strict=False))
        options = [
            Option(name, value, str(label), value in given, marks.get(value, "")) for value, label in labels.items()
        ]
        options += [
            Option(name, value, self.label(value, labels), checked=True, known=False)
            for value in given
            if value not in labels
        ]
        return Group(name=name, label=str(self.filters.filters[name].label), options=options, placeholder=placeholder)

    def label(self, value: str, labels: dict[str, Any]) -> str:
        bare = value.removeprefix("-")
        label = labels.get(bare, bare.removeprefix("\\"))
        return gettext("Not {label}").format(label=label) if value != bare else str(label)

    def rest(self) -> list[Group]:
        return [
            self.choices("source"),
            self.choices("uploader", placeholder="@user:matrix.example"),
            self.choices("media", placeholder="mxc://matrix.example/…"),
            self.choices("sha256", placeholder=gettext("64 hexadecimal digits")),
            self.choices("action", placeholder=gettext("Number of an action")),
            self.choices("category", placeholder="spam"),
        ]

    def moment(self, name: str) -> str:
        """As a field for date and time takes it."""
        if self.filters.is_valid() and (moment := self.filters.value(name)):
            return f"{moment:%Y-%m-%dT%H:%M:%S}"
        return "".join(self.of(name)[:1])


def recent(filters: ChangeFilter, *, now: datetime) -> Iterator[tuple[str, str, bool]]:
    minute, today = now.replace(second=0, microsecond=0), now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = today.replace(day=1)
    ranges: list[tuple[str, datetime, datetime | None]] = [
        (gettext("Today"), today, None),
        (gettext("Yesterday"), today - timedelta(days=1), today),
        (gettext("Last 24 hours"), minute - timedelta(days=1), None),
        (gettext("Last 7 days"), minute - timedelta(days=7), None),
        (gettext("Last 30 days"), minute - timedelta(days=30), None),
        (gettext("This month"), month, None),
        (gettext("Last month"), (month - timedelta(days=1)).replace(day=1), month),
    ]
    present = tuple(filters.active.get(name) for name in MOMENTS)
    for label, after, before in ranges:
        query = query_string(filters.active | {"after": after, "before": before}, {})
        yield label, query, present == (after, before)
