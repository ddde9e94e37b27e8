"""Plans as pages show them.

To plan a large action reads all its media: 120 statements for 20,000. So the plan of one that waits for a second person,
which many look at, is kept for a moment; and while one that is large is being made, others who look are told so, or each
of them would make it, and hold one of the few threads that pages have. Whoever approves is held to the plan as it is then: an old look approves nothing.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.core.cache import caches
from django.utils.translation import get_language, gettext

from quarantine.acting.approvals import plan_again
from quarantine.acting.plans import Plan, PlanError
from quarantine.homeserver.connect import gateway
from quarantine.models import Action, Fate, Verb

SHOWN = 100  # media items of a plan or an action that are listed
LEFT_OUT = (Fate.ALREADY, Fate.PROTECTED, Fate.ABSENT, Fate.LEFT, Fate.FAILED)
KEPT = 15.0  # seconds
LARGE = 1_000  # media items; less is planned within a blink

planning = threading.Lock()  # held while a large plan is made in this process


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What pages say of a plan, small however large that is: what they count alone is a range of so many."""

    verb: Verb
    digest: str
    affected: int
    items: range
    changing: range
    copies: range
    protected_copies: int
    uploaders: list[str]
    origins: list[str]
    more: bool
    hints: list[str]
    undoes: Action | None

    @classmethod
    def of(cls, plan: Plan) -> "Summary":
        return cls(
            verb=plan.verb,
            digest=plan.digest,
            affected=plan.affected,
            items=range(len(plan.items)),
            changing=range(len(plan.changing)),
            copies=range(len(plan.copies)),
            protected_copies=plan.protected_copies,
            uploaders=plan.uploaders,
            origins=plan.origins,
            more=plan.more,
            hints=plan.hints,
            undoes=plan.undoes,
        )


def plan_context(shown: Plan) -> dict[str, Any]:
    """What the partials of a plan's page need."""
    return {
        "plan": Summary.of(shown),
        "left_out": [(fate, label_of(fate), len(shown.of_fate(fate))) for fate in LEFT_OUT if shown.of_fate(fate)],
        "listed": shown.items[:SHOWN],
        "unlisted": max(0, len(shown.items) - SHOWN),
    }


def label_of(fate: Fate) -> str:
    return gettext("Left alone") if fate is Fate.LEFT else str(fate.label)


def held_plan_context(action: Action) -> dict[str, Any]:
    """Of an action that waits for a second person, as it was within the last KEPT seconds. Raises what `plan` raises,
    and PlanError where a large one is being made for somebody else.
    """
    cache, key = caches["rows"], key_of(action, get_language())
    known: dict[str, Any] | None = cache.get(key)
    if known is None:
        with one_large_at_once(action):
            known = plan_context(plan_again(action, homeserver=gateway()))
        cache.set(key, known, timeout=KEPT)
    return known


@contextmanager
def one_large_at_once(action: Action) -> Iterator[None]:
    if action.work.total <= LARGE:
        yield
        return
    if not planning.acquire(blocking=False):
        msg = gettext(
            "When it was asked for, {number} media items would have changed. What would change now is being looked up for "
            "somebody else: reload this page in a moment."
        )
        raise PlanError(msg.format(number=intcomma(action.proposal.affected)))
    try:
        yield
    finally:
        planning.release()


def forget(action: Action) -> None:
    """Plan it anew at the next look."""
    caches["rows"].delete_many([key_of(action, language) for language, _ in settings.LANGUAGES])


def key_of(action: Action, language: str | None) -> str:
    """The moment tells apart the ledgers that one process may meet, as tests do."""
    return f"plan:{action.pk}:{action.created_at.timestamp()}:{language}"
