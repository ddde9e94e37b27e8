"""manage.py simulate: people who keep using the sample homeserver, so that the timeline moves."""

import logging
import signal
import threading
from argparse import ArgumentParser
from random import Random
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connections

from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.router import ALIAS
from quarantine.preparation import require_prepared
from quarantine.sample.simulator import Simulator

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Keep acting on the sample homeserver every few seconds. Refuses when a real one is attached."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--steps", type=int, default=None, metavar="N", help="stop after so many (never)")

    def handle(self, *_args: Any, steps: int | None, **_options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if settings.HOMESERVER_ATTACHED:
            msg = "A real homeserver is attached (HOMESERVER_DATABASE_URL); only the sample homeserver is played with."
            raise CommandError(msg)
        try:
            require_prepared()
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"A database can't be used: {str(error).strip().partition('\n')[0]}"
            raise CommandError(msg) from error
        self.play(stop, steps=steps)

    def play(self, stop: threading.Event, *, steps: int | None) -> None:
        simulator = Simulator(Random())  # noqa: S311 - a play, not a secret
        done = 0
        while not stop.is_set() and done != steps:
            try:
                self.stdout.write(simulator.step())
                self.stdout.flush()
            except (OperationalError, HomeserverAwayError) as error:
                # Another process held the file for too long.
                logger.warning("Nothing happened this time: %s", error)
                connections[ALIAS].close()
            done += 1
            if done != steps:
                stop.wait(simulator.pause())
