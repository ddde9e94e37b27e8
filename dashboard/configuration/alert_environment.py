"""Reading from the environment how people are told of alerts; as `dashboard.configuration.environment` does."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from dashboard.configuration.environment import env, env_list, is_private, refused

MAILERS = {"smtp": {}, "smtp+starttls": {"use_tls": True}, "smtps": {"use_ssl": True}}
MAIL_SECONDS = 15  # for each step of handing a mail over
ADDRESS = re.compile(r"[^\s@<>,\x80-\U0010ffff]+@[A-Za-z0-9.-]+")  # in ASCII: more is for nobody to hand over
SENDER = re.compile(rf"{ADDRESS.pattern}|[^<>@\r\n]* <{ADDRESS.pattern}>")
SECRET = re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){8,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
ROOM = re.compile(r"![^\s/]{1,254}")


def env_mailer(name: str, default: str) -> dict[str, Any]:
    """How mail leaves: Django's MAILERS."""
    url = env(name, default)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused(name, "is malformed; it looks like smtps://user:password@mail.example.com:465.") from error
    if parts.scheme not in MAILERS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        # It may hold a password: never its value.
        raise refused(name, "must be smtps://…, smtp+starttls://… or smtp://user:password@mail.example.com:587.")
    if parts.scheme == "smtp" and not is_private(parts.hostname):
        raise refused(
            name, "sends mail unencrypted over the network: use smtps://, smtp+starttls:// or a private address."
        )
    if not unquote(url).isascii():
        raise refused(name, "holds letters that can't be sent to a mail server: name and password have to be ASCII.")
    options = {"host": parts.hostname, "port": port, "timeout": MAIL_SECONDS} | MAILERS[parts.scheme]
    options |= {"username": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    return {"default": {"OPTIONS": options}}


def env_addresses(name: str) -> list[str]:
    addresses = env_list(name)
    if not all(ADDRESS.fullmatch(address) for address in addresses):
        raise refused(name, "lists mail addresses such as oncall@example.com.")
    return addresses


def env_sender(name: str, default: str) -> str:
    sender = env(name, default)
    if not SENDER.fullmatch(sender):
        raise refused(name, "is a mail address such as quarantine@example.com, or Name <quarantine@example.com>.")
    return sender


def env_room(name: str) -> str:
    room = os.environ.get(name, "").strip()
    if room and not ROOM.fullmatch(room):
        raise refused(name, "must be a room id, which begins with !; its settings in a client show it.")
    return room


def env_address(name: str, default: str = "") -> str:
    """An address of ours or of a receiver; empty where it is not set. Over plain http only to this machine or a private network."""
    url = os.environ.get(name, "").strip() or default
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        broken = parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment
    except ValueError:
        broken = True
    # It may be a secret as a whole: never its value.
    if broken:
        raise refused(name, "must be an address that begins with https://, without name and password.")
    if parts.scheme == "http" and not is_private(parts.hostname or ""):
        raise refused(name, "is unencrypted over the network: use https:// or a private address.")
    return url


def check_alerts(chosen: Mapping[str, Any]) -> None:
    """What belongs together is set together."""
    secret = chosen["ALERT_WEBHOOK_SECRET"]
    if bool(chosen["ALERT_WEBHOOK_URL"]) != bool(secret):
        raise refused("ALERT_WEBHOOK_URL", "and ALERT_WEBHOOK_SECRET belong together: set both, or neither.")
    if secret and not SECRET.fullmatch(secret):
        raise refused(
            "ALERT_WEBHOOK_SECRET", "must be whsec_ and 24 random bytes or more in base64; docs/alerts.md makes one."
        )
    matrix = [bool(chosen[name]) for name in ("ALERT_MATRIX_ROOM", "ALERT_MATRIX_TOKEN")]
    if any(matrix) and not all([*matrix, chosen["ALERT_MATRIX_URL"]]):
        names = "and ALERT_MATRIX_TOKEN belong together, with ALERT_MATRIX_URL or HOMESERVER_URL."
        raise refused("ALERT_MATRIX_ROOM", names)
