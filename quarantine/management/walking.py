"""What `backfill` and `audit` share: their options, their progress, their exit codes."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine.backfill import LOCK, TABLES, Job, Report
from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.locks import only_one
from quarantine.management.commands.follow import stop_on_signals
from quarantine.management.progress import Report as Progress
from quarantine.management.progress import reporting
from quarantine.models import Leg, Run
from quarantine.preparation import require_prepared
from quarantine.walk import Pace

LOCKED, INTERRUPTED = 3, 130


class WalkingCommand(BaseCommand):
    kind: Run.Kind

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--table", choices=["local", "remote", "both"], default="both")
        parser.add_argument("--window", type=int, default=128, metavar="PAGES", help="pages a statement reads at most")
        parser.add_argument("--rest", type=float, default=0.0, metavar="FRACTION", help="of the time, 0 to 0.95")
        parser.add_argument("--max-statement-ms", type=int, default=50, metavar="N", help="the window shrinks to fit")
        parser.add_argument(
            "--max-snapshot", type=float, default=15.0, metavar="S", help="seconds one snapshot is held"
        )
        parser.add_argument("--restart", action="store_true", help="begin anew instead of going on")
        parser.add_argument("--no-input", action="store_true", help="ask nothing")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def run_job(self, options: dict[str, Any], *, over: Sequence[str], write: bool) -> Report:
        """Run under the lock. Raises CommandError with INTERFACE's exit codes: 1 failed, 3 another run holds the lock."""
        stop = stop_on_signals()
        with only_one(LOCK) as ours, reporting({over.value: str(over.label) for over in Leg.Over}) as report:
            if not ours:
                msg = "Another backfill or audit is running; it holds the lock. Nothing was done."
                raise CommandError(msg, returncode=LOCKED)
            progress = shown(report, began=time.monotonic())
            job = Job(kind=self.kind, over=over, stop=stop, pace=pace(options), write=write, progress=progress)
            try:
                require_prepared()
                return job.go(restart=options["restart"])
            except LedgerError as error:
                raise CommandError(str(error)) from error
            except (HomeserverAwayError, DatabaseError) as error:
                reason = str(error).strip().partition("\n")[0].removesuffix(".")
                msg = f"{reason}. Nothing is lost: run the same command again to go on."
                raise CommandError(msg) from error

    def finish(self, report: Report, options: dict[str, Any], *, exit_code: int = 0) -> None:
        """Say what was done, and end with the exit code."""
        summary = (
            f"{report.scanned:,} rows read, {report.found:,} quarantined found, {report.recorded:,} recorded, "
            f"{report.already:,} known already, {report.late:,} no longer so. "
            f"Longest statement {report.longest_statement_ms:g} ms, {report.seconds:.1f} s."
        )
        self.stdout.write(summary)
        if report.interrupted:
            self.stdout.write("Interrupted. Run the same command again to go on where it stopped.")
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
        if report.interrupted or exit_code:
            sys.exit(INTERRUPTED if report.interrupted else exit_code)


def shown(report: Progress, *, began: float) -> Callable[[Leg, int, int], None]:
    """The job's progress in the words of a terminal: position, rows, rate."""

    def show(leg: Leg, position: int, scanned: int) -> None:
        rate = int(scanned / max(time.monotonic() - began, 0.001))
        again = f", pass {leg.passes}" if leg.passes > 1 else ""
        detail = f"{scanned:,} rows, {rate:,} a second, {leg.recorded:,} recorded{again}"
        report(leg.over, position, leg.end, detail)

    return show


def pace(options: dict[str, Any]) -> Pace:
    """The options as a Pace; raises CommandError (2) for what can't be meant."""
    bounds = {"window": (1, 100_000), "rest": (0, 0.95), "max_statement_ms": (1, 60_000), "max_snapshot": (0.1, 3_600)}
    for name, (least, most) in bounds.items():
        if not least <= options[name] <= most:
            msg = f"--{name.replace('_', '-')} must be between {least:g} and {most:g}."
            raise CommandError(msg, returncode=2)
    return Pace(**{name: options[name] for name in bounds})


def tables(options: dict[str, Any]) -> list[str]:
    return list(TABLES) if options["table"] == "both" else [options["table"]]
