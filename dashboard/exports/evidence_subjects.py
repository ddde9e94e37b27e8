"""What evidence is asked of, from what people type."""

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from dashboard.search.searches import as_mxc
from dashboard.wording.terms import BIGGEST
from quarantine.chain.evidence import Subject, of_action, of_media, of_user
from quarantine.entries import clean_text
from quarantine.models import NAME_LENGTH

KINDS = ("media", "user", "action")


def subject_of(kind: str, text: str) -> Subject:
    """Raises ValidationError, with a sentence."""
    if kind == "media":
        mxc = as_mxc(text)
        if mxc is None:
            raise ValidationError(gettext("Media is named like mxc://server/id."))
        return of_media(mxc)
    if kind == "user":
        if not text or clean_text(text, NAME_LENGTH) != text:
            raise ValidationError(gettext("A user is a name of up to 255 characters."))
        return of_user(text)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < BIGGEST):
        raise ValidationError(gettext("An action is a number."))
    return of_action(int(text))
