"""Synapse itself, from PyPI, in an environment of its own: it must not share ours."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.environment import ROOT

VENV = ROOT / "var" / "synapse-venv"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def installed() -> Path:
    """The Python that has Synapse. Installs it the first time, and again when what is wanted changes."""
    VENV.parent.mkdir(exist_ok=True)
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / "installed"
    with VENV.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs may start at once
        if not stamp.exists() or stamp.read_text() != wanted:
            uv("venv", "--clear", "--python", sys.executable, VENV)
            uv("pip", "install", "--python", VENV / "bin" / "python", "--requirement", REQUIREMENTS)
            stamp.write_text(wanted)
    return VENV / "bin" / "python"


def uv(*arguments: str | Path) -> None:
    own = ROOT / ".uv" / "bin" / "uv"
    command = own if own.exists() else shutil.which("uv")
    if command is None:
        msg = "uv was not found, so Synapse can't be installed; `make test` brings its own."
        raise RuntimeError(msg)
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"Synapse could not be installed (uv {arguments[0]}):\n{done.stderr[-3000:]}"
        raise RuntimeError(msg)
