"""What is noted down for everybody is English; pages show it in the reader's language."""

import re
from functools import partial

from django.utils.translation import get_language, gettext

from quarantine import performance, worker
from quarantine.acting import plans
from quarantine.homeserver import answers, connect

SENTENCES = (
    plans.SINCE,
    plans.SHARED,
    plans.UNSENDABLE,
    performance.TAKEN,
    worker.AWAY,
    worker.AGAIN,
    worker.BROKEN,
    connect.WATCH_ONLY,
    *answers.REFUSALS.values(),
    answers.BUSY,
    answers.TROUBLE,
    answers.WRITERS,
    answers.REFUSED,
    answers.NOT_HERE,
    answers.NO_SYNAPSE,
    answers.BAD_CERTIFICATE,
    answers.NO_TLS,
    answers.UNREACHABLE,
    answers.SLOW,
    answers.CUT_OFF,
    answers.NO_INFO,
    answers.LARGER,
    answers.NOT_LOCAL,
    answers.NAMELESS,
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
