"""The version before, from this repository's own history: what runs beside today's during an upgrade."""

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.environment import ROOT

# The newest commit before those of the version under way, and the last migration it knows.
BEFORE = "e09c332d4e15a4e07c0a6682acbd7029a99530c1"
LAST_MIGRATION = "0014_reveal"


class HistoryMissingError(Exception):
    """A checkout without history (a shallow clone, an archive) does not have the version before."""


@contextmanager
def version_before() -> Iterator[Path]:
    """Its files, in a folder of their own; they run by this checkout's Python."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        msg = f"The version before ({BEFORE[:12]}) is not in this checkout's history: git fetch --unshallow"
        raise HistoryMissingError(msg)
    with TemporaryDirectory(prefix="version-before-") as folder:
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)
