"""Programs that read from us, and their tokens."""

import hashlib
import re
import secrets
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from quarantine.models import Consumer, Scope

PREFIX = "qd_"  # so that a leaked token can be told for what it is
SEEN_EVERY = timedelta(seconds=10)  # last use is written no more often
NAME = re.compile(r"[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]{0,149}")


class ConsumerError(Exception):
    """The message is a sentence for the person who asked."""


class UnknownTokenError(Exception):
    """No consumer has this token, or it was revoked."""


class WrongScopeError(Exception):
    """The token is good, but not for this."""


def create(name: str, *, scopes: list[str]) -> str:
    """Make a consumer; return its token, which can't be had again."""
    if not NAME.fullmatch(name):
        msg = "A consumer's name is 1 to 150 characters, without control characters."
        raise ConsumerError(msg)
    token = PREFIX + secrets.token_urlsafe(32)
    consumer = Consumer(
        name=name, token_digest=digest(token), scopes=sorted(set(map(Scope, scopes))), created_at=datetime.now(UTC)
    )
    try:
        with transaction.atomic():
            consumer.save(force_insert=True)
    except IntegrityError as error:
        msg = f"There is a consumer named {name} already, perhaps a revoked one. Choose another name."
        raise ConsumerError(msg) from error
    return token


def revoke(name: str) -> None:
    """From now on its token opens nothing. Safe to repeat."""
    if not Consumer.objects.filter(name=name).exists():
        msg = f"There is no consumer named {name}. See: manage.py token list"
        raise ConsumerError(msg)
    Consumer.objects.filter(name=name, revoked_at=None).update(revoked_at=datetime.now(UTC))


def authenticate(token: str, *, scope: Scope) -> Consumer:
    """The consumer with this token; raises UnknownTokenError, then WrongScopeError."""
    consumer = Consumer.objects.filter(token_digest=digest(token), revoked_at=None).first()
    if consumer is None:
        raise UnknownTokenError
    if scope not in consumer.scopes:
        raise WrongScopeError
    return consumer


def seen(consumer: Consumer, *, position: int | None) -> None:
    """Record that it was here, and from where it read; at most every ten seconds."""
    now = datetime.now(UTC)
    stale = Q(last_seen_at=None) | Q(last_seen_at__lt=now - SEEN_EVERY)
    Consumer.objects.filter(stale, pk=consumer.pk).update(last_seen_at=now, position=position)


def digest(token: str) -> str:
    """Tokens are random, 256 bits: a plain digest can't be reversed or guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
