"""manage.py token: the tokens of programs that read from us."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from quarantine import consumers
from quarantine.consumers import ConsumerError, ConsumerInputError
from quarantine.models import Consumer, Scope


class Command(BaseCommand):
    help = "Create, list and revoke the tokens of programs that read the changes API."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|revoke")
        create = verbs.add_parser("create", help="make a token; it is printed once, on the last line")
        create.add_argument("name")
        create.add_argument("--scope", action="append", choices=Scope.values, help="repeatable (changes:read)")
        create.add_argument("--expires", type=int, metavar="DAYS", help="the token ends after so many days (never)")
        listing = verbs.add_parser("list", help="who reads, and how far they have got")
        listing.add_argument("--json", action="store_true", help="one JSON object on the last line")
        revoke = verbs.add_parser("revoke", help="close it at once")
        revoke.add_argument("name")

    def handle(self, *_args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"do_{verb}")(options)
        except ConsumerError as error:
            raise CommandError(str(error), returncode=2 if isinstance(error, ConsumerInputError) else 1) from error

    def do_create(self, options: dict[str, Any]) -> None:
        token = consumers.create(options["name"], scopes=options["scope"] or [Scope.CHANGES], days=options["expires"])
        self.stdout.write("This token is shown once. Keep it where the program finds it:")
        self.stdout.write(token)

    def do_list(self, options: dict[str, Any]) -> None:
        rows = [describe(consumer) for consumer in Consumer.objects.order_by("name")]
        if options["json"]:
            self.stdout.write(json.dumps({"consumers": rows}))
            return
        for row in rows:
            self.stdout.write(f"{row['name']}  {' '.join(row['scopes'])}  {in_words(row)}")
        if not rows:
            self.stdout.write("No consumers yet. Make one: manage.py token create NAME")

    def do_revoke(self, options: dict[str, Any]) -> None:
        consumers.revoke(options["name"])
        self.stdout.write(f"The token of {options['name']} opens nothing any more.")


def in_words(row: dict[str, Any]) -> str:
    if row["revoked_at"]:
        return f"revoked {row['revoked_at']}"
    seen = f"last seen {row['last_seen_at'] or 'never'}, position {'none' if row['position'] is None else row['position']}, {row['requests']:,} requests"
    if row["expires_at"] is None:
        return seen
    return f"{seen}, {'expired' if row['expired'] else 'expires'} {row['expires_at']}"


def describe(consumer: Consumer) -> dict[str, Any]:
    return {
        "name": consumer.name,
        "scopes": consumer.scopes,
        "created_at": consumer.created_at.isoformat(),
        "expires_at": consumer.expires_at.isoformat() if consumer.expires_at else None,
        "expired": consumers.expired(consumer.expires_at),
        "revoked_at": consumer.revoked_at.isoformat() if consumer.revoked_at else None,
        "last_seen_at": consumer.last_seen_at.isoformat() if consumer.last_seen_at else None,
        "requests": consumer.requests,
        "position": consumer.position,
    }
