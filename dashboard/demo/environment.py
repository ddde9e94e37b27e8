"""What the demo sets before the settings are read. No settings here: this runs first."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from dashboard.configuration.environment import HOST

BASE_DIR = Path(__file__).resolve().parent.parent.parent
REAL_THINGS = ("HOMESERVER_DATABASE_URL", "HOMESERVER_URL")


class DemoError(Exception):
    """The demo can't start; the message is a sentence."""


def arguments(environ: Mapping[str, str]) -> list[str]:
    """The options that HOST= and PORT= stand for."""
    chosen = {"--host": environ.get("HOST", "").strip(), "--port": environ.get("PORT", "").strip()}
    return [f"{option}={value}" for option, value in chosen.items() if value]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What to add to this environment. Raises DemoError when it names a real homeserver.

    Makes the demo's own secret in DATA_DIR on the first run. HTTPS is off only where nothing
    beyond this machine can listen in.
    """
    for name in REAL_THINGS:
        if environ.get(name, "").strip():
            msg = (
                f"{name} is set, so a real homeserver is meant. The demo plays with a homeserver of its own: unset {name} "
                "to see it, or run `manage.py prepare`, `follow` and `serve` for the real one."
            )
            raise DemoError(msg)
    added: dict[str, str] = {}
    if not environ.get("SECRET_KEY", "").strip():
        added["SECRET_KEY"] = own_secret(Path(environ.get("DATA_DIR", "").strip() or BASE_DIR / "var").absolute())
    host = environ.get("HOST", "").strip()
    if not environ.get("HTTPS", "").strip():
        added["HTTPS"] = "off" if is_loopback(host) else "on"
    if not environ.get("ALLOWED_HOSTS", "").strip() and not is_loopback(host):
        names = ["localhost", "127.0.0.1", "[::1]", socket.gethostname(), as_url_host(host)]
        added["ALLOWED_HOSTS"] = ",".join(name for name in names if HOST.fullmatch(name))
    return added


def is_loopback(host: str) -> bool:
    """Whether this is plainly this machine alone; a name other than localhost is not."""
    try:
        return host in {"", "localhost"} or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def as_url_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def own_secret(data_dir: Path) -> str:
    """The demo's SECRET_KEY: made once, readable by its owner alone."""
    file = data_dir / "demo-secret"
    try:
        if not file.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            draft = data_dir / f"demo-secret.{os.getpid()}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_urlsafe(50))
            draft.rename(file)  # whole or not at all
        file.chmod(0o600)
        return file.read_text().strip()
    except OSError as error:
        msg = f"The demo keeps its secret in DATA_DIR, which can't be used: {error}"
        raise DemoError(msg) from error
