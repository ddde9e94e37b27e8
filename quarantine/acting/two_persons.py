"""The two-person rule: which actions wait for a second person.

What counts is what one person does, not in how many pieces: an action is measured together with those that the same
person began within WINDOW before it and that nobody else has looked at. And a list can be a whole server by another name.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext

from quarantine.accounts.staff import AUTOMATION
from quarantine.acting.plans import Plan
from quarantine.homeserver import media
from quarantine.models import Action, Cause, Fate, Intent, Staff, Verb, Work

WINDOW = timedelta(hours=1)
AT_ONCE = 100  # rows; one reads on only while they are of the window
STILL_TO_DO = (Fate.PENDING, Fate.CALLED)


def accounts_of(staff: Staff) -> set[int]:
    """The accounts of the same person, as far as can be told: where the provider's id of a person leads to several,
    as it may once the provider goes by another address.
    """
    mine = SocialAccount.objects.filter(user=staff).values("uid")
    return {staff.pk, *SocialAccount.objects.filter(uid__in=mine).values_list("user_id", flat=True)}


def hold_back(staff: Staff) -> None:
    """Have what else this person begins wait until the transaction ends, so that each is measured with the other."""
    theirs = Staff.objects.select_for_update(no_key=True).filter(pk__in=accounts_of(staff)).order_by("pk")
    list(theirs.values_list("pk"))


def why_held(plan: Plan, *, staff: Staff) -> str:
    """Why it will wait for a second person, in a sentence; empty if it won't. One's own undone is no exception here.

    Raises HomeserverAwayError where it takes the homeserver's database to know.
    """
    if not settings.TWO_PERSON_RULE:
        return ""
    if plan.whole_server:
        return gettext("It acts on a whole server.")
    if plan.verb is Verb.RELEASE:
        return why_many(plan, staff=staff)
    return why_server(plan, staff=staff) if plan.verb is Verb.QUARANTINE else ""


def why_many(plan: Plan, *, staff: Staff) -> str:
    most = settings.TWO_PERSON_LIMIT
    if plan.affected > most:
        return gettext("It releases more than {number} media items.").format(number=intcomma(most))
    before = sum(amount_of(action.work) for action in begun_lately(accounts_of(staff), Verb.RELEASE))
    if plan.affected + before <= most:
        return ""
    words = gettext(
        "With the {before} released in the hour before by the same person it is more than {number} media items."
    )
    return words.format(before=intcomma(before), number=intcomma(most))


def why_server(plan: Plan, *, staff: Staff) -> str:
    """Where most of what is cached of another server would be quarantined, in one list or in several."""
    if staff.username == AUTOMATION:  # an admin had it turned on, and it quarantines nothing that staff had not
        return ""
    now: dict[str, int] = {}
    for row in plan.rows:
        if not row.local:
            now[row.mxc.origin] = now.get(row.mxc.origin, 0) + 1
    before = begun_lately(accounts_of(staff), Verb.QUARANTINE)
    server = next((name for name, number in now.items() if is_most_of(name, number, before)), None)
    if server is None:
        return ""
    words = gettext(
        "With what the same person did in the hour before it is most of what is cached of {server}: that is a whole server."
    )
    return words.format(server=server)


def is_most_of(origin: str, number: int, before: Collection[Action]) -> bool:
    """Whether so many, with those before, are more than the limit and more than half of what was there to quarantine."""
    intents = Intent.objects.filter(action__in=[action.pk for action in before], origin=origin)
    done = intents.filter(fate=Fate.CHANGED).count()
    coming = intents.filter(fate__in=STILL_TO_DO).exclude(action__work__status=Work.Status.CANCELLED).count()
    taken = number + coming + done
    if taken <= settings.TWO_PERSON_LIMIT:
        return False
    few = 2 * taken - done  # of what can be quarantined still; what is done was there too
    return len(media.of_origin(origin, quarantined=False, limit=few)) < few


def adds_up(action: Action) -> bool:
    """Whether it waits for what it is together with others, which its own plan does not show."""
    large = action.verb == Verb.RELEASE and action.proposal.affected > settings.TWO_PERSON_LIMIT
    return action.cause != Cause.ORIGIN and not large


def begun_lately(accounts: Collection[int], verb: Verb) -> list[Action]:
    """What they began within the window without anybody else."""
    since = datetime.now(UTC) - WINDOW
    begun = Action.objects.filter(staff__in=accounts, proposal=None).select_related("work").order_by("-pk")
    recent = takewhile(lambda action: action.created_at > since, begun.iterator(chunk_size=AT_ONCE))
    return [action for action in recent if action.verb == verb]


def amount_of(work: Work) -> int:
    """Media items that it changes; of what was cancelled, those that it had changed."""
    if work.status == Work.Status.CANCELLED:
        return int(work.outcome.get("changed", 0)) + int(work.outcome.get("copies", 0))
    return work.total if work.planned is None else work.planned
