"""Reading the environment: each function returns a valid value or raises ImproperlyConfigured.

The message is one sentence that names the variable. It shows the value only where that can't be a secret.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

YES_AND_NO = {"on": True, "true": True, "1": True, "yes": True, "off": False, "false": False, "0": False, "no": False}
HOST = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
SERVER_NAME = re.compile(r"([A-Za-z0-9.-]{1,230}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
ORIGIN = re.compile(r"https?://[A-Za-z0-9*\[\]:.-]+")
SECRET_LENGTH = 50  # and how many different characters: what Django's own check calls weak
SECRET_VARIETY = 5


def env(name: str, default: str | None = None) -> str:
    """Return the variable, stripped; an empty one counts as missing."""
    value = os.environ.get(name, "").strip() or default
    if value is None:
        raise refused(name, "is not set. The README lists every setting; .env.example is a start.")
    return value


def refused(name: str, reason: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name} {reason}")


def env_bool(name: str, *, default: bool) -> bool:
    value = env(name, "on" if default else "off").lower()
    if value not in YES_AND_NO:
        raise refused(name, f"is {value!r}; it must be on or off.")
    return YES_AND_NO[value]


def env_choice(name: str, default: str, *, choices: tuple[str, ...]) -> str:
    value = env(name, default).lower()
    if value not in choices:
        raise refused(name, f"is {value!r}; it must be one of {', '.join(choices)}.")
    return value


def env_number(name: str, default: int, *, lowest: int = 0, highest: int = 999_999_999) -> int:
    """A whole number from `lowest` to `highest`, both included."""
    value = env(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 10 and lowest <= int(value) <= highest):
        raise refused(name, f"is {value!r}; it must be a whole number from {lowest} to {highest:,}.")
    return int(value)


def env_secret(name: str) -> str:
    """Refuse what could be guessed: whoever knows it can sign in as anybody."""
    value = env(name)
    if len(value) < SECRET_LENGTH or len(set(value)) < SECRET_VARIETY or value.startswith("django-insecure-"):
        command = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
        raise refused(name, f"is too weak: it needs {SECRET_LENGTH} random characters. Make one with: {command}")
    return value


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env(name, default).split(",") if item.strip()]


def env_hosts(name: str, default: str) -> list[str]:
    """Host names without scheme and port; a leading dot stands for all subdomains, and nothing stands for all hosts."""
    hosts = env_list(name, default)
    for host in hosts:
        if not HOST.fullmatch(host):
            raise refused(
                name, f"holds {host!r}; it lists host names such as quarantine.example.com, without https:// and port."
            )
    return hosts


def env_origins(name: str) -> list[str]:
    origins = env_list(name)
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise refused(name, f"holds {origin!r}; it lists origins such as https://quarantine.example.com.")
    return origins


def env_networks(name: str, default: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(item) for item in env_list(name, default)]
    except ValueError as error:
        reason = f"is malformed: {error}. It lists addresses or networks such as 10.0.0.0/8."
        raise refused(name, reason) from error


def env_folder(name: str, default: Path) -> Path:
    """An absolute path; the folder itself is made by `manage.py prepare`."""
    folder = Path(env(name, str(default))).absolute()
    if folder.exists() and not folder.is_dir():
        raise refused(name, f"is {str(folder)!r}, which is a file; it must be a folder.")
    return folder


def env_server_name(name: str, default: str | None) -> str:
    value = env(name, default)
    if not SERVER_NAME.fullmatch(value):
        raise refused(name, f"is {value!r}; it must be the homeserver's server_name, such as example.com.")
    return value


def env_database(name: str, default: str | None = None) -> dict[str, Any]:
    """Parse a database URL; only PostgreSQL and SQLite are spoken here."""
    url = env(name, default)
    if not url.startswith(("postgres://", "postgresql://", "sqlite:///")):
        raise refused(name, "must start with postgres://, postgresql:// or sqlite:///.")
    try:
        database = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError) as error:
        # The URL holds a password: name the variable, never its value.
        reason = "is not a database URL; it looks like postgres://user:password@host:5432/name."
        raise refused(name, reason) from error
    if database["NAME"] in {"", ":memory:"}:
        raise refused(name, "names no database; it looks like postgres://user:password@host:5432/name.")
    return database


def env_replica(name: str, *, of: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The alias "replica", where the variable is set: a streaming replica of the ledger's PostgreSQL."""
    if not os.environ.get(name, "").strip():
        return {}
    database = env_database(name)
    if {database["ENGINE"], of["ENGINE"]} != {"django.db.backends.postgresql"}:
        raise refused(name, "belongs to a ledger on PostgreSQL: both must be postgresql:// URLs.")
    # Whoever waits for it could have been answered by the primary meanwhile.
    patience = {"connect_timeout": 2, "tcp_user_timeout": 5_000, "application_name": "quarantine-replica"}
    options = database.get("OPTIONS", {}) | patience
    return {"replica": database | {"OPTIONS": options, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}


def env_homeserver_url(name: str) -> str:
    """Where the homeserver answers; empty where it is not set. The token goes there, so plain http stays on this machine."""
    url = os.environ.get(name, "").strip().rstrip("/")
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise refused(name, "must be an address such as https://matrix.example.com or http://127.0.0.1:8008.")
    if parts.scheme == "http" and not is_private(parts.hostname):
        raise refused(name, "sends an admin's token unencrypted over the network: use https:// or a private address.")
    return url


def is_private(host: str) -> bool:
    """Whether it is this machine's or a private network's; of other names than localhost nobody knows."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host  # a container's or a neighbour's


def env_token(name: str, *, file: str) -> str:
    """The token in `name`, or in the file that `file` names; empty where neither is set."""
    token = os.environ.get(name, "").strip()
    if token and file:
        raise refused(name, f"and {name}_FILE are both set; set one.")
    if file:
        try:
            token = Path(file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise refused(f"{name}_FILE", "names a file that can't be read, or that holds no token.") from error
    if not token.isascii() or not token.isprintable() or " " in token:
        raise refused(name, "is not a token: it holds blanks or what can't be sent.")
    return token


# --- Metrics of several processes ---------------------------------------------------------

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks for it when it is imported


def share_metrics(folder: Path) -> None:
    """Let the processes started from now on add up what they count, in files in this folder."""
    os.environ[METRICS_FOLDER] = str(folder)


def shared_metrics() -> Path | None:
    folder = os.environ.get(METRICS_FOLDER)
    return Path(folder) if folder else None
