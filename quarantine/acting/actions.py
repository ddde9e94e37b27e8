"""Acting: what staff ask for is recorded before it is done, and can be paused, resumed and cancelled.

Doing it is `quarantine.performance`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.db import transaction
from django.utils.translation import gettext, gettext_lazy

from quarantine.accounts.access_record import record
from quarantine.accounts.staff import RESERVED, require
from quarantine.acting.plans import Item, Plan
from quarantine.acting.two_persons import hold_back, why_held
from quarantine.bulk import load
from quarantine.entries import UNSTORABLE, clean_mxc
from quarantine.fields import SHA256
from quarantine.homeserver import feed as stream
from quarantine.homeserver.media import HomeserverAwayError, Media
from quarantine.locks import only_one
from quarantine.models import Access, Action, Capability, Category, Fate, Intent, Proposal, Staff, Verb, Work

REASON_LENGTH = 2_000
NEEDS_NOTE = {Verb.RELEASE, Verb.UNPROTECT}
NEEDS_KIND = {Verb.QUARANTINE}  # the kinds are of offences; the rest, also what undoes a mistake, has its note
INTENT_FIELDS = ("action_id", "origin", "media_id", "sha256", "fate", "error", "matrix_user")
LOCKS = 64  # on SQLite each is a file
CAME: dict[str, Any] = {
    "already": gettext_lazy("{number} already so"),
    "protected": gettext_lazy("{number} protected"),
    "absent": gettext_lazy("{number} not on this server"),
    "left": gettext_lazy("{number} not changed"),
    "failed": gettext_lazy("{number} failed"),
}


class ActionError(Exception):
    """This can't be done as asked; the text is a sentence for whoever asked."""


class ReasonError(ActionError):
    """The reason won't do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an action, in media items. `copies` are those changed without having been asked for."""

    asked: int = 0
    changed: int = 0
    copies: int = 0
    already: int = 0
    protected: int = 0
    absent: int = 0
    left: int = 0
    failed: int = 0

    def __str__(self) -> str:
        changed = gettext("changed {number}").format(number=intcomma(self.changed))
        if self.copies:
            changed += " " + gettext("({number} more with the same file)").format(number=intcomma(self.copies))
        told = [gettext("asked {number}").format(number=intcomma(self.asked)), changed]
        told += [
            words.format(number=intcomma(getattr(self, name))) for name, words in CAME.items() if getattr(self, name)
        ]
        return " · ".join(told)


def start(plan: Plan, *, staff: Staff, category: str, reason: str, submission: str | None = None) -> Action:
    """Record what is going to be done, before anything is. Raises NotAllowedError and ActionError.

    `submission`: what begins two actions with one such text gets IntegrityError; ask `started` then.
    """
    check_capabilities(plan, staff=staff)
    reason = check_reason(plan.verb, category=category, reason=reason)
    if not plan.affected:
        msg = gettext("Nothing would change: all of it is so already, protected, or not on this server.")
        raise ActionError(msg)
    asked = [intent_row(item, plan.verb) for item in plan.items if item.fate is not Fate.LEFT]
    with transaction.atomic():
        hold_back(staff)
        held = bool(why_second_person(plan, staff=staff))
        action = Action.objects.create(  # from here on whoever else begins something waits for the chain of actions
            verb=plan.verb,
            cause=plan.cause,
            target=UNSTORABLE.sub("\ufffd", plan.target),
            category=category,
            reason=reason,
            staff=staff,
            created_at=datetime.now(UTC),
            undoes=plan.undoes,
            submission=submission,
        )
        make_work(action, plan, asked=len(asked), held=held)
        load(Intent, INTENT_FIELDS, ((action.pk, *row) for row in asked), using="default")
    return action


def make_work(action: Action, plan: Plan, *, asked: int, held: bool) -> None:
    status = Work.Status.HELD if held else Work.Status.WAITING
    now, outcome = action.created_at, asdict(Outcome(asked=asked))
    Work.objects.create(
        action=action, status=status, total=asked, planned=plan.affected, outcome=outcome, updated_at=now
    )
    if held:
        until = now + timedelta(hours=settings.TWO_PERSON_HOURS)
        Proposal.objects.create(action=action, affected=plan.affected, expires_at=until)


def check_allowed(plan: Plan, *, staff: Staff) -> str:
    """Why it will wait for a second person; empty if it won't. Raises NotAllowedError, and ActionError as below."""
    check_capabilities(plan, staff=staff)
    return why_second_person(plan, staff=staff)


def check_capabilities(plan: Plan, *, staff: Staff) -> None:
    for capability in takes(plan, staff=staff):
        require(staff, capability)


def why_second_person(plan: Plan, *, staff: Staff) -> str:
    """Raises ActionError where it takes one and a person has to ask, or where nobody knows because the homeserver is away."""
    try:
        why = why_held(plan, staff=staff)
    except HomeserverAwayError as error:
        raise ActionError(str(error)) from error
    if why and staff.username in RESERVED:
        msg = gettext(
            "The two-person rule is on, so this takes two people: name the account that asks for it (--staff NAME)."
        )
        raise ActionError(msg)
    return why


def takes(plan: Plan, *, staff: Staff) -> list[Capability]:
    """What one must be allowed to begin this. To undo one's own is daily work, however much it was."""
    needed = [Capability.ACT]
    if plan.whole_server:
        needed.append(Capability.ACT_ON_SERVER)
    own = plan.undoes is not None and plan.undoes.staff_id == staff.pk
    if plan.verb is Verb.RELEASE and plan.affected > settings.BULK_RELEASE_LIMIT and not own:
        needed.append(Capability.RELEASE_BULK)
    return needed


