"""manage.py alerts: whether alerts reach anybody, and looking for them without a process that follows."""

import threading
from argparse import ArgumentParser
from typing import Any
from uuid import uuid4

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from quarantine.alerting import alerts
from quarantine.alerting.alert_texts import test_message
from quarantine.alerting.alert_ways import NotSentError, send
from quarantine.alerting.configured import configured
from quarantine.alerting.deliveries import deliver
from quarantine.fold import LedgerError
from quarantine.preparation import require_prepared


class Command(BaseCommand):
    help = "test: send a test alert over every way that is set up. check: look for alerts and send what is due, once."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=("test", "check"))

    def handle(self, *_args: Any, do: str, **_options: Any) -> None:
        if do == "test":
            self.test()
        else:
            self.check_once()

    def test(self) -> None:
        ways = configured()
        if not ways:
            msg = "No way is set up: docs/alerts.md says which settings there are."
            raise CommandError(msg, returncode=2)
        failed = 0
        for way in ways:
            try:
                send(way, test_message(), identity=uuid4())
            except NotSentError as error:
                failed += 1
                self.stdout.write(f"{way.label}: not sent. {error}")
            else:
                self.stdout.write(f"{way.label}: sent.")
        if failed:
            msg = f"{failed} of {len(ways)} failed."
            raise CommandError(msg)

    def check_once(self) -> None:
        try:
            require_prepared()
            alerts.look()
            sent = deliver(stop=threading.Event())
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            msg = "The ledger's database can't be used."
            raise CommandError(msg) from error
        self.stdout.write(f"Looked; {sent} sent.")
