"""A short name for one request: on the error page a person quotes it from, and at the end of its line in the log."""

import logging
import secrets

from django.http import HttpRequest

HEADER = "X-Request-ID"


def reference(request: HttpRequest) -> str:
    """Such as q-7f31-c2a9; made when it is first asked for."""
    known: str | None = getattr(request, "reference", None)
    if known is None:
        known = request.reference = f"q-{secrets.token_hex(2)}-{secrets.token_hex(2)}"  # type: ignore[attr-defined] # ours
    return known


class WithReference(logging.Filter):
    """Gives each record a `reference`: of the request it is about, which Django hands along; else empty."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        record.reference = f" [{reference(request)}]" if isinstance(request, HttpRequest) else ""
        return True
