"""What scripts say: each page brings it along in its language (`static/js/words.js`)."""

import json
from functools import cache

from django.utils.translation import gettext, ngettext, override

COUNTED = {"one": 1, "other": 2}


@cache
def script_words(language: str) -> str:
    """As JSON, under the names that the scripts use."""
    with override(language):
        return json.dumps(live() | times() | selection() | preview() | errors(), ensure_ascii=False)


def live() -> dict[str, str]:
    words = {
        "pause": gettext("Pause live updates"),
        "resume": gettext("Resume live updates"),
        "heard-s": gettext("heard {number} s ago"),
        "heard-min": gettext("heard {number} min ago"),
        "held-back": gettext("{changes} waiting"),
        "too-many": gettext("More than {number} new changes"),
        "too-many-reload": gettext("{changes} — reload"),
        "too-many-press": gettext("{changes}. Press n to reload."),
    }
    for form, number in COUNTED.items():
        words[f"new-{form}"] = ngettext("{number} new change", "{number} new changes", number)
        words[f"waiting-{form}"] = ngettext(
            "{number} new change is waiting. Press n to show it.",
            "{number} new changes are waiting. Press n to show them.",
            number,
        )
        words[f"at-the-top-{form}"] = ngettext(
            "{number} new change at the top.", "{number} new changes at the top.", number
        )
    return words


def times() -> dict[str, str]:
    return {
        "ago-s": gettext("{number} s ago"),
        "ago-min": gettext("{number} min ago"),
        "ago-h": gettext("{number} h ago"),
        "ago-d": gettext("{number} d ago"),
    }


def selection() -> dict[str, str]:
    return {
        "selected": gettext("{number} selected"),
        "selected-quarantined": gettext("{number} quarantined"),
        "selected-released": gettext("{number} released"),
        "selected-deleted": gettext("{number} deleted"),
        "verb-number": gettext("{verb} {number}…"),
    }


def preview() -> dict[str, str]:
    return {
        "step-blurred": gettext("blurred, grey"),
        "step-grey": gettext("grey"),
        "step-plain": gettext("as it is"),
        "file": gettext("The file, {how}"),
        "fetching": gettext("Fetching…"),
        "hidden": gettext("Hidden again."),
        "let-go": gettext("Let go before it came."),
        "not-shown": gettext("It can’t be shown. Reload the page and try again."),
        "not-fetched": gettext("It could not be fetched."),
        "not-drawn": gettext("The browser can’t draw this file."),
    }


def errors() -> dict[str, str]:
    return {
        "unreachable": gettext("The server can’t be reached."),
        "too-slow": gettext("The server takes too long to answer."),
        "server-error": gettext("The server answered with an error ({status})."),
        "out-of-date": gettext("What you see may be out of date."),
        "reference": gettext("Reference {reference}."),
    }
