"""What an action will do, before it does it: every media item it touches, and what becomes of each.

The homeserver answers "done" also for media it does not have, for protected media and for media
already so, and follows a sha256 to every copy. So staff see all that first, as it is now.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from quarantine.acting.aims import Aim
from quarantine.entries import clean_mxc
from quarantine.homeserver import media
from quarantine.homeserver.gateway import Homeserver
from quarantine.homeserver.media import Media
from quarantine.ledger import fetch_items
from quarantine.models import Action, Cause, Change, Fate, Intent, Verb, Work
from quarantine.mxc import Mxc, shown

MOST_ITEMS = 50_000
MOST_COPIES = 50_000
MOST_HINTS = 5
INVERSE = {
    Verb.QUARANTINE: Verb.RELEASE,
    Verb.RELEASE: Verb.QUARANTINE,
    Verb.PROTECT: Verb.UNPROTECT,
    Verb.UNPROTECT: Verb.PROTECT,
}
SINCE = gettext_noop("Something happened to it since")
SHARED = gettext_noop("Its file is shared with media that this action didn't change, which would change too")


UNSENDABLE = gettext_noop("Its address is too long, or holds what can't be sent")


class PlanError(Exception):
    """This can't be done as asked; the text is a sentence for whoever asked."""


@dataclass(frozen=True, slots=True)
class Item:
    """One media item that was asked for. `fate` CHANGED: it will be."""

    mxc: Mxc
    row: Media | None
    fate: Fate
    why: str = ""  # in English, as it is recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    verb: Verb
    cause: Cause
    target: str
    items: list[Item]
    copies: list[Media] = field(default_factory=list)  # not asked for, but changed with the others: same sha256
    protected_copies: int = 0  # these would be, were they not protected
    more: bool = False  # there is more than one action takes; plan again afterwards
    hints: list[str] = field(default_factory=list)
    undoes: Action | None = None
    whole_server: bool = False  # all media of a server was aimed at, perhaps among others

    def of_fate(self, fate: Fate) -> list[Item]:
        return [item for item in self.items if item.fate is fate]

    @property
    def changing(self) -> list[Item]:
        return self.of_fate(Fate.CHANGED)

    @property
    def affected(self) -> int:
        """Media items that will change."""
        return len(self.changing) + len(self.copies)

    @property
    def rows(self) -> list[Media]:
        """Of all media that will change."""
        return [item.row for item in self.changing if item.row] + self.copies

    @property
    def uploaders(self) -> list[str]:
        return sorted({row.uploader for row in self.rows if row.uploader})

    @property
    def origins(self) -> list[str]:
        return sorted({row.mxc.origin for row in self.rows})

    @property
    def digest(self) -> str:
        """Stands for all that would change: another digest means that the plan shown is no longer the plan."""
        told = [self.verb, *sorted(str(row.mxc) for row in self.rows)]
        return hashlib.sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest()


def plan(*, verb: Verb, aim: Aim, homeserver: Homeserver) -> Plan:
    """What doing this would do now. Raises PlanError, HomeserverError and HomeserverAwayError."""
    if not aim.size:
        msg = gettext("Nothing was chosen. Select media, or paste addresses, hashes or user ids.")
        raise PlanError(msg)
    rooms = {room: homeserver.room_media(room) for room in aim.rooms}
    rows = resolve(aim, verb, posted=rooms.values())
    refuse_protection_of_remote(verb, rows.values())
    items = [to_item(mxc, row, verb) for mxc, row in rows.items()]
    more = len(items) > MOST_ITEMS
    items = items[:MOST_ITEMS]
    copies = find_copies(items, verb)
    return Plan(
        verb=verb,
        cause=aim.cause,
        target=aim.target,
        items=items,
        copies=[row for row in copies if judge(row, verb) is Fate.CHANGED],
        protected_copies=sum(judge(row, verb) is Fate.PROTECTED for row in copies),
        more=more or len(copies) > MOST_COPIES,
        hints=[*spelling_hints(items), *nothing_found(aim), *map(nothing_posted, silent(rooms))][:MOST_HINTS],
        whole_server=bool(aim.origins),
    )


