"""ChangeFilter: the query string as a queryset. The page, the live view, exports and the API share it.

Nothing here knows a request. Positions (`cursor`, `limit`, `since`) are read here and applied by
whoever pages; everything else narrows the queryset.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property, reduce
from operator import or_
from typing import Any
from urllib.parse import urlencode

import django_filters
from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from dashboard.search import searches
from dashboard.search.filter_kinds import MomentFilter, PositionFilter, SwitchFilter, TermsFilter, any_of, one_of
from dashboard.search.scattered import few_positions
from dashboard.wording import times
from dashboard.wording.terms import Term, listed, quoted, read_choice, read_number
from quarantine.fields import SHA256
from quarantine.models import Action, Cause, ChangeQuerySet, Source, State

SCOPES: dict[str, Any] = {"local": gettext_lazy("Local"), "remote": gettext_lazy("Remote")}
PAGE_LIMIT = 50
HIGHEST_PAGE_LIMIT = 200
MOST_COMPLAINTS = 5
MOST_WORDS = 200  # of one search: each is looked for in two columns, and 60,000 kept a process busy for minutes
MOMENTS = ("after", "before")
# Each leads an index whose second column is the position, whatever the value.
LEADING = {"local", "origin", "changed_by", "source", "cause", "media_type", "media_class", "uploader"}
PAGING = ("cursor", "limit", "since", "raw", "fold")


def choice(label: Any, names: dict[str, Any], matches: Callable[[Sequence[Any]], Q], **more: Any) -> TermsFilter:
    return TermsFilter(label=label, matches=matches, read=read_choice(choices=names), names=names, **more)


def in_state(state: str) -> Q:
    if state == State.QUARANTINED:
        return Q(quarantined=True)
    return Q(deleted=True) if state == State.DELETED else Q(quarantined=False, deleted=False)


def ways_to_state(state: str) -> list[Q]:
    """Most changes quarantine something: that needs no index, and has none."""
    return {State.RELEASED: [Q(quarantined=False)], State.DELETED: [Q(deleted=True)]}.get(State(state), [])


def of_type(text: str) -> Q:
    return Q(media_type=text) if "/" in text else Q(media_class=text.lower())


def in_category(categories: Sequence[str]) -> Q:
    # As ids: there are few actions, and a join would have to be borne by the exports, too.
    return Q(action__in=Action.objects.filter(category__in=categories).values("pk"))


def read_sha256(text: str) -> str:
    if not SHA256.fullmatch(text.lower()):
        msg = gettext("{text} is not a sha256: that is 64 hexadecimal digits.").format(text=quoted(text))
        raise ValidationError(msg)
    return text.lower()


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter in words, and the query string without it."""

    label: str
    value: str
    query: str


