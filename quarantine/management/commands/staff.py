"""`manage.py staff`: the accounts of the people who work here."""

import getpass
import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from quarantine.accounts.recovery import link, recover
from quarantine.accounts.staff import (
    StaffError,
    StaffInputError,
    add_staff,
    disable_staff,
    enable_staff,
    set_password,
    set_role,
)
from quarantine.models import Role, Staff

VERBS = {
    "add": "open an account",
    "disable": "shut an account and end its sessions",
    "enable": "open a disabled account again",
    "set-role": "change what an account may do",
    "set-password": "replace a forgotten password and end the account's sessions",
    "recover": "let somebody in who lost the second factor: new password, no factors, no sessions",
    "link": "give an account to a person at the provider of single sign-on",
    "list": "print all accounts",
}


class Command(BaseCommand):
    help = "Add, disable, recover and list the accounts of staff."
    requires_system_checks = ()  # they open the database before its absence can be said in a sentence

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="|".join(VERBS))
        verb = {name: verbs.add_parser(name, help=text, description=text) for name, text in VERBS.items()}
        for name in VERBS.keys() - {"list"}:
            verb[name].add_argument("name", metavar="NAME")
        for name in ("add", "set-role"):
            verb[name].add_argument("--role", choices=Role.values, required=name == "set-role", default=Role.VIEWER)
        for name in ("add", "set-password", "recover"):
            verb[name].add_argument("--password-stdin", action="store_true", help="read the password from stdin")
        verb["link"].add_argument("subject", metavar="SUB", help="what the provider calls them: the claim `sub`")
        verb["list"].add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, verb.replace("-", "_"))(**options)
        except StaffError as error:
            raise CommandError(str(error), returncode=2 if isinstance(error, StaffInputError) else 1) from error
        except DatabaseError as error:
            reason = str(error).partition("\n")[0]
            msg = f"The ledger's database can't be used: {reason}. `manage.py prepare` sets it up."
            raise CommandError(msg) from error

    def add(self, *, name: str, role: str, password_stdin: bool, **_options: Any) -> None:
        staff = add_staff(name=name, role=Role(role), password=read_password(from_stdin=password_stdin))
        self.stdout.write(f"{staff.username} can sign in now as {staff.role}.")

    def disable(self, *, name: str, **_options: Any) -> None:
        staff = disable_staff(name)
        self.stdout.write(f"{staff.username} is disabled; every session of the account has ended.")

    def enable(self, *, name: str, **_options: Any) -> None:
        staff = enable_staff(name)
        self.stdout.write(f"{staff.username} can sign in again as {staff.role}.")

    def set_role(self, *, name: str, role: str, **_options: Any) -> None:
        staff = set_role(name=name, role=Role(role))
        self.stdout.write(f"{staff.username} is {staff.role} now.")

    def set_password(self, *, name: str, password_stdin: bool, **_options: Any) -> None:
        staff = set_password(name=name, password=read_password(from_stdin=password_stdin))
        self.stdout.write(f"{staff.username} has a new password; every session of the account has ended.")

    def recover(self, *, name: str, password_stdin: bool, **_options: Any) -> None:
        done = recover(name=name, password=read_password(from_stdin=password_stdin))
        factors = ", ".join(done.factors).lower() or "none, there were none"
        self.stdout.write(f"{done.staff.username} has a new password.")
        self.stdout.write(f"Second factors removed: {factors}. Sessions ended: {done.sessions}.")
        if not done.staff.is_active:
            self.stdout.write("The account is still disabled: `manage.py staff enable` opens it.")
        if settings.SSO_ONLY:
            self.stdout.write("SSO_ONLY is on: passwords open nothing until it is off.")

    def link(self, *, name: str, subject: str, **_options: Any) -> None:
        staff = link(name=name, subject=subject)
        self.stdout.write(f"{staff.username} is whom {settings.OIDC_ISSUER} calls {subject!r}.")

    def list(self, *, json: bool, **_options: Any) -> None:
        rows = [as_row(staff) for staff in Staff.objects.order_by("username")]
        self.stdout.write(as_json(rows) if json else as_table(rows))


def read_password(*, from_stdin: bool) -> str:
    """Ask for it twice, unseen; or, if nobody is there to ask, take the first line of stdin. Exits with 2 for a bad one."""
    if from_stdin or not sys.stdin.isatty():
        return stdin_password()
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Once more: ")
    except (EOFError, KeyboardInterrupt) as error:
        msg = "No password was given; nothing has changed."
        raise CommandError(msg, returncode=130) from error
    if password != again:
        msg = "The two differ; nothing has changed."
        raise CommandError(msg, returncode=2)
    return password


def stdin_password() -> str:
    try:
        password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        msg = "The password on stdin is not UTF-8."
        raise CommandError(msg, returncode=2) from error
    if not password:
        msg = "No password was given. Run it at a terminal to be asked for one, or give it as the first line of stdin."
        raise CommandError(msg, returncode=2)
    return password


def as_row(staff: Staff) -> dict[str, Any]:
    last = staff.last_login.isoformat(timespec="seconds") if staff.last_login else None
    return {"name": staff.username, "role": staff.role, "active": staff.is_active, "last_sign_in": last}


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps({"staff": rows})


def as_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "No accounts yet. `manage.py staff add NAME --role admin` opens the first."
    width = max(len(row["name"]) for row in rows)
    return "\n".join(
        f"{row['name']:<{width}}  {row['role'] if row['active'] else 'disabled':<9}  "
        f"{row['last_sign_in'] or 'never signed in'}"
        for row in rows
    )
