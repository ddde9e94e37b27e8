"""What is known about one media item: the ledger's word, the homeserver's, and what is related to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext

from quarantine.fields import SHA256
from quarantine.homeserver import media
from quarantine.homeserver.media import HomeserverAwayError, Media
from quarantine.ledger import fetch_items
from quarantine.models import Change, MediaItem, State
from quarantine.mxc import Mxc

MOST_COPIES = 50
MOST_OTHERS = 12
VISIBLE = "visible"  # on the homeserver, and never quarantined as far as we know


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One media item as both sides have it. Either may know nothing of it, but not both."""

    mxc: Mxc
    item: MediaItem | None = None
    last: Change | None = None  # its newest change, with the facts as they were then
    row: Media | None = None  # the homeserver's row

    @property
    def state(self) -> str:
        """As the homeserver says, where it could be asked; as recorded otherwise."""
        if self.row is None:
            return self.recorded_state
        if self.row.quarantined_by is not None:
            return State.QUARANTINED
        return VISIBLE if self.recorded_state == VISIBLE else State.RELEASED

    @property
    def recorded_state(self) -> str:
        """As the ledger has it."""
        return State(self.item.state) if self.item and self.item.stream_id else VISIBLE

    @property
    def state_label(self) -> str:
        return label_of(self.state)

    @property
    def recorded_label(self) -> str:
        return label_of(self.recorded_state)

    @property
    def local(self) -> bool:
        return bool(self.row.local if self.row else self.item and self.item.local)

    @property
    def upload_name(self) -> str:
        return (self.row and self.row.upload_name) or (self.last.upload_name if self.last else "")

    @property
    def media_type(self) -> str:
        return (self.row and self.row.media_type) or (self.last.media_type if self.last else "")

    @property
    def media_length(self) -> int | None:
        if self.row and self.row.media_length is not None:
            return self.row.media_length
        return self.last.media_length if self.last else None

    @property
    def uploader(self) -> str:
        return (self.row and self.row.uploader) or (self.item.uploader if self.item else "")

    @property
    def sha256(self) -> str | None:
        if self.row and self.row.sha256 and SHA256.fullmatch(self.row.sha256):
            return self.row.sha256
        return self.item.sha256 if self.item else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    media: Known
    away: bool = False  # the homeserver could not be asked
    copies: list[Known] = field(default_factory=list)  # with the same sha256, this one not among them
    more_copies: bool = False
    others: list[Known] = field(default_factory=list)  # of the same uploader


def label_of(state: str) -> str:
    return gettext("Visible") if state == VISIBLE else str(State(state).label)


def dossier(mxc: Mxc) -> Dossier | None:
    """None when neither side knows the media. Raises HomeserverAwayError when only the homeserver could know."""
    item = fetch_items([mxc]).get(mxc)
    row, away = ask_homeserver(mxc)
    if item is None and row is None:
        if away:
            raise away
        return None
    known = Known(mxc=mxc, item=item, last=last_changes([item] if item else []).get(mxc), row=row)
    copies = find_copies(known, ask=away is None)
    return Dossier(
        media=known,
        away=away is not None,
        copies=copies[:MOST_COPIES],
        more_copies=len(copies) > MOST_COPIES,
        others=find_others(known),
    )


def ask_homeserver(mxc: Mxc) -> tuple[Media | None, HomeserverAwayError | None]:
    try:
        return media.read([mxc]).get(mxc), None
    except HomeserverAwayError as error:
        return None, error


def find_copies(known: Known, *, ask: bool) -> list[Known]:
    """Other media with the same hash, on either side; at most one more than MOST_COPIES."""
    if known.sha256 is None:
        return []
    wanted = MOST_COPIES + 2
    items = {item.mxc: item for item in MediaItem.objects.filter(sha256=known.sha256).order_by("-stream_id")[:wanted]}
    rows = {row.mxc: row for row in media.copies(known.sha256, limit=wanted)} if ask else {}
    items |= fetch_items(rows.keys() - items.keys())
    return sorted(both_sides(items, rows, but=known.mxc), key=newest_change_first)[: MOST_COPIES + 1]


def newest_change_first(known: Known) -> tuple[int, Mxc]:
    return (-known.item.stream_id if known.item else 0, known.mxc)


def find_others(known: Known) -> list[Known]:
    if not known.uploader:
        return []
    items = MediaItem.objects.filter(uploader=known.uploader).order_by("-stream_id")[: MOST_OTHERS + 1]
    return list(both_sides({item.mxc: item for item in items}, {}, but=known.mxc))[:MOST_OTHERS]


def both_sides(items: dict[Mxc, MediaItem], rows: dict[Mxc, Media], *, but: Mxc) -> Iterator[Known]:
    last = last_changes(items.values())
    for mxc in dict.fromkeys((*items, *rows)):
        if mxc != but:
            yield Known(mxc=mxc, item=items.get(mxc), last=last.get(mxc), row=rows.get(mxc))


def last_changes(items: Iterable[MediaItem]) -> dict[Mxc, Change]:
    positions = [item.stream_id for item in items if item.stream_id]
    return {change.mxc: change for change in Change.objects.in_bulk(positions).values()} if positions else {}
