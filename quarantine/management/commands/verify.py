"""manage.py verify: check that the record still says what was recorded."""

import json
import re
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from quarantine.chain.verification import Checked, Table, tables
from quarantine.chain.verifiers import InterruptedCheckError, check_in_parts, helpers
from quarantine.fold import LedgerError
from quarantine.management.commands.follow import stop_on_signals
from quarantine.management.progress import reporting
from quarantine.preparation import require_prepared

DOES_NOT_FIT, INTERRUPTED = 2, 130
LEDGER = "ledger"
KEPT = re.compile(r"(?:([a-z]+):)?([0-9]{1,18}):([0-9a-f]{64})")
UPTO = re.compile(r"(?:([a-z]+):)?([0-9]{1,18})")

type Kept = tuple[str, int, bytes]
type Upto = tuple[str, int]


class Command(BaseCommand):
    help = "Check every row of the record against its digest, and every digest against the chain. Exit 2 if something does not fit."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=position, metavar="N", help="of the ledger alone, from here")
        parser.add_argument("--to", dest="last", type=position, metavar="N", help="of the ledger alone, up to here")
        parser.add_argument(
            "--expect",
            type=kept,
            action="append",
            default=[],
            metavar="POSITION:HASH",
            help="a head that was kept; repeatable",
        )
        parser.add_argument(
            "--unsealed-to", type=upto, action="append", default=[], metavar="POSITION",
            help="an earlier release wrote beside this one up to here: rows may lack a seal",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")

    def handle(self, *_args: Any, **options: Any) -> None:
        began = time.monotonic()
        try:
            require_prepared()
            done = check_all(chosen_tables(options), first=options["first"] or 1, last=options["last"])
        except InterruptedCheckError:
            self.stdout.write("Interrupted. Nothing was found so far; it begins anew next time.")
            sys.exit(INTERRUPTED)
        except BrokenProcessPool as error:
            msg = "A process that helped was ended from outside, for want of memory perhaps. Run it again."
            raise CommandError(msg) from error
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"The ledger's database can't be read: {str(error).strip().partition('\n')[0]}"
            raise CommandError(msg) from error
        self.finish(done, seconds=time.monotonic() - began, as_json=options["json"])

    def finish(self, done: dict[str, Checked], *, seconds: float, as_json: bool) -> None:
        for name, checked in done.items():
            self.stdout.write(in_words(name, checked))
        fits = all(checked.fault is None for checked in done.values())
        heads = [head_of(name, checked) for name, checked in done.items() if checked.head and checked.fault is None]
        if heads:
            self.stdout.write(
                "Keep these where nobody who can write to this database can; give them to --expect later:"
            )
            self.stdout.write("\n".join(heads))
        if as_json:
            told = {name: as_told(checked) for name, checked in done.items()}
            self.stdout.write(json.dumps({"fits": fits, "seconds": round(seconds, 3), "tables": told}))
        if not fits:
            sys.exit(DOES_NOT_FIT)


def check_all(chosen: list[Table], *, first: int, last: int | None) -> dict[str, Checked]:
    """One after the other, with progress. Raises InterruptedCheckError after Ctrl-C or SIGTERM."""
    stop, done = stop_on_signals(), {}
    titles = {table.name: table.name.capitalize() for table in chosen}
    with helpers(chosen, first=first, last=last) as pool, reporting(titles) as report:
        for table in chosen:
            progress = shown(report, table.name, first=first)
            done[table.name] = check_in_parts(table, first=first, last=last, pool=pool, stop=stop, progress=progress)
    return done


def chosen_tables(options: dict[str, Any]) -> list[Table]:
    """All, or the ledger alone where a range of it was asked for. Raises CommandError for names there are not."""
    known = {table.name: table for table in tables()}
    for name, *_ in [*options["expect"], *options["unsealed_to"]]:
        if name not in known:
            msg = f"There is no table {name}. There are: {', '.join(known)}."
            raise CommandError(msg, returncode=2)
    first, last = options["first"] or 1, options["last"]
    if last is not None and last < first:
        msg = "--to must not be lower than --from."
        raise CommandError(msg, returncode=2)
    outside = [at for _, at, _ in options["expect"] if at < first or (last is not None and at > last)]
    if outside:
        msg = f"--expect names position {outside[0]}, which is not between --from and --to."
        raise CommandError(msg, returncode=2)
    return [
        replace(
            table,
            expected={at: value for of, at, value in options["expect"] if of == name},
            open_to=max((at for of, at in options["unsealed_to"] if of == name), default=None),
        )
        for name, table in known.items()
        if name == LEDGER or (options["first"] is None and last is None)
    ]


def shown(report: Any, name: str, *, first: int) -> Any:
    began = time.monotonic()

    def show(at: int, end: int) -> None:
        report(name, at, end, f"{int((at - first) / max(time.monotonic() - began, 0.001)):,} a second")

    return show


def in_words(name: str, checked: Checked) -> str:
    if checked.fault is not None:
        return f"{name}: DOES NOT FIT at {checked.fault.position}: {checked.fault.what}."
    unsealed = f"; {checked.unsealed:,} of them unsealed, from before there were seals" if checked.unsealed else ""
    redacted = f"; {checked.redacted:,} redacted" if checked.redacted else ""
    return f"{name}: {checked.rows:,} rows fit{unsealed}{redacted}."


def head_of(name: str, checked: Checked) -> str:
    return f"{name}:{checked.position}:{(checked.head or b'').hex()}"


def as_told(checked: Checked) -> dict[str, Any]:
    return asdict(checked) | {"head": checked.head.hex() if checked.head else None}


def position(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        msg = f"{text} is not a position."
        raise ArgumentTypeError(msg)
    return int(text)


def kept(text: str) -> Kept:
    """`[TABLE:]POSITION:HASH`; the ledger's without a table."""
    parts = KEPT.fullmatch(text)
    if parts is None:
        msg = "It looks like ledger:1204877:9f2c…, with 64 hexadecimal digits, as verify prints it."
        raise ArgumentTypeError(msg)
    return parts[1] or LEDGER, int(parts[2]), bytes.fromhex(parts[3])


def upto(text: str) -> Upto:
    parts = UPTO.fullmatch(text)
    if parts is None:
        msg = "It is a position, or a table and a position: actions:1200."
        raise ArgumentTypeError(msg)
    return parts[1] or LEDGER, int(parts[2])
