"""What is noted down for everybody is English; pages show it in the reader's language."""

import re
from functools import partial

from django.utils.translation import get_language, gettext

from quarantine import performance, worker
from quarantine.acting import plans
from quarantine.homeserver import connect, sentences

SENTENCES = (
    plans.SINCE,
    plans.SHARED,
    plans.UNSENDABLE,
    performance.TAKEN,
    worker.AWAY,
    worker.AGAIN,
    worker.BROKEN,
    connect.WATCH_ONLY,
    *sentences.REFUSALS.values(),
    sentences.BUSY,
    sentences.TROUBLE,
    sentences.WRITERS,
    sentences.REFUSED,
    sentences.NOT_HERE,
    sentences.NO_SYNAPSE,
    sentences.BAD_CERTIFICATE,
    sentences.NO_TLS,
    sentences.UNREACHABLE,
    sentences.SLOW,
    sentences.CUT_OFF,
    sentences.NO_INFO,
    sentences.LARGER,
    sentences.NOT_LOCAL,
    sentences.NAMELESS,
)
PATTERNS = {
    sentence: re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(sentence)), re.DOTALL)
    for sentence in SENTENCES
}


def recorded(words: str) -> str:
    """The same in the reader's language, as far as the sentences are ours."""
    if get_language() in {None, "en"}:
        return words
    for sentence, pattern in PATTERNS.items():
        words = pattern.sub(partial(translated, sentence), words)
    return words


def translated(sentence: str, found: re.Match[str]) -> str:
    return gettext(sentence).format(**found.groupdict())
