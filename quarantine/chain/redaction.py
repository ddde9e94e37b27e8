"""Blanking personal data by law: the values and their salts go, what vouches for the rows stays.

The one place that updates append-only rows, a few hundred at a time, and only the fields named in
PERSONAL and their salts; and of notes that have no seal. That it is done, by whom and why is on the access record before anything is
blanked; what was there is not. Safe to repeat: after a crash, the same again finds what is left.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models, transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from quarantine import ledger, seals
from quarantine.accounts.access_record import record
from quarantine.models import (
    Access,
    AccessEntry,
    Action,
    Alert,
    AlertKind,
    Change,
    Ledger,
    MediaItem,
    Mute,
    RolledUp,
    Ruling,
    Staff,
    Tally,
)
from quarantine.mxc import Mxc
from quarantine.seals import REDACTED, BrokenSealError

WINDOW = 500  # rows a transaction
REASON_LENGTH = 2_000
NAMES = {
    Change: "changes",
    Action: "actions",
    Ruling: "rulings",
    Alert: "alerts",
    AccessEntry: "lines of the access record",
}
KEYED = ("uploader", "actor")  # kinds of tallies whose keys are people

type Row = Change | Action | Ruling | Alert | AccessEntry


class RedactionError(Exception):
    """The message is a sentence for the person who asked."""


class UnfitRowError(RedactionError):
    """A row can't be blanked. What was before it is blanked already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """In which rows of one table which fields are to be blanked."""

    model: type[Row]
    wanted: Q
    fields: tuple[str, ...]

    def left(self) -> "models.QuerySet[Any]":
        """Those that still hold something."""
        holding = Q()
        for name in self.fields:
            holding |= ~Q(**{name: ""}) & ~Q(**{name: REDACTED})
        rows: models.QuerySet[Any] = self.model._base_manager.filter(self.wanted).filter(holding)
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is to be blanked. `of` and `about` go on the access record, so `about` names no person."""

    of: str
    about: str
    parts: tuple[Part, ...]
    items: Q | None = None  # media items whose remembered uploader is forgotten
    person: str = ""  # who is taken out of the sums as well

    def counts(self) -> dict[str, int]:
        """Rows that hold something to be blanked, by table."""
        found: dict[str, int] = {}
        for part in self.parts:
            name = NAMES[part.model]
            found[name] = found.get(name, 0) + part.left().count()
        return found


def of_media(mxc: Mxc) -> Redaction:
    """Uploader and file name, not who of the staff did something about it."""
    this = Q(origin=mxc.origin, media_id=mxc.media_id)
    parts = (Part(model=Change, wanted=this, fields=("upload_name", "uploader")),)
    return Redaction(of="media", about=str(mxc), parts=parts, items=this)


def of_user(user: str) -> Redaction:
    """A Matrix user wherever they uploaded or acted; an account's name wherever it stands."""
    parts = (
        Part(model=Change, wanted=Q(uploader=user), fields=("upload_name", "uploader")),
        Part(model=Change, wanted=Q(changed_by=user), fields=("changed_by",)),
        Part(model=Action, wanted=Q(target=user), fields=("target",)),
        Part(model=AccessEntry, wanted=Q(who=user), fields=("who", "address", "details")),
        Part(model=AccessEntry, wanted=Q(target=user, what=Access.ACCOUNT_LINKED), fields=("details",)),
        Part(model=AccessEntry, wanted=Q(target=user), fields=("target",)),
        Part(model=Alert, wanted=of_person(user), fields=("note",)),
    )
    return Redaction(of="user", about="", parts=parts, items=Q(uploader=user), person=user)


def of_action(number: int) -> Redaction:
    """What it was aimed at, and what people wrote about it: the reason, and the note of who ruled on it, kept twice."""
    ruled = Q(what=Access.RULING, target=str(number))
    parts = (
        Part(model=Action, wanted=Q(pk=number), fields=("target", "reason")),
        Part(model=Ruling, wanted=Q(pk=number), fields=("note",)),
        Part(model=AccessEntry, wanted=ruled, fields=("details",)),
    )
    return Redaction(of="action", about=str(number), parts=parts)


def of_alert(number: int) -> Redaction:
    """What was written when it was acknowledged."""
    return Redaction(of="alert", about=str(number), parts=(Part(model=Alert, wanted=Q(pk=number), fields=("note",)),))


def check_reason(reason: str) -> str:
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_LENGTH:
        msg = f"Say why, in up to {REASON_LENGTH:,} characters, without naming the person: it stays on record."
        raise RedactionError(msg)
    return reason


