"""What is on record of one media item, one user or one action, with what vouches for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import Q

from quarantine import seals
from quarantine.chain.verification import Table, tables
from quarantine.models import Access, AccessEntry, Action, Change, Reveal
from quarantine.mxc import Mxc
from quarantine.seals import BLANK, SALT, SALTED, BrokenSealError

WINDOW = 1_000  # rows a statement
ABOUT_PEOPLE = (
    "account-added", "account-disabled", "account-enabled", "account-linked", "role-changed", "password-changed",
    "factor-added", "factor-removed", "factor-renewed", "redaction",
)  # fmt: skip


POINTERS = {"action_id", "undoes_id"}  # records tell them without the ending


class NoEvidenceError(Exception):
    """Nothing is on record of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the evidence is about. `wanted`: by name of the table, conditions of which one is true for each row.

    Each is asked by itself, so that each follows an index.
    """

    title: str
    name: str  # of a file, without anything odd
    wanted: dict[str, list[Q]]


def of_media(mxc: Mxc) -> Subject:
    this = Q(origin=mxc.origin, media_id=mxc.media_id)
    acted = Change.objects.filter(this).exclude(action=None).values("action")
    asked = Action.objects.filter(intents__origin=mxc.origin, intents__media_id=mxc.media_id).values("pk")
    wanted = {
        "ledger": [this],
        "actions": [Q(pk__in=acted), Q(pk__in=asked)],
        "reveals": [this],
        "access": [Q(what=Access.REVEAL, target=str(mxc)), Q(what=Access.DOWNLOAD, target=str(mxc))],
    }
    return Subject(title=f"media {mxc}", name="media", wanted=wanted)


def of_user(user: str) -> Subject:
    """A Matrix user, or somebody of the staff."""
    wanted = {
        "ledger": [Q(uploader=user), Q(changed_by=user)],
        "actions": [Q(staff__username=user), Q(target=user)],
        "reveals": [Q(staff__username=user)],
        "access": [Q(who=user), Q(what__in=ABOUT_PEOPLE, target=user)],
    }
    return Subject(title=f"user {user}", name="user", wanted=wanted)


def of_action(number: int) -> Subject:
    undone = Action.objects.filter(undone_by=number).values("pk")
    actions = [Q(pk=number), Q(undoes=number), Q(pk__in=undone)]
    ruled = [Q(what=Access.RULING, target=str(number))]
    return Subject(
        title=f"action {number}",
        name=f"action-{number}",
        wanted={"ledger": [Q(action=number)], "actions": actions, "access": ruled},
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rows of one table, up to where it ended when this was asked for: asked again, they are the same."""

    table: Table
    lanes: list[Q]
    upto: int

    def rows(self) -> Iterator[list[tuple[Any, bytes | None]]]:
        """Each with the chain value before it, oldest first, window by window."""
        after = 0
        while window := self.window(after):
            yield self.with_links(window)
            after = window[-1].pk

    def window(self, after: int) -> list[Any]:
        key = self.table.key
        between = Q(**{f"{key}__gt": after, f"{key}__lte": self.upto})
        found: dict[int, Any] = {}
        for lane in self.lanes:
            found |= {row.pk: row for row in joined(self.table.objects()).filter(between, lane).order_by(key)[:WINDOW]}
        return [found[pk] for pk in sorted(found)[:WINDOW]]

    def exists(self) -> bool:
        return any(self.table.objects().filter(lane).exists() for lane in self.lanes)

    def with_links(self, window: list[Any]) -> list[tuple[Any, bytes | None]]:
        before = {row.pk - 1 for row in window}
        links = {
            row_key: bytes(chain)
            for row_key, chain in self.table.objects()
            .filter(**{f"{self.table.key}__in": before})
            .exclude(chain=None)
            .values_list(self.table.key, "chain")
        }
        return [
            (row, None if row.chain is None else links.get(row.pk - 1) or self.table.link_before(row.pk))
            for row in window
        ]


def joined(rows: "models.QuerySet[Any]") -> "models.QuerySet[Any]":
    """With what is told of each row beside its own columns."""
    beside = {Change: ("action",), Action: ("staff", "work"), Reveal: ("staff",), AccessEntry: ()}
    names = beside[rows.model]
    return rows.select_related(*names) if names else rows


def find(subject: Subject, *, leave_out: Sequence[str] = ()) -> list[Found]:
    """Raises NoEvidenceError where nothing is on record; `leave_out` names tables that are not to be looked at."""
    found = []
    for table in tables():
        lanes = subject.wanted.get(table.name)
        last = table.objects().order_by(f"-{table.key}").values_list(table.key, flat=True).first()
        if lanes and last and table.name not in leave_out:
            found.append(Found(table=table, lanes=lanes, upto=last))
    if not any(each.exists() for each in found):
        raise NoEvidenceError
    return found


def voucher(table: Table, row: Any, previous: bytes | None) -> dict[str, Any] | None:
    """What anybody needs to compute the row's digest and chain value again; None: it was written before there were seals."""
    if row.chain is None or previous is None:
        return None
    plain, personal = [[getattr(row, name) for name in names] for names in (table.plain, table.personal)]
    salts = bytes(row.salts or b"")
    try:
        content = seals.content(plain, personal, salts)
    except BrokenSealError:
        content = ""
    return {
        "previous": previous.hex(),
        "given": [row.pk] if table.time is None else [row.pk, seals.micros(getattr(row, table.time))],
        "plain": [name.removesuffix("_id") if name in POINTERS else name for name in table.plain],
        "content": content,
        "digest": bytes(row.digest or b"").hex(),
        "chain": bytes(row.chain).hex(),
        "personal": dict(zip(table.personal, opened(personal, salts), strict=False)),
    }


def opened(personal: Sequence[str], salts: bytes) -> Iterator[dict[str, str] | None]:
    """Value and salt of each; None where there is nothing, or nothing any more."""
    at = 0
    for value in personal:
        kind = salts[at : at + 1]
        if kind == SALTED:
            yield {"value": value, "salt": salts[at + 1 : at + 1 + SALT].hex()}
        else:
            yield None
        at += 1 + (0 if kind == BLANK else SALT if kind == SALTED else seals.COMMITMENT)
