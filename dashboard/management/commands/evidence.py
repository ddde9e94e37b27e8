"""manage.py evidence: what is on record of one media item, user or action, as a zip."""

import os
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from dashboard.exports.evidence import Evidence
from dashboard.exports.evidence_subjects import KINDS, subject_of
from dashboard.management.output import refusing
from dashboard.views.exports import Taken
from quarantine.accounts.access_record import TERMINAL
from quarantine.chain.evidence import NoEvidenceError, find
from quarantine.fold import LedgerError
from quarantine.models import Access
from quarantine.preparation import require_prepared


class Command(BaseCommand):
    help = "Write what is on record of one media item, user or action into a zip, with what vouches for it. No media."

    def add_arguments(self, parser: ArgumentParser) -> None:
        of = parser.add_mutually_exclusive_group(required=True)
        of.add_argument("--media", metavar="MXC")
        of.add_argument("--user", metavar="USER", help="a Matrix user, or an account's name")
        of.add_argument("--action", metavar="N")
        parser.add_argument("--output", metavar="F", required=True, help="a file that is not there yet")

    def handle(self, *_args: Any, output: str, **options: Any) -> None:
        [(kind, text)] = [(kind, options[kind]) for kind in KINDS if options[kind] is not None]
        try:
            require_prepared()
            subject = subject_of(kind, text)
            evidence = Evidence(subject=subject, found=find(subject), by=TERMINAL)
            write(evidence, output, asked=f"{kind}={text}")
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=2) from error
        except NoEvidenceError as error:
            msg = f"Nothing is on record of {subject.title}."
            raise CommandError(msg) from error
        except (LedgerError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{evidence.rows:,} records written to {output}.")


def write(evidence: Evidence, output: str, *, asked: str) -> None:
    """For its owner's eyes alone; what was begun and not finished is not left behind."""
    with refusing(output):
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    taken = Taken(staff=None, filters=asked, what=Access.EVIDENCE)
    whole = False
    try:
        with os.fdopen(file, "wb") as out, closing(taken.told(evidence, Path(output).name)) as chunks:
            for chunk in chunks:
                out.write(chunk)
        whole = True
    finally:
        if not whole:
            Path(output).unlink()