def started(submission: str, *, staff: Staff) -> Action | None:
    """What a form began that was sent before: a second click, or a reload of the answer."""
    return Action.objects.filter(submission=submission, staff=staff).first()


def check_reason(verb: Verb, *, category: str, reason: str) -> str:
    """The note, fit to be stored. Raises ReasonError where it or the category won't do."""
    if category or verb in NEEDS_KIND:
        check_kind(category)
    note = clean_note(reason)
    if not note and verb in NEEDS_NOTE:
        msg = gettext("Say why: whoever looks at this later should know the reason.")
        raise ReasonError(msg)
    return note


def check_kind(category: str) -> None:
    """Raises ReasonError, which names those there are, unless it is one that is offered."""
    if not Category.objects.filter(slug=category, retired=False).exists():
        offered = ", ".join(Category.objects.filter(retired=False).values_list("slug", flat=True))
        msg = gettext("Choose a category of reason. There are: {offered}.").format(offered=offered)
        raise ReasonError(msg)


def clean_note(text: str) -> str:
    note = UNSTORABLE.sub("\ufffd", text).strip()
    if len(note) > REASON_LENGTH:
        msg = gettext("The note is too long: at most {number} characters.").format(number=intcomma(REASON_LENGTH))
        raise ReasonError(msg)
    return note


def intent_row(item: Item, verb: Verb) -> tuple[str | None, ...]:
    """As INTENT_FIELDS has it, but for the action. What a release would not change now it never will: else one that
    was begun over what is not quarantined yet, and paused, would release more later than anybody had looked at.
    """
    mxc = clean_mxc(item.mxc)
    settled = verb is Verb.RELEASE and item.fate is not Fate.CHANGED
    fate = item.fate if settled or item.fate is Fate.FAILED else Fate.PENDING
    return mxc.origin, mxc.media_id, known_hash(item.row), fate, item.why, ""


def known_hash(row: Media | None) -> str | None:
    return row.sha256 if row is not None and row.sha256 and SHA256.fullmatch(row.sha256) else None


# --- While it goes on ---------------------------------------------------------------------


def pause(action: Action, *, staff: Staff) -> None:
    """Have the work stop where it is; it can go on later."""
    require(staff, Capability.ACT)
    with held_still(action):
        stopped = change(action, {Work.Status.WAITING}, status=Work.Status.PAUSED)
        if stopped:
            close(action)
        asked = change(action, {Work.Status.RUNNING}, wish=Work.Wish.PAUSE)
        note_control(action, "pause", staff=staff, took=stopped + asked)


def resume(action: Action, *, staff: Staff) -> None:
    """Have the process that follows go on with it."""
    require(staff, Capability.ACT)
    with held_still(action):
        idle = {Work.Status.PAUSED, Work.Status.STOPPED}
        begun = change(action, idle, status=Work.Status.WAITING, wish=Work.Wish.NONE, message="")
        asked = change(action, {Work.Status.RUNNING}, wish=Work.Wish.NONE)
        note_control(action, "resume", staff=staff, took=begun + asked)


def cancel(action: Action, *, staff: Staff) -> None:
    """Have what is not done yet never be done. What was done stays, and can be undone.

    What a killed process had called is looked at first, by the process that follows.
    """
    require(staff, Capability.ACT)
    idle = {Work.Status.WAITING, Work.Status.PAUSED, Work.Status.STOPPED}
    with held_still(action):
        if action.intents.filter(fate=Fate.CALLED).exists():
            took = change(action, idle, status=Work.Status.WAITING, wish=Work.Wish.CANCEL)
        else:
            took = change(action, idle, status=Work.Status.CANCELLED, message="", ended_at=datetime.now(UTC))
            if took:
                close(action)
        took += change(action, {Work.Status.RUNNING}, wish=Work.Wish.CANCEL)
        note_control(action, "cancel", staff=staff, took=took)


@contextmanager
def held_still(action: Action) -> Iterator[None]:
    """Whoever does the work begins, rests and ends before or afterwards: else what is wished could fall between two looks."""
    with transaction.atomic():
        Work.objects.select_for_update().get(action=action)
        yield


def note_control(action: Action, asked: str, *, staff: Staff, took: int) -> None:
    """On the access record, for whoever did it need not be whoever began the action; not where it changed nothing."""
    if took:
        record(Access.ACTION_CONTROLLED, by=staff, target=action.pk, asked=asked)


def change(action: Action, when: set[Work.Status], **fields: object) -> int:
    work = Work.objects.filter(action=action, status__in=when)
    return work.update(**fields, updated_at=datetime.now(UTC))


def close(action: Action) -> None:
    """What comes in the feed from now on is not this action's."""
    still_open = Intent.objects.filter(action=action, feed_head__isnull=False, feed_until=None)
    if still_open.exists():
        still_open.update(feed_until=stream.newest_id())


def lock_of(action: Action) -> str:
    """Held by the process that does its work."""
    return f"action-{action.pk % LOCKS}"


def close_abandoned() -> None:
    """What a killed process left open, and nobody took up: what comes from now on is nobody's we know of."""
    opened = Intent.objects.filter(feed_head__isnull=False, feed_until=None).values("action")
    silent = Work.objects.filter(action__in=opened, updated_at__lt=datetime.now(UTC) - Work.SILENCE)
    for work in silent.select_related("action"):
        with only_one(lock_of(work.action)) as ours:
            if ours:
                close(work.action)
