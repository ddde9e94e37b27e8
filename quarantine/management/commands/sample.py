"""manage.py sample: fill an empty ledger, and the sample homeserver with it, with believable data."""

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine.fold import LedgerError
from quarantine.management.progress import reporting
from quarantine.preparation import require_prepared
from quarantine.sample.fill import SampleError, fill, require_empty
from quarantine.sample.people import make_colleagues

STEPS = {
    "ledger": "Changes in the ledger",
    "homeserver": "Media on the homeserver",
    "items": "Media in the ledger",
    "indexes": "Indexes",
}
MOST = 10_000_000


class Command(BaseCommand):
    help = "Fill an empty ledger and the sample homeserver with 90 days of believable data, the same for the same seed."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--changes", type=int, default=5_000, metavar="N", help="changes in the ledger (5000)")
        parser.add_argument("--media", type=int, default=6_000, metavar="N", help="media ever on the homeserver (6000)")
        parser.add_argument("--seed", type=int, default=1, metavar="S", help="another number is another story (1)")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, changes: int, media: int, seed: int, json: bool, **_options: Any) -> None:
        if not (1 <= changes <= MOST and 1 <= media <= MOST):
            msg = f"--changes and --media go from 1 to {MOST:,}."
            raise CommandError(msg, returncode=2)
        started = time.monotonic()
        try:
            require_prepared()
            require_empty()
            with reporting(STEPS) as progress:
                filled = fill(changes=changes, media=media, seed=seed, staff=make_colleagues(), progress=progress)
        except (SampleError, LedgerError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"A database can't be used: {str(error).strip().partition('\n')[0]}"
            raise CommandError(msg) from error
        self.report(asdict(filled) | {"seconds": round(time.monotonic() - started, 3)}, as_json=json)

    def report(self, filled: dict[str, float], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(filled))
            return
        self.stdout.write(
            f"{filled['changes']:,} changes of {filled['media']:,} media, and {filled['actions']:,} actions of staff, "
            f"in {filled['seconds']} s."
        )
