"""Programs that read from us: their tokens, and how far they have got."""

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import IntegrityError, transaction
from django.db.models import Case, F, When
from django.utils.translation import gettext

from quarantine import ledger
from quarantine.accounts.access_record import record as record_access
from quarantine.accounts.staff import require
from quarantine.fold import LedgerError
from quarantine.models import Access, Capability, Consumer, Ledger, Scope, Staff
from quarantine.statements import fetch_row

PREFIX = "qd_"  # so that a leaked token can be told for what it is
NAME = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,149}")
LONGEST_DAYS = 3650
# One round trip says who asks and how far the ledger has got.
WHO = f"""
    SELECT l.homeserver_name, l.homeserver_kind, l.head, c.id, c.scopes, c.expires_at
    FROM {Ledger._meta.db_table} l
    LEFT JOIN {Consumer._meta.db_table} c ON c.token_digest = %s AND c.revoked_at IS NULL
    WHERE l.id = 1
"""  # noqa: S608 - names of tables


class ConsumerError(Exception):
    """The message is a sentence for the person who asked."""


class ConsumerInputError(ConsumerError):
    """What was given can't be right, or names a consumer that is not there."""


class UnknownTokenError(Exception):
    """No consumer has this token, or it was revoked or has expired."""


class WrongScopeError(Exception):
    """The token is good, but not for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A program that showed a good token, and the ledger's head at that moment."""

    consumer_id: int
    head: int


@dataclass(slots=True, kw_only=True)
class Use:
    """What one consumer did since this was last written."""

    requests: int = 0
    position: int | None = None
    handed_out: int = 0  # how often in a row it was given changes from that position
    moved: bool = False  # it asked from several positions

    def note(self, position: int | None, *, given: bool) -> None:
        """One request; `position` is None where it read something else than changes."""
        self.requests += 1
        if position is None:
            return
        if self.position not in {None, position}:
            self.moved, self.handed_out = True, 0
        self.position = position
        self.handed_out += given


# --- Tokens -------------------------------------------------------------------------------


def create(name: str, *, scopes: Collection[str], days: int | None = None, staff: Staff | None = None) -> str:
    """Make a consumer; return its token, which can't be had again. It expires after so many days, or never.

    `staff` is None at a terminal. Raises NotAllowedError, and ConsumerError for what makes no sense.
    """
    if staff is not None:
        require(staff, Capability.MANAGE_TOKENS)
    token = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    consumer = Consumer(
        name=checked_name(name),
        token_digest=digest(token),
        scopes=checked_scopes(scopes),
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=checked_days(days)),
    )
    try:
        with transaction.atomic():
            consumer.save(force_insert=True)
            told = {"scopes": consumer.scopes, "expires_at": consumer.expires_at}
            record_access(Access.TOKEN_CREATED, by=staff, target=name, **told)
    except IntegrityError as error:
        msg = gettext("There is a consumer named {name} already, perhaps a revoked one. Choose another name.")
        msg = msg.format(name=name)
        raise ConsumerError(msg) from error
    return token


def checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        msg = gettext("A consumer's name is 1 to 150 characters, without control characters.")
        raise ConsumerInputError(msg)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        msg = gettext("A consumer's name must be valid text.")
        raise ConsumerInputError(msg) from error
    return name


def checked_scopes(scopes: Collection[str]) -> list[str]:
    if not scopes or not set(scopes) <= set(Scope.values):
        msg = gettext("Choose what the token opens: {names}.").format(names=", ".join(Scope.values))
        raise ConsumerInputError(msg)
    return sorted(set(scopes))


def checked_days(days: int) -> int:
    if not 1 <= days <= LONGEST_DAYS:
        msg = gettext("A token expires after 1 to {number} days, or never.").format(number=intcomma(LONGEST_DAYS))
        raise ConsumerInputError(msg)
    return days


def revoke(name: str, *, staff: Staff | None = None) -> None:
    """From now on its token opens nothing. Safe to repeat."""
    if staff is not None:
        require(staff, Capability.MANAGE_TOKENS)
    if "\0" in name or not Consumer.objects.filter(name=name).exists():
        msg = f"There is no consumer named {name}. See: manage.py token list"
        raise ConsumerInputError(msg)
    with transaction.atomic():
        if Consumer.objects.filter(name=name, revoked_at=None).update(revoked_at=datetime.now(UTC)):
            record_access(Access.TOKEN_REVOKED, by=staff, target=name)


def authenticate(token: str, *, scopes: Collection[Scope]) -> Caller:
    """Who shows this token, which must open one of these; raises UnknownTokenError, then WrongScopeError.

    One statement, of the primary: what was revoked a moment ago opens nothing.
    """
    row = fetch_row("default", WHO, [bytes.fromhex(digest(token))])
    if row is None:
        raise LedgerError(ledger.UNBOUND)
    name, kind, head, consumer_id, held, expires_at = row
    ledger.check_homeserver(name, kind)
    if consumer_id is None or expired(expires_at):
        raise UnknownTokenError
    check_scopes(held, scopes)
    return Caller(consumer_id=consumer_id, head=head)


def check_scopes(held: str, scopes: Collection[Scope]) -> None:
    """`held` as it is stored."""
    if not read_scopes(held).intersection(scopes):
        raise WrongScopeError


def expired(at: datetime | None) -> bool:
    """SQLite gives what stands in its file: UTC, without saying so."""
    return at is not None and (at if at.tzinfo else at.replace(tzinfo=UTC)) <= datetime.now(UTC)


@lru_cache(maxsize=64)
def read_scopes(held: str) -> frozenset[str]:
    return frozenset(json.loads(held))


def digest(token: str) -> str:
    """Tokens are random, 256 bits: a plain digest can't be reversed or guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# --- What they do -------------------------------------------------------------------------


def record(uses: Iterable[tuple[int, Use]]) -> None:
    """Add what consumers did to what is stored; other processes do so too."""
    now = datetime.now(UTC)
    for consumer_id, use in uses:
        held = Consumer.objects.filter(pk=consumer_id)
        if use.position is None:
            held.update(last_seen_at=now, requests=F("requests") + use.requests)
            continue
        again = When(position=use.position, then=F("handed_out") + use.handed_out)
        held.update(
            last_seen_at=now,
            requests=F("requests") + use.requests,
            handed_out=use.handed_out if use.moved else Case(again, default=use.handed_out),
            position=use.position,
        )
