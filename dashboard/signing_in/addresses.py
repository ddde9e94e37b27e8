"""Where a request comes from."""

from django.http import HttpRequest


def address_of(request: HttpRequest | None) -> str:
    """The client's address; behind a trusted proxy, what that says it is. Empty where nobody knows."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""
