"""manage.py audit: compare the ledger with the homeserver, both ways."""

from argparse import ArgumentParser
from typing import Any

from quarantine.management.walking import WalkingCommand, tables
from quarantine.models import Leg, Run

DRIFT = 2


class Command(WalkingCommand):
    help = "Compare the ledger with the homeserver's media tables, both ways, and record what differs."
    kind = Run.Kind.AUDIT

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--report-only", action="store_true", help="record nothing; exit 2 if anything differs")

    def handle(self, *_args: Any, **options: Any) -> None:
        over = [*tables(options), Leg.Over.HELD]
        report = self.run_job(options, over=over, write=not options["report_only"])
        if options["report_only"]:
            self.stdout.write(f"{report.drift:,} differences found, none recorded.")
        self.finish(report, options, exit_code=DRIFT if options["report_only"] and report.drift else 0)
