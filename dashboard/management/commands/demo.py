"""manage.py demo (make demo): everything set up, filled with sample data, served, and moving."""

import http.client
import signal
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from dashboard.demo.accounts import DEFAULT_PASSWORD, ROLES, make_accounts
from dashboard.demo.children import Child, Children
from dashboard.serving import ports
from quarantine import ledger
from quarantine.locks import file_lock
from quarantine.management.progress import reporting
from quarantine.models import Capability, Staff
from quarantine.preparation import refuse_another_homeserver
from quarantine.sample.fill import fill
from quarantine.sample.people import make_colleagues

CHANGES, MEDIA, SEED = 5_000, 6_000, 1
STEPS = {
    "ledger": "Sample data, changes",
    "homeserver": "Sample data, media",
    "items": "Sample data, media in the ledger",
    "indexes": "Sample data, indexes",
}
PATIENCE = 60.0  # seconds for the server to answer
ASK_EVERY = 0.1
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach a server that listens everywhere


class Command(BaseCommand):
    help = "Set everything up with sample data and serve it, with changes arriving live. Ctrl-C ends it all."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1, or HOST)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000, or PORT); 0 takes any")

    def handle(self, *_args: Any, host: str, port: int, **_options: Any) -> None:
        stop_by_exit()
        port = check_address(host, port)
        with file_lock("demo") as ours:
            if not ours:
                msg = f"Another demo runs on this data ({settings.DATA_DIR}). End it, or set another DATA_DIR."
                raise CommandError(msg)
            self.prepare()
            self.run(host, port)

    def prepare(self) -> None:
        refuse_another_homeserver()
        call_command("prepare", stdout=self.stdout)
        self.say("Accounts …")
        accounts = make_accounts()
        if ledger.current().head == 0:
            self.fill([staff for staff in accounts if staff.may(Capability.ACT)])
        connections.close_all()

    def fill(self, staff: list[Staff]) -> None:
        with reporting(STEPS) as progress:
            filled = fill(
                changes=CHANGES, media=MEDIA, seed=SEED, staff=[*staff, *make_colleagues()], progress=progress
            )
        self.say(f"Sample data: {filled.changes:,} changes of {filled.media:,} media over the last 90 days.")

    def run(self, host: str, port: int) -> None:
        stop = threading.Event()
        with Children() as children:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: stop.set())
            self.say("Starting the server, the follower and the simulator …")
            children.start("serve", f"--host={host}", f"--port={port}")
            children.start("follow")
            children.start("simulate")
            dead = wait_until_ready(children, stop, host=host, port=port)
            if dead is None and not stop.is_set():
                self.welcome(host, port)
                dead = children.watch(stop)
            self.say("Ending …")
        if dead is not None:
            raise CommandError(obituary(dead))
        self.say("The demo has ended; what it recorded stays for the next time.")

    def welcome(self, host: str, port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        default = settings.DEMO_PASSWORD == DEFAULT_PASSWORD
        self.say(f"\nThe demo is ready: http://{shown}:{port}\n")
        for name in ROLES:
            self.say(f"  {name:<10} password {DEFAULT_PASSWORD if default else 'as in DEMO_PASSWORD'}")
        if settings.HTTPS:
            self.say("\nIt listens beyond this machine, so HTTPS is on: put a proxy that speaks HTTPS before it.")
        self.say(f"\nChanges arrive every few seconds. Ctrl-C ends it. Logs: {settings.DATA_DIR}/demo-*.log")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def stop_by_exit() -> None:
    """Until there are children to end, a signal just ends this process; what is half done is rolled back."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def check_address(host: str, port: int) -> int:
    """Refuse, before anything is touched, to listen where we can't or mustn't; the port, any free one for 0."""
    if not 0 <= port <= 65535:
        msg = "--port goes from 0 to 65535."
        raise CommandError(msg)
    try:
        if settings.DEMO_PASSWORD == DEFAULT_PASSWORD and not ports.is_loopback(host):
            msg = (
                f"With its default password the demo listens on loopback addresses only, not on {host}. "
                "Set DEMO_PASSWORD to one that only you know."
            )
            raise CommandError(msg)
        with ports.bind(host, port=port) as listener:
            return int(listener.getsockname()[1])
    except ports.AddressError as error:
        msg = f"{error} (With make: PORT=8001 make demo)"
        raise CommandError(msg) from error


def wait_until_ready(children: Children, stop: threading.Event, *, host: str, port: int) -> Child | None:
    """Return once the server answers or we are told to stop; a child that ended meanwhile is returned."""
    deadline = time.monotonic() + PATIENCE
    while not stop.is_set() and not answers(host, port):
        if (child := children.ended()) is not None:
            return child
        if time.monotonic() > deadline:
            return children.running[0]
        stop.wait(ASK_EVERY)
    return None


def answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(ANYWHERE.get(host, host), port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def obituary(child: Child) -> str:
    code = child.process.returncode
    return (
        f"`{child.name}` has ended by itself (exit code {code}), so the demo has too. Its last words:\n"
        f"{child.last_words()}\nAll of them: {child.log}"
    )