def to_item(mxc: Mxc, row: Media | None, verb: Verb) -> Item:
    if clean_mxc(mxc) != mxc:
        return Item(mxc, row, Fate.FAILED, UNSENDABLE)
    return Item(mxc, row, judge(row, verb))


def judge(row: Media | None, verb: Verb) -> Fate:
    """What the verb does to media in this state; CHANGED if it does anything."""
    if row is None:
        return Fate.ABSENT
    if verb in {Verb.PROTECT, Verb.UNPROTECT}:
        return Fate.ALREADY if row.protected == (verb is Verb.PROTECT) else Fate.CHANGED
    if (row.quarantined_by is not None) == (verb is Verb.QUARANTINE):
        return Fate.ALREADY
    return Fate.PROTECTED if verb is Verb.QUARANTINE and row.protected else Fate.CHANGED


def resolve(aim: Aim, verb: Verb, *, posted: Iterable[list[Mxc]]) -> dict[Mxc, Media | None]:
    """Every media item aimed at, with its row; those named one by one, or posted in a room, also where there is none."""
    named = [*aim.media, *(mxc for media_of_room in posted for mxc in media_of_room)]
    found = media.read(named)
    rows: dict[Mxc, Media | None] = {mxc: found.get(mxc) for mxc in named}
    swept = [row for row in sweep(aim, verb) if judge(row, verb) is not Fate.ALREADY]
    return rows | {row.mxc: row for row in swept}


def nothing_found(aim: Aim) -> list[str]:
    """What was aimed at as a whole, and of which this server has nothing: a wrong name, or a wrong case."""
    users = [user for user in aim.users if not media.uploaded_by(user, quarantined=None, limit=1)]
    origins = [origin for origin in aim.origins if not media.of_origin(origin, quarantined=None, limit=1)]
    return [
        *(
            gettext("There is no file with the sha256 {sha256} here.").format(sha256=one)
            for one in aim.hashes
            if not media.with_hashes([one], limit=1)
        ),
        *(
            gettext("{user} has uploaded nothing here.").format(user=user) + meant(user, media.uploaded_by)
            for user in users
        ),
        *(
            gettext("Nothing of {origin} is cached here.").format(origin=origin) + meant(origin, media.of_origin)
            for origin in origins
        ),
    ]


def silent(rooms: Mapping[str, list[Mxc]]) -> list[str]:
    return [room for room, posted in rooms.items() if not posted]


def nothing_posted(room: str) -> str:
    said = gettext(
        "The homeserver knows of no media in {room}. It can't read an encrypted room, or one that nobody here is in."
    )
    return said.format(room=room)


def meant(name: str, look: Callable[..., list[Media]]) -> str:
    right = name.lower()
    if right == name or not look(right, quarantined=None, limit=1):
        return ""
    return " " + gettext("Did you mean {name}?").format(name=right)


def sweep(aim: Aim, verb: Verb) -> list[Media]:
    """All media of the hashes, users and servers, at most a little more than one action takes."""
    if settings.HOMESERVER_NAME in {origin.lower() for origin in aim.origins}:
        msg = gettext("{name} is this homeserver itself; aim at users, rooms or media of it.").format(
            name=settings.HOMESERVER_NAME
        )
        raise PlanError(msg)
    most = MOST_ITEMS + 1
    quarantined = {Verb.QUARANTINE: False, Verb.RELEASE: True}.get(verb)  # what is so already needs nothing
    found = media.with_hashes(aim.hashes, limit=most)
    for user in aim.users:
        found += media.uploaded_by(user, quarantined=quarantined, limit=most)
    for origin in aim.origins:
        found += media.of_origin(origin, quarantined=quarantined, limit=most)
    return found


def find_copies(items: Iterable[Item], verb: Verb) -> list[Media]:
    """What shares its sha256 with media that will change, and was not asked for. Protection knows no copies."""
    if verb in {Verb.PROTECT, Verb.UNPROTECT}:
        return []
    asked = {item.mxc for item in items}
    hashes = unique_hashes(item.row for item in items if item.fate is Fate.CHANGED)
    return [row for row in media.with_hashes(hashes, limit=MOST_ITEMS + MOST_COPIES) if row.mxc not in asked]