def redact(
    redaction: Redaction, *, reason: str, by: Staff | None, progress: Callable[[int], object] = lambda _: None
) -> int:
    """Blank it; returns the number of rows. Raises RedactionError before anything has happened, or UnfitRowError."""
    reason = check_reason(reason)
    check_account(redaction)
    record(Access.REDACTION, by=by, target=redaction.about, of=redaction.of, reason=reason, rows=redaction.counts())
    try:
        rows = forget(redaction, progress)
        refuse_older_facts()
        rows += forget(redaction)
    finally:
        forget_what_is_kept()
    if redaction.person:
        forget_in_sums(redaction.person)
        forget_in_alerts(redaction.person)
        rename_account(redaction.person)
        forget_what_is_kept()
    return rows


def forget(redaction: Redaction, progress: Callable[[int], object] = lambda _: None) -> int:
    """What is recorded by now; returns the number of rows."""
    if redaction.items is not None:
        forget_uploaders(redaction.items)  # first: the gate puts into new rows what it remembers
    return blank_parts(redaction.parts, progress)


def blank_parts(parts: tuple[Part, ...], progress: Callable[[int], object]) -> int:
    rows = 0
    for part in parts:
        for blanked in windows(part):
            rows += blanked
            progress(rows)
    return rows


def refuse_older_facts() -> None:
    """Whoever read something before it was blanked can't record it any more. What they have recorded so far is there to see."""
    with transaction.atomic():
        ledger.lock()
        forget_what_is_kept()


def forget_what_is_kept() -> None:
    """What is kept in memory for this state of the ledger, or is being added up, is out of date."""
    Ledger.objects.update(redactions=Coalesce(F("redactions"), Value(0)) + 1)


def windows(part: Part) -> Iterator[int]:
    """Blank a window of rows after the other, each committed; yields how many."""
    after = 0
    while True:
        with transaction.atomic():
            rows = list(part.left().filter(pk__gt=after).order_by("pk").select_for_update(of=("self",))[:WINDOW])
            for row in rows:
                blank(row, part.fields)
        if not rows:
            return
        yield len(rows)
        after = rows[-1].pk


def blank(row: Row, fields: tuple[str, ...]) -> None:
    if isinstance(row, Ruling | Alert):  # they have no seal of their own; of rulings the access record vouches for it
        type(row)._base_manager.filter(pk=row.pk).update(**dict.fromkeys(fields, REDACTED))
        return
    names = type(row).PERSONAL
    values, salts = [getattr(row, name) for name in names], row.salts
    which = [name in fields for name in names]
    if salts is None:  # from before there were seals
        told = [REDACTED if gone and value else value for value, gone in zip(values, which, strict=True)]
    else:
        try:
            told, salts = seals.redact(values, bytes(salts), which=which)
        except BrokenSealError as error:
            msg = f"Row {row.pk} of {row._meta.db_table} does not fit its seal: look at it first (manage.py verify)."
            raise UnfitRowError(msg) from error
    type(row)._base_manager.filter(pk=row.pk).update(salts=salts, **dict(zip(names, told, strict=True)))


# --- What else remembers ------------------------------------------------------------------


def forget_uploaders(items: Q) -> None:
    """So that the next change of such media doesn't bring the name back. Under the gate's lock, as it writes them too."""
    while True:
        with transaction.atomic():
            ledger.lock()
            some = list(MediaItem.objects.filter(items).exclude(uploader="")[:WINDOW])
            for item in some:
                MediaItem.objects.filter(pk=item.pk).update(uploader="")
        if not some:
            return


def forget_in_sums(person: str) -> None:
    with transaction.atomic():  # whoever is about to store sums from before has done so then, or finds them out of date
        list(RolledUp.objects.select_for_update())
    for tally in Tally.objects.filter(kind__in=KEYED, counts__has_key=person).iterator(chunk_size=WINDOW):
        counts = dict(tally.counts)
        counts[REDACTED] = counts.get(REDACTED, 0) + counts.pop(person)
        Tally.objects.filter(pk=tally.pk).update(counts=counts)


def forget_in_alerts(person: str) -> None:
    """What goes on ends with it: two that are blanked could not go on side by side."""
    alerts = Alert.objects.filter(of_person(person))
    alerts.update(subject=REDACTED, ended_at=Coalesce("ended_at", "last_at"))
    Mute.objects.filter(of_person(person)).update(subject=REDACTED)


def of_person(name: str) -> Q:
    """Alerts and mutes that are about a person."""
    return Q(kind=AlertKind.RELEASE, subject=name)


def check_account(redaction: Redaction) -> None:
    if redaction.person and Staff.objects.filter(username=redaction.person, is_active=True).exists():
        msg = "This is an account in use. Disable it first: manage.py staff disable."
        raise RedactionError(msg)


def rename_account(name: str) -> None:
    """Pages name whoever acted by the account; its number stays, to tell people apart."""
    for staff in Staff.objects.filter(username=name, is_active=False):
        staff.username, staff.first_name, staff.last_name, staff.email = f"redacted-{staff.pk}", "", "", ""
        staff.save(update_fields=["username", "first_name", "last_name", "email"])
