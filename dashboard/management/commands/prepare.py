"""manage.py prepare: make everything ready for this version of the code. Safe to repeat."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from dashboard.serving import readiness
from quarantine import feed, ledger, name_words
from quarantine.counting.rollup import next_block, roll_up
from quarantine.fold import LedgerError
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.management.progress import reporting
from quarantine.preparation import migrate_all, refuse_another_homeserver

NAMES = {"default": "Ledger", "homeserver": "Sample homeserver"}


class Command(BaseCommand):
    help = "Migrate the databases, bind the ledger to its homeserver and collect static files. Safe to repeat."
    requires_system_checks = ()  # they open the databases before their absence can be said in a sentence

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
            self.prepare_databases()
            self.collect_static_files()
        except LedgerError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            msg = f"A database can't be used: {str(error).strip().partition('\n')[0]}"
            raise CommandError(msg) from error
        except OSError as error:
            msg = f"DATA_DIR can't be written to: {error}"
            raise CommandError(msg) from error

    def prepare_databases(self) -> None:
        refuse_another_homeserver()
        if settings.HOMESERVER_ATTACHED:
            self.check_homeserver()
        for alias, applied in migrate_all():
            self.say(f"{NAMES[alias]} ({where(alias)}): {'migrated' if applied else 'up to date'}.")
        name_words.build(connections["default"])  # an extension that was not there at first may be by now
        held = ledger.bind()
        self.say(f"The ledger records {held.homeserver_name} ({held.homeserver_kind}) and is at {held.head:,}.")
        self.add_up(held.head)

    def add_up(self, head: int) -> None:
        """What an earlier version, or `sample`, left for the insights. What comes later `follow` adds up."""
        if next_block(head) is not None:
            with reporting({"rollup": "Adding up for the insights"}) as report:
                roll_up(progress=lambda done, total: report("rollup", done, total))

    def check_homeserver(self) -> None:
        """A ledger is bound for good, so the name is compared with the homeserver's users first."""
        try:
            feed.check_homeserver_name()
        except HomeserverAwayError as error:
            self.say(f"The homeserver's database can't be read now ({error}), so HOMESERVER_NAME was not checked.")

    def collect_static_files(self) -> None:
        if readiness.static_files_due():
            call_command("collectstatic", interactive=False, verbosity=0)
            self.say(f"Static files: collected into {settings.STATIC_ROOT}.")
        else:
            self.say("Static files: up to date.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def where(alias: str) -> str:
    """The database in words that may be shown: no password."""
    chosen = connections[alias].settings_dict
    if connections[alias].vendor == "sqlite":
        return str(chosen["NAME"])
    return f"{chosen['NAME']} on {chosen['HOST'] or 'this machine'}"
