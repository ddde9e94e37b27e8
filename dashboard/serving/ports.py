"""The address a server listens on, and who holds it already."""

import errno
import ipaddress
import re
import socket
from pathlib import Path

LISTENING = "0A"  # in /proc/net/tcp


class AddressError(Exception):
    """The server can't listen there; the text is a sentence."""


def is_loopback(host: str) -> bool:
    """Whether every address of this host is one that only this machine reaches."""
    return all(ipaddress.ip_address(address[4][0]).is_loopback for address in resolve(host, port=0))


def resolve(host: str, *, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # type: ignore[return-value]  # never AF_UNIX
    except OSError as error:
        msg = f"{host} is no address of this machine: {error.strerror}."
        raise AddressError(msg) from error


def bind(host: str, *, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one."""
    family, kind, protocol, _, address = resolve(host, port=port)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise AddressError(why_not(error, host=host, port=port)) from error
    return listener


def why_not(error: OSError, *, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(port)
        return f"Port {port} is in use{f', by {holder}' if holder else ''}. Stop that, or choose another with --port."
    return f"Can't listen on {host}, port {port}: {error.strerror}."


def holder_of(port: int) -> str:
    """The process that listens on a port, in words; empty where it can't be known (not Linux, not our user's)."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in listening_inodes(Path("/proc/net") / table, port=port)}
    for process in Path("/proc").glob("[0-9]*"):
        if inodes.intersection(socket_inodes(process)):
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
            return f"process {process.name} ({command[:80]})"
    return ""


def listening_inodes(table: Path, *, port: int) -> set[str]:
    if not table.exists():
        return set()
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port}


def socket_inodes(process: Path) -> set[str]:
    try:
        links = [str(link.readlink()) for link in (process / "fd").iterdir()]
    except OSError:  # it has ended, or belongs to somebody else
        return set()
    return {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
