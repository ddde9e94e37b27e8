"""What `quarantine` and `release` share: the same plan, deed and outcome as in the browser."""

import json
import sys
import threading
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, connections

from quarantine.accounts.staff import NotAllowedError, StaffError, account_of_terminal, find, require
from quarantine.acting import actions
from quarantine.acting.actions import ActionError, Outcome, ReasonError
from quarantine.acting.aims import Aim, AimError
from quarantine.acting.plans import Plan, PlanError, plan
from quarantine.fold import LedgerError
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.gateway import HomeserverError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.management.commands.follow import stop_on_signals
from quarantine.management.progress import reporting
from quarantine.models import Action, Capability, Fate, Staff, Verb, Work
from quarantine.performance import UNDER_WAY
from quarantine.preparation import require_prepared
from quarantine.worker import REST, attempt

INTERRUPTED = 130
HELD = 3  # exit code: it waits for approval
RETRY_EVERY = 2.0  # seconds, while the homeserver is away
REPORT_EVERY = 0.5
LONG = 1_000  # names; to look these up takes a second
WRONGLY_ASKED = (AimError, ReasonError, StaffError)
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
        kind = "other" if self.verb in actions.NEEDS_KIND else ""
        known = f"kind of reason ({kind or 'none'}); to list them, give one that there is not, such as list"
        parser.add_argument("--category", default=kind, metavar="SLUG", help=known)
        parser.add_argument("--staff", metavar="NAME", help="the account on whose behalf; without it: terminal")
        parser.add_argument("--dry-run", action="store_true", help="show the plan, do nothing")
        parser.add_argument("--yes", action="store_true", help="don't ask before doing it")
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            action = self.begin(options)
        except KeyboardInterrupt as error:
            self.stdout.write("")
            self.stdout.write("Nothing was done.")
            raise SystemExit(INTERRUPTED) from error
        except REFUSED as error:
            wrong = isinstance(error, WRONGLY_ASKED)
            raise CommandError(f"{error} Nothing was done.", returncode=2 if wrong else 1) from error
        except (HomeserverAwayError, DatabaseError, InterfaceError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"A database can't be read: {reason}. Nothing was done.") from error
        if action is None:
            return
        if action.work.status == Work.Status.HELD:
            self.tell_held(action, options)
        try:
            self.perform(action, options)
        except (DatabaseError, InterfaceError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise CommandError(f"A database went away: {reason}. {self.resume_at(action)}") from error

    def begin(self, options: dict[str, Any]) -> Action | None:
        """Show the plan and record the action; None where nothing shall be done."""
        require_prepared()
        staff = staff_of(options)
        require(staff, Capability.ACT)
        if options["dry_run"] and options["category"] not in {"", "other"}:  # a plan alone needs no reason
            actions.check_kind(options["category"])
        if not options["dry_run"]:
            actions.check_reason(self.verb, category=options["category"], reason=options["reason"])
        aim = aim_of(options)
        if aim.size > LONG:
            self.stderr.write(f"Looking up {aim.size:,} names…")
        shown = plan(verb=self.verb, aim=aim, homeserver=gateway())
        self.show(shown)
        if options["dry_run"]:
            self.finish(options, {"dry_run": True, "asked": len(shown.items), "would_change": shown.affected})
            return None
        if why := actions.check_allowed(shown, staff=staff):
            self.stdout.write(f"{why} The two-person rule is on: it will wait until somebody else approves it.")
        if shown.affected:
            self.confirm(shown, options)
        return actions.start(shown, staff=staff, category=options["category"], reason=options["reason"])

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
        """Go on only if somebody wants it; exits with 1 where they don't, with 2 where nobody can be asked."""
        if options["yes"]:
            return
        if not sys.stdin.isatty() or options["from_file"] == "-":
            msg = "Nobody can be asked here: add --yes to do it, or --dry-run to see the plan alone."
            raise CommandError(msg, returncode=2)
        items = "media item" if shown.affected == 1 else "media items"
        try:
            answer = input(f"{shown.verb.label} {shown.affected:,} {items}? [y/N] ")
        except EOFError:
            answer = ""
            self.stdout.write("")
        if answer.strip().lower() not in {"y", "yes"}:
            self.stdout.write("Nothing was done.")
            raise SystemExit(1)

    def tell_held(self, action: Action, options: dict[str, Any]) -> NoReturn:
        self.finish(options, {"action": action.pk, "status": Work.Status.HELD, "done": 0})
        until = action.proposal.expires_at
        msg = (
            f"Nothing was done yet: a second person, a lead or an admin, has to approve it at /actions/{action.pk}/ "
            f"before {until:%Y-%m-%d %H:%M} UTC."
        )
        raise CommandError(msg, returncode=HELD)

    def perform(self, action: Action, options: dict[str, Any]) -> None:
        """Until it is over, in this process; a homeserver that is away is waited for."""
        stop = stop_on_signals()
        with reporting({"items": str(self.verb.label)}) as report, ThreadPoolExecutor(1) as pool:
            worker = pool.submit(keep_at_it, action, stop)
            try:
                while not worker.done():
                    wait([worker], timeout=REPORT_EVERY)
                    work = Work.objects.get(action=action)
                    report("items", work.done, work.total, work.message)
                worker.result()
            finally:
                stop.set()
        interrupted = goes_on(action)
        if interrupted:
            actions.pause(action, staff=action.staff)
        self.tell(action, options, interrupted=interrupted)

    def tell(self, action: Action, options: dict[str, Any], *, interrupted: bool) -> None:
        """What came of it; the exit code says whether all of it did."""
        work = Work.objects.get(action=action)
        told = Outcome(**work.outcome)
        self.stdout.write(f"Action {action.pk}: {str(told).capitalize()}.")
        self.finish(options, {"action": action.pk, "status": work.status, "done": work.done, **asdict(told)})
        if work.status == Work.Status.STOPPED:
            raise CommandError(f"{work.message} {self.resume_at(action)}")
        if not work.over:
            how = "Paused by somebody" if work.status == Work.Status.PAUSED and not interrupted else "Interrupted"
            raise CommandError(f"{how}. {self.resume_at(action)}", returncode=INTERRUPTED)
        if told.failed or told.left or work.status == Work.Status.CANCELLED:
            raise SystemExit(1)

    def resume_at(self, action: Action) -> str:
        return f"What is done is recorded; resume the rest at /actions/{action.pk}/."

    def finish(self, options: dict[str, Any], told: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(told))


def keep_at_it(action: Action, stop: threading.Event) -> None:
    """Until it is over or somebody wants a stop; also while another process, such as the follower, does it."""
    try:
        while not stop.is_set():
            after = attempt(action, stop=stop, rest=REST)
            if not goes_on(action):
                return
            stop.wait(max(RETRY_EVERY, after or 0.0))
    finally:
        connections.close_all()


def goes_on(action: Action) -> bool:
    """Whether it is neither over, nor stopped or paused."""
    return Work.objects.filter(action=action, status__in=UNDER_WAY).exists()


def aim_of(options: dict[str, Any]) -> Aim:
    aim = Aim.read(
        lines=[*options["media"], *lines_of(options["from_file"])],
        users=options["user"],
        rooms=options["room"],
        origins=options["origin"],
        hashes=options["sha256"],
    )
    if not aim.size:
        msg = "Nothing was chosen: name media, or a --user, --room, --origin, --sha256 or --from-file."
        raise AimError(msg)
    return aim


def lines_of(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--from-file {file} can't be read as text: {error}."
        raise CommandError(msg, returncode=2) from error
    return text.removeprefix("\ufeff").splitlines()


def staff_of(options: dict[str, Any]) -> Staff:
    return find(options["staff"]) if options["staff"] else account_of_terminal()


def printable(text: str) -> str:
    """For a terminal: strangers' text without what a terminal would obey."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
