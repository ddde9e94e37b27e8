"""manage.py redact: blank personal data that must not be kept, without breaking the chain."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine.accounts.staff import StaffError, find
from quarantine.chain import redaction
from quarantine.chain.redaction import Redaction, RedactionError, UnfitRowError
from quarantine.fold import LedgerError
from quarantine.management.progress import reporting
from quarantine.models import Action, Alert, Change, Staff
from quarantine.mxc import Mxc, MxcError
from quarantine.preparation import require_prepared


class Command(BaseCommand):
    help = (
        "Blank personal data for good: of one media item, one user, one action or one alert. The chain goes on fitting."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        of = parser.add_mutually_exclusive_group(required=True)
        of.add_argument("--media", metavar="MXC", help="uploader and file name")
        of.add_argument("--user", metavar="USER", help="a Matrix user, or a disabled account's name")
        of.add_argument(
            "--action", type=int, metavar="N", help="what it was aimed at, the reason, and the notes of approvals"
        )
        of.add_argument("--alert", type=int, metavar="N", help="the note of who acknowledged it")
        parser.add_argument("--reason", required=True, metavar="TEXT", help="kept on record: name nobody in it")
        parser.add_argument("--staff", metavar="NAME", help="the account on whose behalf; without it: terminal")
        parser.add_argument("--dry-run", action="store_true", help="show what would be blanked, blank nothing")
        parser.add_argument("--yes", action="store_true", help="don't ask before doing it")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            require_prepared()
            by = find(options["staff"]) if options["staff"] else None
            redaction.check_reason(options["reason"])
            wanted = wanted_of(options)
            redaction.check_account(wanted)
            self.go(wanted, options, by=by)
        except UnfitRowError as error:
            msg = f"{error} What was blanked before it stays blanked; run the same again afterwards."
            raise CommandError(msg) from error
        except (RedactionError, StaffError, MxcError) as error:
            raise CommandError(f"{error} Nothing was blanked.", returncode=2) from error
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"{str(error).strip().partition('\n')[0]}. Run the same again: it goes on with what is left."
            raise CommandError(msg) from error

    def go(self, wanted: Redaction, options: dict[str, Any], *, by: Staff | None) -> None:
        counts = wanted.counts()
        told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
        self.stdout.write(f"Rows with something to blank: {told}.")
        if options["dry_run"]:
            self.finish(options, {"dry_run": True, "rows": counts})
            return
        self.confirm(options)
        total = sum(counts.values())
        with reporting({"rows": "Rows blanked"}) as report:
            rows = redaction.redact(
                wanted, reason=options["reason"], by=by, progress=lambda done: report("rows", done, max(done, total))
            )
        self.stdout.write(
            f"{rows:,} rows blanked. What the homeserver still holds can come in again with its next change."
        )
        self.finish(options, {"dry_run": False, "blanked": rows})

    def confirm(self, options: dict[str, Any]) -> None:
        """Go on only if somebody wants it; exits with 1 where they don't, with 2 where nobody can be asked."""
        if options["yes"]:
            return
        if not sys.stdin.isatty():
            msg = "Nobody can be asked here: add --yes to do it, or --dry-run to see the plan alone."
            raise CommandError(msg, returncode=2)
        try:
            answer = input("Blank them for good? Nobody can undo it. [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in {"y", "yes"}:
            self.stdout.write("Nothing was blanked.")
            raise SystemExit(1)

    def finish(self, options: dict[str, Any], told: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(told))


def wanted_of(options: dict[str, Any]) -> Redaction:
    """Raises RedactionError and MxcError."""
    if options["media"] is not None:
        mxc = Mxc.parse(options["media"])
        if not Change.objects.filter(origin=mxc.origin, media_id=mxc.media_id).exists():
            msg = f"The ledger knows no media {mxc}."
            raise RedactionError(msg)
        return redaction.of_media(mxc)
    if options["user"] is not None:
        if not options["user"] or "\0" in options["user"]:
            msg = "--user is a name."
            raise RedactionError(msg)
        return redaction.of_user(options["user"])
    if options["alert"] is not None:
        if not Alert.objects.filter(pk=options["alert"]).exists():
            msg = f"There is no alert {options['alert']}."
            raise RedactionError(msg)
        return redaction.of_alert(options["alert"])
    if not Action.objects.filter(pk=options["action"]).exists():
        msg = f"There is no action {options['action']}."
        raise RedactionError(msg)
    return redaction.of_action(options["action"])
