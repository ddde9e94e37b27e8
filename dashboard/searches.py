"""Looking for media by name, and for whatever somebody pastes into the search box."""

from contextlib import suppress

from django.core.exceptions import ValidationError
from django.db.models import Q

from dashboard.terms import quoted
from quarantine.models import Action
from quarantine.mxc import Kind, Mxc, MxcError, parse_pasted

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
        msg = f"{quoted(text)} is too short: at least one word of {SHORTEST_WORD} characters is needed."
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


def with_words(text: str) -> Q:
    """Each word in the file name or in the action's reason."""
    found = Q()
    for word in text.split():
        found &= with_word(word)
    return found


def with_word(word: str) -> Q:
    # Databases fold the case of ASCII alone (SQLite, and PostgreSQL in the C locale): the rest is spelt out.
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    names, reasons = Q(), Q()
    for spelling in sorted(spellings):
        names |= Q(upload_name__icontains=spelling)
        reasons |= Q(reason__icontains=spelling)
    # The reasons first, as ids: there are few actions, and an OR across a join uses no index.
    return names | Q(action__in=Action.objects.filter(reasons).values("pk"))
