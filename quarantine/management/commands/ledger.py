"""manage.py ledger: what an operator does to the ledger as a whole."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine import ledger
from quarantine.fold import LedgerError


class Command(BaseCommand):
    help = "Begin a new generation of the ledger after failing over to a standby that may lack its newest changes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="new-generation")
        jump = verbs.add_parser("new-generation", help="go on at positions that nobody can have been given before")
        jump.add_argument("--json", action="store_true", help="one JSON object on the last line")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            held = ledger.new_generation()
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"The ledger's database can't be used: {str(error).strip().partition(chr(10))[0]}"
            raise CommandError(msg) from error
        self.stdout.write(
            f"The next change gets position {held.head + 1:,}. manage.py follow hears again what the standby lacked "
            "of the homeserver's stream; what the stream does not tell is found by: manage.py audit"
        )
        if options["json"]:
            self.stdout.write(json.dumps({"head": held.head, "left_out": held.left_out}))
