"""Of what lasts (exports, downloads, previews) one account, or one program, holds only so many at once."""

from collections.abc import Callable

from django.http import HttpRequest

MOST_OF_ACCOUNT = 2  # of each kind at once in a process: the others of AT_ONCE stay for colleagues
RETRY_AFTER = 10  # seconds


def has_room(request: HttpRequest, whose: int) -> bool:
    """Whether this one may be theirs as well; then it is, until it ends. Ask before anything is on record."""
    room_for: Callable[[int], bool] | None = getattr(request, "room_for", None)  # none under plain WSGI
    return room_for is None or room_for(whose)
