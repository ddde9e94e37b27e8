"""Changes as server-sent events.

    change      one row of HTML, as the page has it; its id is the change's position
    reset       too much happened to send it row by row: load the page again
    signed-out  the session ended, or its account may no longer read

Each event's id is a position up to which nothing is missing, so whoever comes back with it
(Last-Event-ID, or since=) goes on without loss. A filtered view has ids only where something
matched; coming back with an old one merely searches a little further. Heartbeats are comments.
"""

import re
from dataclasses import dataclass, replace

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import override

from dashboard.rows import row_html
from dashboard.search.filters import ChangeFilter
from dashboard.search.pages import search_of
from quarantine.models import Change

LIMIT = 200  # rows a reader may be behind
SEARCH_BUDGET = 1.0  # seconds
LINE_BREAK = re.compile(r"\r\n|\r|\n")  # what ends a line in an event stream, and nothing else does
HEARTBEAT = b": still here\n\n"


class TooFarBehindError(Exception):
    """What was missed can't be sent row by row."""


@dataclass(frozen=True, slots=True)
class Event:
    position: int
    data: bytes


def encode(*, name: str, position: int, data: str) -> bytes:
    """One event on the wire. Whatever line breaks the data holds, they can't begin another field."""
    lines = "".join(f"data: {line}\n" for line in LINE_BREAK.split(data))
    return f"id: {position}\nevent: {name}\n{lines}\n".encode()


def reset(position: int) -> bytes:
    return encode(name="reset", position=position, data=f"More than {LIMIT} new changes")


def signed_out(position: int) -> bytes:
    return encode(name="signed-out", position=position, data="Signed out")


def read_events(query: str, *, after: int, upto: int, language: str = settings.LANGUAGE_CODE) -> list[Event]:
    """The changes of a valid query in (after, upto], oldest first, their rows in that language.

    Raises TooFarBehindError when there are more than LIMIT, or when finding them takes long.
    """
    filters = ChangeFilter(QueryDict(query), queryset=Change.objects.all())
    whole = search_of(filters, head=upto, budget=SEARCH_BUDGET)
    found = replace(whole, low=max(whole.low, after + 1), newest_first=False).rows(LIMIT + 1)
    if len(found.rows) > LIMIT or found.stopped_at is not None:
        raise TooFarBehindError
    with override(language):
        return [change_event(change) for change in found.rows]


def change_event(change: Change) -> Event:
    return Event(change.pk, encode(name="change", position=change.pk, data=row_html(change).strip()))
