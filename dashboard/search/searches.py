"""Looking for media by name, and for whatever somebody pastes into the search box."""

from contextlib import suppress
from functools import reduce
from operator import or_

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext

from dashboard.wording.terms import quoted
from quarantine.models import Action
from quarantine.mxc import Kind, Mxc, MxcError, parse_pasted

MOST_ACTIONS = 200  # whose reasons hold a word, where each has to be named
SHORTEST_WORD = 3  # shorter ones use no trigram: 20 s on 10 million rows


def read_media(text: str) -> Mxc | str:
    """An mxc URI or a download URL names one item; anything else is an id, on whichever server."""
    return as_mxc(text) or text


def as_mxc(text: str) -> Mxc | None:
    try:
        return parse_pasted(text).mxc
    except MxcError as error:
        if text.startswith("mxc://"):
            with suppress(MxcError):
                return Mxc.of_row(text)
        raise ValidationError(str(error)) from error


def of_media(media: Mxc | str) -> Q:
    if isinstance(media, Mxc):
        return Q(origin=media.origin, media_id=media.media_id)
    return Q(media_id=media)


def read_anything(text: str) -> str:
    """What was pasted, in one spelling."""
    if mxc := as_mxc(text):
        return str(mxc)
    pasted = parse_pasted(text)
    if pasted.kind is Kind.WORDS and max(map(len, text.split())) < SHORTEST_WORD:
        msg = gettext("{text} is too short: at least one word of {number} characters is needed.")
        msg = msg.format(text=quoted(text), number=SHORTEST_WORD)
        raise ValidationError(msg)
    return pasted.value


def of_anything(text: str) -> Q:
    """What `read_anything` gave."""
    if mxc := as_mxc(text):
        return of_media(mxc)
    pasted = parse_pasted(text)
    match pasted.kind:
        case Kind.SHA256:
            return Q(sha256=text)
        case Kind.USER:
            return Q(uploader=text) | Q(changed_by=text)
        case Kind.SERVER:  # or a file name, which looks the same
            return Q(origin=text.lower()) | with_words(text)
    return Q(media_id=text) | with_words(text)


def ways_to_anything(text: str) -> list[Q]:
    """The conditions, each with an index, of which `of_anything` is made; none where it looks for words."""
    if mxc := as_mxc(text):
        return [of_media(mxc)]
    match parse_pasted(text).kind:
        case Kind.SHA256:
            return [Q(sha256=text)]
        case Kind.USER:
            return [Q(uploader=text), Q(changed_by=text)]
    return []


def scattered(text: str) -> Q | None:
    """`of_anything` for words, such that an index can answer it, if in no order; None where it looks for something else.

    Reads the actions whose reasons hold a word; None also when these are many.
    """
    if as_mxc(text) or parse_pasted(text).kind in (Kind.SHA256, Kind.USER):
        return None
    found = Q()
    for word in text.split():
        actions = list(Action.objects.filter(spelt("reason", word)).values_list("pk", flat=True)[: MOST_ACTIONS + 1])
        if len(actions) > MOST_ACTIONS:
            return None
        # As numbers: beside an OR, PostgreSQL uses no index for what another table holds.
        found &= spelt("upload_name", word) | Q(action__in=actions) if actions else spelt("upload_name", word)
    others = Q(origin=text.lower()) if parse_pasted(text).kind is Kind.SERVER else Q(media_id=text)
    return found | others


def with_words(text: str) -> Q:
    """Each word in the file name or in the action's reason."""
    found = Q()
    for word in text.split():
        # The reasons first, as ids: there are few actions, and an OR across a join uses no index.
        found &= spelt("upload_name", word) | Q(action__in=Action.objects.filter(spelt("reason", word)).values("pk"))
    return found


def spelt(column: str, word: str) -> Q:
    """Rows whose column holds a word, in any case."""
    # Databases fold the case of ASCII alone (SQLite, and PostgreSQL in the C locale): the rest is spelt out.
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    return reduce(or_, (Q(**{f"{column}__icontains": spelling}) for spelling in sorted(spellings)))
