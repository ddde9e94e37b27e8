"""Chromium, wherever this machine has it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

from tests.environment import ASYNC_UNSAFE, ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OWN_BROWSERS = ROOT / "var" / "browsers"  # where `make test` has Playwright keep its own
ARGUMENTS = [
    "--no-sandbox",  # the suite may run as root, and the only pages are ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def running_chromium(*more: str) -> Iterator[Browser]:
    """An installed one, else Playwright's own, with `more` arguments; without either the test is skipped.

    Playwright keeps an event loop running in this thread, so Django has to be told that the ORM
    may be used all the same, and `asyncio.run` can't be used until the browser is closed.
    """
    os.environ.setdefault("PLAYWRIGHT_BROWSERS_PATH", str(OWN_BROWSERS))
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    with mock.patch.dict(os.environ, {ASYNC_UNSAFE: "true"}), sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *more])
        except Error as error:
            if executable:
                raise
            pytest.skip(f"No browser was found; `make test` provides one. {error.message.splitlines()[0]}")
        with browser:
            yield browser
