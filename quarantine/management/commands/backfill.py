"""manage.py backfill: record what was quarantined before the ledger looked."""

from argparse import ArgumentParser
from typing import Any

from quarantine.management.walking import WalkingCommand, tables
from quarantine.models import Run


class Command(WalkingCommand):
    help = "Walk the homeserver's media tables gently and record quarantined media the ledger lacks."
    kind = Run.Kind.BACKFILL

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="walk and count, record nothing")

    def handle(self, *_args: Any, **options: Any) -> None:
        report = self.run_job(options, over=tables(options), write=not options["dry_run"])
        if options["dry_run"] and not report.interrupted:
            self.stdout.write(f"Dry run: {report.drift:,} would be recorded. Nothing was.")
        self.finish(report, options)
