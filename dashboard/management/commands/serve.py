"""manage.py serve: pages, API, exports and live events on one origin."""

import signal
import socket
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from dashboard.configuration.environment import share_metrics
from dashboard.serving import ports, readiness
from dashboard.serving.protocol import BoundedProtocol
from dashboard.serving.supervisor import Supervisor
from quarantine import ledger
from quarantine.fold import LedgerError
from quarantine.preparation import PREPARE, migrations_due

GRACE = 3  # seconds that requests under way get when the server stops
PATIENCE = 60  # seconds for a process to answer its parent; the default, 5, is too short to start on a busy machine
KEEP_ALIVE = 75  # longer than proxies keep theirs, so that none meets a connection just closed


class Command(BaseCommand):
    help = "Serve the dashboard: pages, API, exports and live events."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000); 0 takes any free one")
        parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")

    def handle(self, *_args: Any, host: str, port: int, workers: int, **_options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        if not (0 <= port <= 65535 and 1 <= workers <= 64):
            msg = "--port goes from 0 to 65535 and --workers from 1 to 64."
            raise CommandError(msg, returncode=2)
        try:
            refuse_unless_ready(host)
            listener = ports.bind(host, port=port)
        except (ports.AddressError, LedgerError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Serving on {url_of(listener, host)} — Ctrl-C ends it.")
        self.stdout.flush()
        run(listener, workers=workers)


def refuse_unless_ready(host: str) -> None:
    """Raise CommandError with a sentence that says what is missing."""
    if not settings.HTTPS and not ports.is_loopback(host):
        msg = (
            f"HTTPS is off, so this listens on loopback addresses only, not on {host}: passwords would cross the "
            "network in the clear. Put a proxy that speaks HTTPS before it and set HTTPS=on."
        )
        raise CommandError(msg)
    try:
        due = migrations_due()
    except DatabaseError as error:
        msg = f"The database can't be reached: {str(error).strip()}"
        raise CommandError(msg) from error
    if due:
        msg = f"The database is not up to date. {PREPARE}"
        raise CommandError(msg)
    if readiness.static_files_due():
        msg = f"The static files are not collected, or have changed since. {PREPARE}"
        raise CommandError(msg)
    ledger.current()
    connections.close_all()  # the processes that serve open their own


def url_of(listener: socket.socket, host: str) -> str:
    """As a person types it."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(listener: socket.socket, *, workers: int) -> None:
    config = uvicorn.Config(
        "dashboard.asgi:application",
        http=BoundedProtocol,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="none",
        lifespan="on",
        workers=workers,
        proxy_headers=False,  # dashboard.asgi does it, by our own setting
        server_header=False,
        access_log=False,  # addresses hold what was searched for; a proxy logs what its operator wants
        log_config=None,  # Django's
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        timeout_worker_healthcheck=PATIENCE,
    )
    if workers == 1:
        uvicorn.Server(config).run([listener])
    else:
        with TemporaryDirectory(prefix="metrics-") as folder:
            share_metrics(Path(folder))
            Supervisor(config, [listener]).run()
