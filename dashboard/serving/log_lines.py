"""One entry of the log is one line: what strangers write can't add another that looks like ours."""

import logging
from textwrap import indent
from typing import Any

CONTROLS = {number: f"\\x{number:02x}" for number in (*range(0x20), *range(0x7F, 0xA0))}
CONTROLS |= {number: f"\\u{number:04x}" for number in (0x2028, 0x2029)}  # line breaks to some who read it
CONTROLS |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


class LineFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = record.message.translate(CONTROLS)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Set in, each line of it: an exception may quote what somebody sent."""
        return indent(super().formatException(ei), "    ", predicate=lambda _: True)
