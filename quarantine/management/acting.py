"""What `quarantine` and `release` share: the same plan, deed and outcome as in the browser."""

import json
import sys
import threading
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine import actions
from quarantine.actions import ActionError, Outcome
from quarantine.aims import Aim, AimError
from quarantine.fold import LedgerError
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.management.commands.follow import stop_on_signals
from quarantine.management.progress import reporting
from quarantine.models import Action, Fate, Staff, Verb, Work
from quarantine.performance import attempt
from quarantine.plans import Plan, PlanError, plan
from quarantine.preparation import require_prepared
from quarantine.staff import NotAllowedError, StaffError, account_of_terminal, find

INTERRUPTED = 130
RETRY_EVERY = 2.0  # seconds, while the homeserver is away
REPORT_EVERY = 0.5
REFUSED = (AimError, PlanError, ActionError, NotAllowedError, StaffError, LedgerError, HomeserverError)


class ActingCommand(BaseCommand):
    verb: Verb

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("media", nargs="*", metavar="MXC", help="media addresses, links, sha256 or user ids")
        parser.add_argument(
            "--user", action="append", default=[], metavar="USER", help="all that this local user uploaded"
        )
        parser.add_argument(
            "--room", action="append", default=[], metavar="ROOM", help="all that was posted in this room"
        )
        parser.add_argument(
            "--origin", action="append", default=[], metavar="SERVER", help="all of this server's media"
        )
        parser.add_argument("--sha256", action="append", default=[], metavar="HASH", help="all copies of this file")
        parser.add_argument(
            "--from-file", metavar="F", help="one address, link, sha256 or user id a line; - reads stdin"
        )
        parser.add_argument("--reason", default="", metavar="TEXT", help="for the history; needed to release")
        parser.add_argument("--category", default="other", metavar="SLUG", help="kind of reason (other)")
        parser.add_argument("--staff", metavar="NAME", help="the account on whose behalf; without it: terminal")
        parser.add_argument("--dry-run", action="store_true", help="show the plan, do nothing")
        parser.add_argument("--yes", action="store_true", help="don't ask before doing it")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            require_prepared()
            shown = plan(verb=self.verb, aim=aim_of(options), homeserver=gateway())
            self.show(shown)
            if options["dry_run"]:
                self.finish(options, {"dry_run": True, "asked": len(shown.items), "would_change": shown.affected})
                return
            self.confirm(shown, options)
            action = actions.start(
                shown, staff=staff_of(options), category=options["category"], reason=options["reason"]
            )
        except REFUSED as error:
            raise CommandError(f"{error} Nothing was done.") from error
        except (HomeserverAwayError, DatabaseError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"A database can't be read: {reason}. Nothing was done.") from error
        self.perform(action, options)

    def show(self, shown: Plan) -> None:
        copies = f", and {len(shown.copies):,} more with the same file" if shown.copies else ""
        self.stdout.write(
            f"{shown.verb.label}: {len(shown.items):,} asked for; {len(shown.changing):,} will change{copies}."
        )
        for label, names in (("Uploaders", shown.uploaders), ("Origins", shown.origins)):
            if names:
                more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
                self.stdout.write(f"{label}: {', '.join(map(printable, names[:5]))}{more}.")
        for fate in (Fate.ALREADY, Fate.PROTECTED, Fate.ABSENT, Fate.FAILED):
            if left := shown.of_fate(fate):
                self.stdout.write(f"{fate.label}: {len(left):,}, such as {printable(str(left[0].mxc))}.")
        for hint in shown.hints:
            self.stdout.write(printable(hint))
        if shown.more:
            self.stdout.write("There is more than one action takes: run this again afterwards for the rest.")

    def confirm(self, shown: Plan, options: dict[str, Any]) -> None:
        if options["yes"] or not shown.affected:
            return
        if not sys.stdin.isatty() or options["from_file"] == "-":
            msg = "Nobody can be asked here: add --yes to do it, or --dry-run to see the plan alone."
            raise CommandError(msg, returncode=2)
        if input(f"{shown.verb.label} {shown.affected:,} media items? [y/N] ").strip().lower() not in {"y", "yes"}:
            msg = "Nothing was done."
            raise CommandError(msg)

    def perform(self, action: Action, options: dict[str, Any]) -> None:
        """Until it is over, in this process; a homeserver that is away is waited for."""
        stop = stop_on_signals()
        with reporting({"items": self.verb.label}) as report:
            worker = threading.Thread(target=keep_at_it, args=[action, stop])
            worker.start()
            while worker.is_alive():
                worker.join(REPORT_EVERY)
                work = Work.objects.get(action=action)
                report("items", work.done, work.total, work.message)
        work = Work.objects.get(action=action)
        if work.status == Work.Status.WAITING:
            actions.pause(action, staff=action.staff)
        told = Outcome(**work.outcome)
        self.stdout.write(f"Action {action.pk}: {str(told).capitalize() if work.outcome else 'nothing done yet'}.")
        self.finish(options, {"action": action.pk, "status": work.status, "done": work.done, **asdict(told)})
        if work.status == Work.Status.WAITING:
            self.stderr.write(f"Interrupted; what is done is recorded. Resume it at /actions/{action.pk}/.")
            sys.exit(INTERRUPTED)
        if not work.over:
            raise CommandError(f"{work.message} What is done is recorded; resume it at /actions/{action.pk}/.")
        if told.failed or told.left:
            sys.exit(1)

    def finish(self, options: dict[str, Any], told: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(told))


def keep_at_it(action: Action, stop: threading.Event) -> None:
    while attempt(action, stop=stop) and not stop.is_set():
        stop.wait(RETRY_EVERY)


def aim_of(options: dict[str, Any]) -> Aim:
    return Aim.read(
        lines=[*options["media"], *lines_of(options["from_file"])],
        users=options["user"],
        rooms=options["room"],
        origins=options["origin"],
        hashes=options["sha256"],
    )


def lines_of(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--from-file {file} can't be read as text: {error}."
        raise CommandError(msg, returncode=2) from error
    return text.splitlines()


def staff_of(options: dict[str, Any]) -> Staff:
    return find(options["staff"]) if options["staff"] else account_of_terminal()


def printable(text: str) -> str:
    """For a terminal: strangers' text without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
