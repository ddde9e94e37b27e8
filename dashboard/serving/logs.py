"""The log: on stderr, a line a record; as text for people, or as JSON for what collects logs.

Addresses of pages hold what people looked for and at: a record about a request names the route instead. In JSON
an exception is its type and where it was, without its message, which may quote what strangers wrote.
"""

import json
import logging
import traceback
from datetime import UTC, datetime
from textwrap import indent
from typing import Any

from django.http import HttpRequest

FORMATS = ("plain", "json")
CONTROLS = {number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))}
CONTROLS |= {number: f"\\u{number:04x}" for number in (0x2028, 0x2029)}  # line breaks to some who read it
CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


class WithRoute(logging.Filter):
    """In a record about a request, the route in place of the path."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            record.args = tuple(route_of(request) if arg == request.path else arg for arg in record.args)
        return True


def route_of(request: HttpRequest) -> str:
    """Such as /media/<origin:origin>/<name:media_id>/."""
    match = request.resolver_match
    return f"/{match.route}" if match else "(no such page)"


class LineFormatter(logging.Formatter):
    """One entry is one line: what strangers write can't add another that looks like ours."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = record.message.translate(CONTROLS)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Set in, each line of it: an exception may quote what somebody sent."""
        return indent(super().formatException(ei), "    ", predicate=lambda _: True)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        reference = getattr(record, "reference", "").strip(" []")
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
        }
        if reference:
            said["request_id"] = reference  # as in X-Request-ID
        if record.exc_info and record.exc_info[1]:
            said |= failure(record.exc_info[1])
        return json.dumps(said, ensure_ascii=True)


def message_of(record: logging.LogRecord) -> str:
    """Without what a library said, and without names and addresses of people (`extra={"personal": True}`)."""
    if not isinstance(record.args, tuple):
        return record.getMessage()
    personal = getattr(record, "personal", False)
    args = ("…" if personal else type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in record.args)
    return str(record.msg).replace("%r", "%s") % tuple(args) if record.args else str(record.msg)


def failure(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": [f"{each.filename}:{each.lineno} {each.name}" for each in frames]}


def logging_to(form: str) -> dict[str, Any]:
    """Django's LOGGING."""
    line = {
        "class": "dashboard.serving.logs.LineFormatter",
        "format": "{asctime} {levelname} {name}: {message}{reference}",
        "style": "{",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": line, "json": {"()": "dashboard.serving.logs.JsonFormatter"}},
        "filters": {
            "not cut off": {"()": "dashboard.serving.wire.NotCutOff"},
            "reference": {"()": "dashboard.references.WithReference"},
            "route": {"()": "dashboard.serving.logs.WithRoute"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["not cut off", "reference", "route"],
            }
        },
        # It notes each address it asks for: media ids, and a webhook's own secret path.
        "loggers": {"httpx": {"level": "WARNING"}},
        "root": {"handlers": ["stderr"], "level": "INFO"},
    }
