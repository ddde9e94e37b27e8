"""manage.py export: the same bytes as the export in the browser."""

import sys
from argparse import ArgumentParser
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError
from django.http import QueryDict

from dashboard.exports.exports import CONTENT_TYPES, Export, ExportFilter
from dashboard.management.output import refusing
from dashboard.views.exports import Taken
from quarantine import ledger
from quarantine.fold import LedgerError
from quarantine.models import Change


class Command(BaseCommand):
    help = "Write the ledger's changes, newest first, as CSV, JSON or NDJSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=sorted(CONTENT_TYPES), default="csv")
        parser.add_argument("--output", metavar="F", help="a file; standard output without it")
        parser.add_argument(
            "--filter", action="append", default=[], metavar="NAME=VALUE", help="as in the timeline's URL; repeatable"
        )

    def handle(self, *_args: Any, output: str | None, **options: Any) -> None:
        filters = ExportFilter(parse(options["filter"]), queryset=Change.objects.all())
        if not filters.is_valid():
            raise CommandError(" ".join(filters.problems), returncode=2)
        try:
            export = Export(filters=filters, form=options["format"], head=ledger.current().head)
            with ExitStack() as stack:
                out = self.opened(output, stack)
                write(export, out, asked="&".join(options["filter"]))
        except BrokenPipeError:
            sys.stderr.close()  # `export | head`: whoever read has had enough
        except (LedgerError, OSError) as error:
            raise CommandError(str(error)) from error
        if output:
            self.stderr.write(f"{export.rows:,} changes written to {output}.")

    def opened(self, output: str | None, stack: ExitStack) -> IO[bytes]:
        if not output:
            return sys.stdout.buffer
        with refusing(output):
            return stack.enter_context(Path(output).open("wb"))


def write(export: Export, out: IO[bytes], *, asked: str) -> None:
    chunks = Taken(staff=None, filters=asked).told(export, f"quarantine-changes.{export.form}")
    with closing(chunks):
        for chunk in chunks:
            out.write(chunk)
    out.flush()


def parse(pairs: list[str]) -> QueryDict:
    query = QueryDict(mutable=True)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            msg = f"--filter {pair}: it is name=value, as in --filter state=released."
            raise CommandError(msg, returncode=2)
        query.appendlist(name, value)
    return query
