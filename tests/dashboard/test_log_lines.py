"""One entry, one line: nothing that is quoted in a log can pass for another entry."""

import logging
import sys

import pytest

from dashboard.serving.log_lines import LineFormatter

FORGED = "x\n2026-01-01 00:00:00,000 WARNING dashboard: forged\r\x1b[2J\u2028\x85\x00"
formatter = LineFormatter("{levelname} {name}: {message}", style="{")


def record(message, *arguments, exc_info=None):
    return logging.LogRecord("dashboard", logging.WARNING, __file__, 1, message, arguments, exc_info)


@pytest.mark.parametrize("how", [record(FORGED), record("failed: %s", FORGED)])
def test_what_is_quoted_adds_no_line(how):
    line = formatter.format(how)

    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "x\\n2026-01-01" in line


def test_words_stay_as_they_are():
    assert formatter.format(record("größer als %d — ok", 3)) == "WARNING dashboard: größer als 3 — ok"


def test_a_traceback_is_set_in():
    try:
        raise ValueError(FORGED)
    except ValueError:
        text = formatter.format(record("broke", exc_info=sys.exc_info()))

    first, *rest = text.split("\n")
    assert first == "WARNING dashboard: broke"
    assert "Traceback" in rest[0]
    assert all(line.startswith("    ") for line in rest)
