"""Templates with their values left out: for what is rendered thousands of times and differs in little.

To render a template of a hundred tags takes many times as long as to join what comes of it. So it is rendered once for
each kind of thing, with marks in place of the values; from then on values go between its pieces, in order. They are
never looked at on the way, so nothing in them can be taken for a mark or a tag.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from django.utils.safestring import SafeString, mark_safe

from dashboard.wording.text import escaped

MARK = re.compile("\ue000(\\w+)\ue000")  # of the private use area: no template holds that


class Marks:
    """In a template's context: `{{ put.name }}` is where the value of that name goes."""

    def __getitem__(self, name: str) -> SafeString:
        return mark_safe(f"\ue000{name}\ue000")  # noqa: S308 - a name from a template


@dataclass(frozen=True, slots=True)
class Stencil:
    """Text and names by turns: text first and last."""

    pieces: tuple[str, ...]

    @classmethod
    def of(cls, html: str) -> Self:
        return cls(tuple(MARK.split(html)))

    def fill[Thing](self, thing: Thing, values: Mapping[str, Callable[[Thing], object]]) -> SafeString:
        """Each value is worked out once, and escaped unless it is HTML already."""
        pieces = list(self.pieces)
        known = {name: escaped(values[name](thing)) for name in set(pieces[1::2])}
        pieces[1::2] = [known[name] for name in pieces[1::2]]
        return mark_safe("".join(pieces))  # noqa: S308 - the template's own text, and values escaped above
