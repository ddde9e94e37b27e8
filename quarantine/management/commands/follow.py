"""manage.py follow: keep the ledger up to date with the homeserver."""

import json
import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import asdict
from datetime import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from quarantine.alerting import alerts, deliveries
from quarantine.alerting.alerts import Watch
from quarantine.alerting.configured import note_ways
from quarantine.alerting.deliveries import deliver
from quarantine.counting.rollup import RollUp
from quarantine.fold import LedgerError
from quarantine.follow import Totals, follow, follow_once
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.loops import keep_doing
from quarantine.preparation import require_prepared
from quarantine.runner import Runner
from quarantine.worker import Worker


class Command(BaseCommand):
    help = "Follow the homeserver's feed into the ledger, and sweep for media it quarantined by hash."
    # They read every page's code, and on SQLite open the ledger, with a traceback where that can't be.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="read to the end there is now, then stop")
        parser.add_argument("--interval", type=float, default=0.5, metavar="S", help="seconds between reads (0.5)")
        parser.add_argument("--audit-at", type=time_of_day, metavar="HH:MM", help="audit each night at this time, UTC")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, once: bool, interval: float, audit_at: time | None, json: bool, **_: Any) -> None:
        if not 0.01 <= interval <= 3600:
            msg = "--interval must be between 0.01 and 3600 seconds."
            raise CommandError(msg, returncode=2)
        stop = stop_on_signals()
        try:
            require_prepared()
            totals = follow_once(stop=stop) if once else go_on(stop, interval=interval, audit_at=audit_at)
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except HomeserverAwayError as error:
            msg = f"The homeserver's database can't be read: {error}"
            raise CommandError(msg) from error
        except (DatabaseError, InterfaceError) as error:
            reason = str(error).strip().partition("\n")[0]
            msg = f"The ledger's database can't be used: {reason}. If it is new or old: manage.py prepare"
            raise CommandError(msg) from error
        self.report(totals, as_json=json)

    def report(self, totals: Totals, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(asdict(totals)))
            return
        self.stdout.write(
            f"{totals.recorded} recorded, {totals.swept} found by the sweep, {totals.repeated} repeats. "
            f"The ledger is at {totals.head}, the feed at {totals.position}, open holes: {totals.open_holes}."
        )
        if not totals.complete:
            self.stdout.write("The end of the feed was not reached: rows wait behind one that may still come.")


def go_on(stop: threading.Event, *, interval: float, audit_at: time | None) -> Totals:
    """Alerts have threads of their own: people have to be told above all while nothing can be followed."""
    note_ways()
    threads = [
        keep_doing(Watch(stop), name="alerts", stop=stop, every=alerts.LOOK_EVERY),
        keep_doing(lambda: deliver(stop=stop), name="deliveries", stop=stop, every=deliveries.LOOK_EVERY),
    ]
    try:
        return follow(stop=stop, interval=interval, also=beside(stop, audit_at))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def beside(stop: threading.Event, audit_at: time | None) -> Callable[[], None]:
    """What this process does beside following: the runs and the actions that wait for it, and adding up."""
    runner, worker, adder = Runner(stop, audit_at=audit_at), Worker(stop), RollUp(stop)

    def tick() -> None:
        runner.tick()
        worker.tick()
        adder.tick()

    return tick


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set, so that a step under way is finished first. A second signal ends at once."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def time_of_day(text: str) -> time:
    try:
        hours, _, minutes = text.partition(":")
        return time(int(hours), int(minutes))
    except ValueError as error:
        msg = f"{text} is not a time of day; it looks like 03:00."
        raise ArgumentTypeError(msg) from error
