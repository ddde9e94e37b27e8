"""Form fields for the query string: values that may repeat and exclude, moments, numbers.

`name=value` asks for a value, `name=-value` excludes it, and a repeated name asks for any of them.
A value that begins with "-" or "\\" itself is written with a "\\" before it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext

from dashboard.wording.text import cut_middle, plain
from quarantine.entries import UNSTORABLE

type Read[T] = Callable[[str], T]

MOST_VALUES = 100  # of one name: SQLite refuses deep expressions
LONGEST = 2048  # characters of one value
BIGGEST = 2**63 - 1
NUMBER = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Term[T]:
    """One value of a filter: as it was understood, and as it was written."""

    value: T
    text: str
    excluded: bool = False

    def __str__(self) -> str:
        """As the query string has it."""
        guard = "\\" if self.text.startswith(("-", "\\")) else ""
        return f"{'-' if self.excluded else ''}{guard}{self.text}"


class RepeatedInput(forms.Widget):
    """Every non-blank value of the name."""

    def value_from_datadict(self, data: Mapping[str, Any], files: object, name: str) -> list[str]:
        values = data.getlist(name) if isinstance(data, QueryDict) else [str(data.get(name, ""))]
        return [value.strip() for value in values if value.strip()]


class TermsField[T](forms.Field):
    """Cleans to a tuple of terms, without repetitions, in one order however they were given."""

    widget = RepeatedInput

    def __init__(self, *, read: Read[T], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.read = read

    def clean(self, value: list[str]) -> tuple[Term[T], ...]:
        if len(value) > MOST_VALUES:
            msg = gettext("At most {number} values at once.").format(number=MOST_VALUES)
            raise ValidationError(msg)
        terms = {str(term): term for term in map(self.term, value)}
        return tuple(sorted(terms.values(), key=lambda term: (term.excluded, term.text)))

    def term(self, written: str) -> Term[T]:
        refuse_unstorable(written)
        excluded = written.startswith("-")
        text = written.removeprefix("-").strip().removeprefix("\\")
        if not text:
            msg = gettext("{text} names no value.").format(text=quoted(written))
            raise ValidationError(msg)
        value = self.read(text)
        return Term(value=value, text=str(value), excluded=excluded)


class SingleField(forms.Field):
    """Base of the fields whose name may be given only once; blank is None."""

    widget = RepeatedInput

    def clean(self, value: list[str]) -> Any:
        if len(value) > 1:
            msg = gettext("Give it only once.")
            raise ValidationError(msg)
        return self.read(value[0]) if value else None

    def read(self, text: str) -> Any:
        raise NotImplementedError


class NumberField(SingleField):
    def __init__(self, *, lowest: int = 1, highest: int = BIGGEST, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lowest, self.highest = lowest, highest

    def read(self, text: str) -> int:
        return read_number(text, lowest=self.lowest, highest=self.highest)


class SwitchField(SingleField):
    def read(self, text: str) -> bool:
        return read_choice(choices=("on", "off"))(text) == "on"


class MomentField(SingleField):
    """An ISO date (its midnight) or time; UTC where no offset is given."""

    def read(self, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            msg = gettext("{text} is not a date like 2026-11-22 or a time like 2026-11-22T14:32:00Z.")
            msg = msg.format(text=quoted(text))
            raise ValidationError(msg) from error


def read_number(text: str, *, lowest: int = 1, highest: int = BIGGEST) -> int:
    if not NUMBER.fullmatch(text) or not lowest <= int(text) <= highest:
        msg = gettext("{text} is not a whole number from {lowest} to {highest}.")
        msg = msg.format(text=quoted(text), lowest=intcomma(lowest), highest=intcomma(highest))
        raise ValidationError(msg)
    return int(text)


def read_choice(*, choices: Collection[str]) -> Read[str]:
    def read(text: str) -> str:
        if text not in choices:
            msg = gettext("{text} is not one of {choices}.").format(text=quoted(text), choices=listed(choices))
            raise ValidationError(msg)
        return text

    return read


def refuse_unstorable(text: str) -> None:
    """PostgreSQL takes no NUL, and nothing takes half a surrogate pair: such a value could match no row."""
    if UNSTORABLE.search(text):
        msg = gettext("{text} holds a character that no name can hold.").format(text=quoted(text))
        raise ValidationError(msg)
    if len(text) > LONGEST:
        msg = gettext("{text} is too long: {number} characters at most.")
        msg = msg.format(text=quoted(text), number=intcomma(LONGEST))
        raise ValidationError(msg)


def quoted(text: str) -> str:
    return gettext("“{text}”").format(text=cut_middle(plain(text), 60))


def listed(names: Iterable[str]) -> str:
    *most, last = names
    return gettext("{most} or {last}").format(most=", ".join(most), last=last) if most else last
