"""How far each program that reads from us has got, and what keeps the one that is stuck."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from quarantine.consumers import expired
from quarantine.homeserver import media
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.models import Change, Consumer, Ledger, Scope
from quarantine.mxc import Mxc

SHOWN = 200  # programs
STUCK_AFTER = 3  # times it was given the same changes, and came back for them
PAGE = 100  # changes a program is given at once: what it chokes on is among them


class Standing(StrEnum):
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNSEEN = "unseen"  # its token was never used
    ACTIVE = "active"  # reads no changes
    LEVEL = "level"  # has asked for all there is
    BEHIND = "behind"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One program as the page tells it."""

    consumer: Consumer
    standing: Standing
    behind: int = 0  # changes
    waiting_since: datetime | None = None  # when the oldest change it has not asked past was seen
    poison: Mxc | None = None  # what it probably chokes on
    homeserver_away: bool = False  # so nobody knows what it chokes on


def board() -> list[Reading]:
    """In order of name, those whose tokens open something first; at most SHOWN."""
    head = Ledger.objects.values_list("head", flat=True).filter(pk=1).first() or 0
    found = [reading(consumer, head=head) for consumer in Consumer.objects.order_by("revoked_at", "name")[:SHOWN]]
    return sorted(found, key=lambda one: (one.standing in {Standing.REVOKED, Standing.EXPIRED}, one.consumer.name))


def reading(consumer: Consumer, *, head: int) -> Reading:
    plain = plain_standing(consumer)
    if plain is not None:
        return Reading(consumer=consumer, standing=plain)
    position = consumer.position or 0
    if position >= head:
        return Reading(consumer=consumer, standing=Standing.LEVEL)
    waiting = list(Change.objects.newer_than(position)[:PAGE])
    stuck = consumer.handed_out >= STUCK_AFTER
    away, poison = False, None
    if stuck:
        try:
            poison = first_gone(waiting)
        except HomeserverAwayError:
            away = True
    return Reading(
        consumer=consumer,
        standing=Standing.STUCK if stuck else Standing.BEHIND,
        behind=head - position,
        waiting_since=waiting[0].seen_at if waiting else None,
        poison=poison,
        homeserver_away=away,
    )


def plain_standing(consumer: Consumer) -> Standing | None:
    """That of a program of which no position needs to be looked at."""
    if consumer.revoked_at:
        return Standing.REVOKED
    if expired(consumer.expires_at):
        return Standing.EXPIRED
    if consumer.last_seen_at is None:
        return Standing.UNSEEN
    return Standing.ACTIVE if Scope.CHANGES not in consumer.scopes or consumer.position is None else None


def first_gone(changes: Sequence[Change]) -> Mxc | None:
    """The first quarantined remote media that the homeserver no longer has.

    Asked for the file of such media, Synapse goes to the other server for it, and answers 502 or 403 where
    a program like hma-matrix only skips 404: it asks for the same page for ever. Raises HomeserverAwayError.
    """
    wanted = [change.mxc for change in changes if change.quarantined and not change.local]
    held = media.read(wanted)
    return next((mxc for mxc in wanted if mxc not in held), None)
