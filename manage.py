#!/usr/bin/env python
"""Every command an administrator types."""

import os
import secrets
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError, ProgrammingError

from dashboard.demo.environment import DemoError, arguments, environment


def asks_for_help(command: list[str]) -> bool:
    """Whether it only tells what there is: that is wanted before anything is set."""
    return command[1:2] in ([], ["help"]) or (command[-1] in {"-h", "--help"} and "--" not in command)


def not_text(command: list[str]) -> str:
    """The first argument whose bytes are no UTF-8; empty where all are. Names of files may be so."""
    return next((each for each in command if not each.isascii() and each != each.encode(errors="replace").decode()), "")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    command = sys.argv
    if asks_for_help(command):
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(50)
    try:
        if command[1:2] == ["demo"]:
            os.environ.update(environment(os.environ))
            command = [*command[:2], *arguments(os.environ), *command[2:]]
        execute_from_command_line(command)
    except (ImproperlyConfigured, DemoError) as error:
        sys.exit(f"manage.py: {error}")
    except UnicodeEncodeError as error:
        if not not_text(command):
            raise
        words = f"manage.py: This argument is not text in UTF-8: {not_text(command)!a}. Nothing was done with it."
        raise SystemExit(words) from error
    except (OperationalError, ProgrammingError) as error:
        reason = str(error).strip().partition("\n")[0]
        sys.exit(f"manage.py: A database can't be used: {reason}. If it is new or old: manage.py prepare")


if __name__ == "__main__":
    main()