def unique_hashes(rows: Iterable[Media | None]) -> list[str]:
    return list(dict.fromkeys(row.sha256 for row in rows if row is not None and row.sha256))


def refuse_protection_of_remote(verb: Verb, rows: Iterable[Media | None]) -> None:
    remote = next((row for row in rows if row is not None and not row.local), None)
    if remote is not None and verb in {Verb.PROTECT, Verb.UNPROTECT}:
        msg = gettext("Only local media can be protected; {media} is of another server.").format(media=remote.mxc)
        raise PlanError(msg)


def spelling_hints(items: Iterable[Item]) -> list[str]:
    """Server names in the wrong case, or with look-alike letters: the homeserver would say "done" and do nothing."""
    foreign = dict.fromkeys(
        item.mxc.origin for item in items if item.fate is Fate.ABSENT and not item.mxc.origin.isascii()
    )
    said = gettext("{name} is not on this server, and holds letters that no server name has.")
    lookalike = [said.format(name=shown(name)) for name in foreign]
    absent = [item.mxc for item in items if item.fate is Fate.ABSENT and item.mxc.origin != item.mxc.origin.lower()]
    meant = {mxc: Mxc(mxc.origin.lower(), mxc.media_id) for mxc in absent[: 10 * MOST_HINTS]}
    found = media.read(meant.values())
    said = gettext("There is no {media}. Did you mean {right}?")
    case = [said.format(media=mxc, right=right) for mxc, right in meant.items() if right in found]
    return [*case, *lookalike][:MOST_HINTS]


# --- Undoing ------------------------------------------------------------------------------


def plan_undo(action: Action) -> Plan:
    """The opposite, for what this action changed and nothing happened to since; what is left alone says why.

    Media whose file is shared with media that this action did not change is left alone too: the
    homeserver would follow the sha256 to it.
    """
    if not Work.objects.get(action=action).over:
        msg = gettext("It isn't over yet: cancel the rest, or wait.")
        raise PlanError(msg)
    verb = INVERSE[Verb(action.verb)]
    changed, untouched = what_changed(action)
    rows = media.read(changed)
    items = [Item(mxc, rows.get(mxc), judge(rows.get(mxc), verb)) for mxc in untouched]
    shared = shared_hashes(items, verb)
    items = [
        Item(item.mxc, item.row, Fate.LEFT, SHARED)
        if item.fate is Fate.CHANGED and item.row and item.row.sha256 in shared
        else item
        for item in items
    ]
    left = [Item(mxc, rows.get(mxc), Fate.LEFT, SINCE) for mxc in changed if mxc not in untouched]
    return Plan(
        verb=verb,
        cause=Cause(action.cause),
        target=action.target,
        items=items + left,
        undoes=action,
        whole_server=action.cause == Cause.ORIGIN,
    )


def what_changed(action: Action) -> tuple[list[Mxc], Collection[Mxc]]:
    """What this action changed; and of it, what nothing happened to since."""
    if action.verb in {Verb.PROTECT, Verb.UNPROTECT}:
        done = Intent.objects.filter(fate=Fate.CHANGED, action__verb__in=[Verb.PROTECT, Verb.UNPROTECT])
        changed = [intent.mxc for intent in done.filter(action=action).order_by("pk")]
        later = done.filter(action__gt=action, media_id__in=[mxc.media_id for mxc in changed])
        since = {intent.mxc for intent in later}
        return changed, [mxc for mxc in changed if mxc not in since]
    positions: Mapping[Mxc, int] = {
        change.mxc: change.stream_id for change in Change.objects.filter(action=action).order_by("stream_id")
    }
    held = fetch_items(positions)
    return list(positions), [mxc for mxc, position in positions.items() if held[mxc].stream_id == position]


def shared_hashes(items: list[Item], verb: Verb) -> set[str]:
    """The hashes that would carry the change to media not among these."""
    return {row.sha256 or "" for row in find_copies(items, verb) if judge(row, verb) is Fate.CHANGED}
