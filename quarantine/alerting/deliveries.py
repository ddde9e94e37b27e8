"""Sending what is to be told, until it arrived or was tried often enough; by the process that follows.

What has to be sent stands in the database before anything is sent, and stays there until it is known to have
arrived. A process killed in between sends it again, under the same identity: a webhook's receiver and a
homeserver know it then.
"""

import logging
import random
import threading
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet

from quarantine.alerting.alert_texts import message_of
from quarantine.alerting.alert_ways import NotSentError, send
from quarantine.locks import only_one
from quarantine.models import Delivery, Way

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds
AT_ONCE = 50  # deliveries a way
TRIES = 12  # within four to eight hours
BROKEN = "The dashboard itself failed at sending it; its log says how."
FIRST_PAUSE, LONGEST_PAUSE = 15.0, 7_200.0  # seconds


def deliver(*, stop: threading.Event) -> int:
    """Send what is due; how many arrived. Does nothing where another process is at it."""
    if not due().exists():
        return 0
    with only_one("deliveries") as ours:
        return sum(deliver_by(way, stop) for way in Way) if ours else 0


def due() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=Delivery.State.WAITING, next_at__lte=datetime.now(UTC))


def deliver_by(way: Way, stop: threading.Event) -> int:
    """Up to the first that does not arrive: a way that is down costs one try a turn, and holds up no other."""
    arrived = 0
    for delivery in due().filter(way=way).select_related("alert").order_by("next_at", "pk")[:AT_ONCE]:
        if stop.is_set() or not attempt(delivery):
            break
        arrived += 1
    return arrived


def attempt(delivery: Delivery) -> bool:
    """Send it once, and write down what came of it; whether it arrived.

    What nobody foresaw is raised, but puts this one off first: the others go out at the next turn.
    """
    delivery.tries += 1
    said = BROKEN
    try:
        send(Way(delivery.way), message_of(delivery.alert), identity=delivery.uuid)
        said = ""
    except NotSentError as error:
        said = str(error)
    finally:
        if said:
            put_off(delivery, said)
    if not said:
        settle(delivery, Delivery.State.DELIVERED, said="")
    return not said


def put_off(delivery: Delivery, said: str) -> None:
    logger.warning("Alert %s did not arrive by %s, try %s. %s", delivery.alert_id, delivery.way, delivery.tries, said)
    if delivery.tries >= TRIES:
        settle(delivery, Delivery.State.FAILED, said=said)
        return
    delivery.said, delivery.next_at = said, datetime.now(UTC) + pause_after(delivery.tries)
    delivery.save(update_fields=["tries", "said", "next_at"])


def settle(delivery: Delivery, state: Delivery.State, *, said: str) -> None:
    delivery.state, delivery.said, delivery.settled_at = state, said, datetime.now(UTC)
    delivery.save(update_fields=["state", "tries", "said", "settled_at"])


def pause_after(tries: int) -> timedelta:
    """Twice as long each time, and never quite the same: many that failed together don't come back together."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries)
    return timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311 - a jitter