class ChangeForm(forms.Form):
    """What can only be judged over the whole query string."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in sorted(set(self.data) - set(self.fields))[:MOST_COMPLAINTS]:
            self.add_error(None, gettext("There is no filter {name}.").format(name=quoted(name)))
        after, before = cleaned.get("after"), cleaned.get("before")
        if after and before and after >= before:
            self.add_error(None, gettext("“after” must be earlier than “before”."))
        if sum(len(term.value.split()) for term in cleaned.get("q") or ()) > MOST_WORDS:
            self.add_error("q", gettext("At most {number} words at once.").format(number=MOST_WORDS))
        return cleaned


class ChangeFilter(django_filters.FilterSet):
    state = choice(gettext_lazy("State"), dict(State.choices), any_of(in_state), ways=ways_to_state)
    scope = choice(gettext_lazy("Scope"), SCOPES, any_of(lambda scope: Q(local=scope == "local")))
    origin = TermsFilter(label=gettext_lazy("Origin"), matches=one_of("origin"))
    by = TermsFilter(label=gettext_lazy("Changed by"), matches=one_of("changed_by"), verbal=True)
    source = choice(gettext_lazy("Source"), dict(Source.choices), one_of("source"))
    cause = choice(gettext_lazy("Cause"), dict(Cause.choices), one_of("cause"))
    type = TermsFilter(label=gettext_lazy("Type"), matches=any_of(of_type))
    uploader = TermsFilter(label=gettext_lazy("Uploader"), matches=one_of("uploader"))
    sha256 = TermsFilter(label="sha256", matches=one_of("sha256"), read=read_sha256)
    media = TermsFilter(label=gettext_lazy("Media"), matches=any_of(searches.of_media), read=searches.read_media)
    action = TermsFilter(label=gettext_lazy("Action"), matches=one_of("action_id"), read=read_number)
    category = TermsFilter(
        label=gettext_lazy("Kind of reason"), matches=in_category, ways=lambda _: []
    )  # no index follows it
    q = TermsFilter(
        label=gettext_lazy("Search"),
        verbal=True,
        matches=any_of(searches.of_anything),
        read=searches.read_anything,
        ways=searches.ways_to_anything,
    )
    after = MomentFilter(label=gettext_lazy("From"))
    before = MomentFilter(label=gettext_lazy("Before"))
    cursor = PositionFilter(label=gettext_lazy("Cursor"))
    limit = PositionFilter(label=gettext_lazy("Limit"), highest=HIGHEST_PAGE_LIMIT)
    since = PositionFilter(label=gettext_lazy("Since"), lowest=0)
    raw = PositionFilter(label=gettext_lazy("Raw"), lowest=0, highest=1)
    fold = SwitchFilter(label=gettext_lazy("Fold"))

    class Meta:
        form = ChangeForm

    @property
    def qs(self) -> ChangeQuerySet:
        """What matches, unordered; nothing when something is wrong with the query string."""
        return self.filter_queryset(self.queryset.all()) if self.is_valid() else self.queryset.none()

    def filter_queryset(self, queryset: ChangeQuerySet) -> ChangeQuerySet:
        narrowed: ChangeQuerySet = super().filter_queryset(queryset)
        return self.until_before(self.from_after(narrowed))

    def from_after(self, changes: ChangeQuerySet) -> ChangeQuerySet:
        """A moment becomes a position first: filtering by time while ordering by position took seconds."""
        after = self.value("after")
        if after is None:
            return changes
        if self.floor is not None:
            return changes.filter(stream_id__gte=self.floor)
        # Nothing yet, but rows still to come count for those who watch.
        newest = self.queryset.older_than(None).values_list("stream_id", flat=True).first() or 0
        return changes.filter(stream_id__gt=newest, seen_at__gte=after)

    def until_before(self, changes: ChangeQuerySet) -> ChangeQuerySet:
        before = self.value("before")
        if before is None:
            return changes
        if self.ceiling is not None:
            return changes.filter(stream_id__lt=self.ceiling)
        return changes.filter(seen_at__lt=before)  # again for those who watch

    @cached_property
    def floor(self) -> int | None:
        """The lowest position that `after` lets through; None without it, or when there is none yet."""
        return self.position_at("after")

    @cached_property
    def ceiling(self) -> int | None:
        """The lowest position that `before` keeps out; None without it, or when there is none yet."""
        return self.position_at("before")

    def position_at(self, name: str) -> int | None:
        moment = self.value(name)
        first: int | None = self.queryset.first_position_at(moment) if moment else None
        return first

    @property
    def problems(self) -> list[str]:
        """What is wrong with the query string, in sentences; empty when it is valid."""
        return [
            message if name == NON_FIELD_ERRORS else f"{name}: {message}"
            for name, messages in self.errors.items()
            for message in messages
        ]

    @property
    def narrows(self) -> bool:
        return bool(self.active)

    @property
    def one_index_answers(self) -> bool:
        """Whether an index finds each row of it in turn, however few match; date ranges cost nothing."""
        conditions = [terms for name, terms in self.active.items() if name not in MOMENTS]
        match conditions:
            case []:
                return True
            case [[Term(excluded=False)]]:
                return [len(ways) for ways in self.lanes] == [1]
        return False

    @cached_property
    def led_by(self) -> tuple[str, Any] | None:
        """The column, and its value, whose index with the position answers all of it; None where it is not such a filter alone."""
        if not self.one_index_answers or not self.lanes:
            return None
        [[way]] = self.lanes
        match way.children:
            case [(str(column), value)] if column in LEADING:
                return column, value
        return None

    @property
    def in_index_order(self) -> ChangeQuerySet:
        """`qs`; where it is led by a column, such that ordering by that one first leaves only its index to be read."""
        if self.led_by is None:
            return self.qs
        column, value = self.led_by
        return self.until_before(self.from_after(self.queryset.filter(**{f"{column}__only": value})))

    @cached_property
    def lanes(self) -> list[list[Q]]:
        """For each filter that indexes can follow, the conditions of which one must be true."""
        lanes = (self.filters[name].lane(terms) for name, terms in self.active.items() if name not in MOMENTS)
        return [ways for ways in lanes if ways]

    @cached_property
    def scattered(self) -> list[int] | None:
        """All positions that the search box lets through, where it asks for few and an index knows them; else None."""
        terms = [term.value for term in self.active.get("q", ()) if not term.excluded]
        each = [way for text in terms if (way := searches.scattered(text))]
        return few_positions(self.queryset, reduce(or_, each)) if each and len(each) == len(terms) else None

    @cached_property
    def active(self) -> dict[str, Any]:
        """The filters given, without those about paging, in the order they are declared."""
        cleaned = self.form.cleaned_data if self.is_valid() else {}
        return {name: value for name, value in cleaned.items() if value not in ((), None) and name not in PAGING}

    def value(self, name: str) -> Any:
        """The cleaned value of a filter; None when it is missing or something is wrong."""
        return self.form.cleaned_data.get(name) if self.is_valid() else None

    def canonical_query(self, **paging: int | str | None) -> str:
        """The query string of the same view, however it was written: no blanks, no defaults, no paging.

        `paging` is added where it is not None: `cursor=…`, `limit=…`.
        """
        return query_string(self.active, paging)

    @property
    def given_query(self) -> str:
        """The query string as it was written, mistakes and all, but for blanks."""
        return given_query(self.data)

    @property
    def chips(self) -> Iterator[Chip]:
        """One for each filter; one for each excluded value."""
        for name, value in self.active.items():
            filter_ = self.filters[name]
            if name in MOMENTS:
                yield Chip(str(filter_.label), named_moment(value), self.without(name, value))
                continue
            wanted = [term for term in value if not term.excluded]
            if wanted:
                named = listed(filter_.named(term) for term in wanted)
                yield Chip(filter_.asks, named, self.without(name, wanted))
            for term in value:
                if term.excluded:
                    yield Chip(
                        gettext("{label} not").format(label=filter_.label),
                        filter_.named(term),
                        self.without(name, [term]),
                    )

    def without(self, name: str, gone: Any) -> str:
        rest = () if name in MOMENTS else tuple(term for term in self.active[name] if term not in gone)
        return query_string(self.active | {name: rest}, {})


def given_query(data: QueryDict, *, without: Collection[str] = ()) -> str:
    given = ((name, text) for name, texts in data.lists() if name not in without for text in texts)
    return urlencode([(name, text) for name, text in given if text.strip()])


def query_string(active: dict[str, Any], paging: dict[str, Any]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in active.items():
        texts = [moment_text(value)] if isinstance(value, datetime) else map(str, value or ())
        pairs.extend((name, text) for text in texts)
    pairs.extend((name, str(value)) for name, value in paging.items() if value is not None)
    return urlencode(pairs)


def named_moment(moment: datetime) -> str:
    return times.day(moment) if moment.time() == time.min else times.full(moment)


def moment_text(moment: datetime) -> str:
    """As short as it can be read back: a midnight is its date."""
    if moment.time() == time.min:
        return f"{moment:%Y-%m-%d}"
    return moment.replace(tzinfo=None).isoformat() + "Z"
