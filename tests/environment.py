"""The environment of a test run: one temporary folder, and no variable of the developer's own."""

import atexit
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "dashboard" / "settings.py"

DATA_DIR = Path(tempfile.mkdtemp(prefix="quarantine-tests-")).resolve()
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)

# No DATABASE_URL and no HOMESERVER_DATABASE_URL: SQLite and the sample homeserver, both in DATA_DIR.
BASE = {"SECRET_KEY": "for-the-tests-alone-" + "0" * 40, "HTTPS": "off", "DATA_DIR": str(DATA_DIR)}
ASYNC_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"  # set beside a browser, never for the server it looks at


def declared_variables() -> set[str]:
    """Every environment variable that the settings module reads."""
    return set(re.findall(r'(?:\benv(?:_\w+)?\(|environ\.get\(|environ\[)\s*"([A-Z_]+)"', SETTINGS.read_text()))


def process_environ(extra: Mapping[str, str]) -> dict[str, str]:
    """What a process under test starts with: this one's environment, but our settings only from BASE and `extra`."""
    ours = declared_variables() | {ASYNC_UNSAFE}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return inherited | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"} | BASE | dict(extra)


def settings_with(extra: Mapping[str, str]) -> dict[str, Any]:
    """The settings such a process would have, read from the module itself."""
    with mock.patch.dict(os.environ, process_environ(extra), clear=True):
        return runpy.run_path(str(SETTINGS))


def manage(environ: Mapping[str, str], *words: str, code: str = "", tree: Path = ROOT) -> str:
    """Run a management command of the version in `tree`, or `code` in its shell, by this Python; what it printed."""
    words = (*words, "-v0", "-c", code) if code else words
    done = subprocess.run(
        [sys.executable, "manage.py", *words], cwd=tree, env=environ, text=True, capture_output=True, check=False
    )
    if done.returncode:
        msg = f"manage.py {words[0]} of {tree}: {done.stdout}{done.stderr}"
        raise RuntimeError(msg)
    return done.stdout
