"""Strangers' text made harmless to look at: escaped, with nothing hidden in it, cut in the middle.

File names, ids and types are chosen by whoever uploads. Escaping keeps them out of the markup;
what is left are characters that deceive the eye, and names that hide their own end.
"""

import html
import re
import unicodedata
from functools import lru_cache
from typing import Any

from django.utils.formats import get_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, gettext_lazy

WHOLE = 20  # characters of a name that fit everywhere
TAIL = 7  # characters of a name that stay whatever is cut: enough for an extension
# Drawn as nothing or as a blank, though Unicode doesn't count them among the format characters.
BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
RIGHT_TO_LEFT = {"R", "AL", "AN"}
SUBTYPES: dict[str, Any] = {
    "jpeg": "JPEG", "jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WebP", "avif": "AVIF", "heic": "HEIC",
    "svg+xml": "SVG", "bmp": "BMP", "tiff": "TIFF", "mp4": "MP4", "webm": "WebM", "quicktime": "QuickTime",
    "x-matroska": "Matroska", "mpeg": "MPEG", "ogg": "Ogg", "opus": "Opus", "x-wav": "WAV", "wav": "WAV",
    "flac": "FLAC", "mp3": "MP3", "pdf": "PDF", "zip": "ZIP", "x-7z-compressed": "7-Zip", "gzip": "gzip",
    "x-tar": "tar", "x-rar-compressed": "RAR", "vnd.rar": "RAR", "csv": "CSV", "html": "HTML", "plain": gettext_lazy("Text"),
    "json": "JSON", "xml": "XML", "javascript": "JavaScript", "octet-stream": gettext_lazy("Binary"),
}  # fmt: skip


def is_hidden(char: str) -> bool:
    """Whether it shows nothing, or changes how its neighbours show: controls, bidi, zero-width."""
    return unicodedata.category(char) in HIDDEN_CATEGORIES or char in BLANKS


def code_point(char: str) -> str:
    return f"U+{ord(char):04X}"


def escaped(value: object) -> str:
    """As Django's `conditional_escape`, for what pages have thousands of: that looks for lazy arguments each time."""
    return value if isinstance(value, SafeString) else html.escape(str(value))


def visible(text: str) -> SafeString:
    """HTML of the text, each hidden character as a mark that names it."""
    if text.isascii() and text.isprintable():
        return mark_safe(html.escape(text))  # noqa: S308 - escaped in the same breath
    parts = (
        format_html('<span class="ctl">{}</span>', code_point(char)) if is_hidden(char) else escaped(char)
        for char in text
    )
    return mark_safe("".join(parts))  # noqa: S308 - every part is escaped above


def plain(text: str) -> str:
    """For places that take no markup, such as titles: hidden characters as [U+202E]."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"[{code_point(char)}]" if is_hidden(char) else char for char in text)


def file_name(name: str) -> SafeString:
    """The name as HTML of two parts, of which the page shortens only the first; or of one."""
    if len(name) <= WHOLE or not can_be_split(name):
        # Where order decides the meaning, it can't be taken apart, only cut once and for all.
        return format_html('<span class="ell"><bdi>{}</bdi></span>', visible(cut_middle(name, 48)))
    head, tail = split_tail(name)
    return mark_safe(f"<span><bdi>{escaped(head)}</bdi></span><span>{escaped(tail)}</span>")  # noqa: S308 - both escaped


def can_be_split(name: str) -> bool:
    """Whether its letters stand in the order they are written in."""
    if name.isascii() and name.isprintable():
        return True
    return not any(is_hidden(char) or unicodedata.bidirectional(char) in RIGHT_TO_LEFT for char in name)


def identifier(text: str, tail: int = 6) -> SafeString:
    """An id as HTML of two parts, of which the page shortens only the first; or of one."""
    if len(text) <= WHOLE:
        return format_html('<span class="ell"><bdi dir="ltr">{}</bdi></span>', visible(text))
    head, rest = split_tail(text, tail)
    return mark_safe(f'<span><bdi dir="ltr">{visible(head)}</bdi></span><span>{visible(rest)}</span>')  # noqa: S308 - both escaped


def split_tail(text: str, tail: int = TAIL) -> tuple[str, str]:
    """Head and tail; a letter is never torn from the accents that follow it."""
    at = max(len(text) - tail, 0)
    while at and (unicodedata.combining(text[at]) or unicodedata.category(text[at]) in {"Mn", "Me", "Mc", "Sk"}):
        at -= 1
    return text[:at], text[at:]


def cut_middle(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head, tail = split_tail(text, TAIL + 5)
    return f"{head[: length - len(tail)]}…{tail}"


def initials(name: str) -> str:
    parts = re.findall(r"[^._\s-]+", name)
    return "".join(part[0] for part in parts[:2]).upper()


def size(length: int | None) -> str:
    """Bytes in the unit people know, as file managers count: 1 kB is 1,000 bytes."""
    if length is None:
        return gettext("Size unknown")
    if length < 1000:
        return f"{length}\u00a0B"
    value = float(length)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    whole = value >= 100 or (unit == "kB" and value >= 10)
    return f"{decimal(value, 0 if whole else 1)}\u00a0{unit}"


def decimal(value: float, places: int) -> str:
    """With the separators of the language."""
    text = f"{value:,.{places}f}"
    if get_format("DECIMAL_SEPARATOR") == ".":  # as it is; to ask Django for more takes longer than the rest
        return text
    return number_format(text.replace(",", ""), force_grouping=True)


def whole(number: int) -> str:
    """With the separators of the language: Django's `intcomma`, at a tenth of the price."""
    return whole_in(number, get_language())


@lru_cache(maxsize=10_000)
def whole_in(number: int, _language: str | None) -> str:
    return decimal(number, 0)


def type_label(media_type: str) -> str:
    """What people call it: "JPEG" of "image/jpeg". The type is the uploader's word, not a fact."""
    subtype = media_type.partition(";")[0].partition("/")[2].strip() or media_type
    return str(SUBTYPES.get(subtype.lower(), cut_middle(subtype, 24)) or gettext("Type unknown"))


ICONS = {"image": "image", "video": "video", "audio": "audio"}
ARCHIVE = re.compile(r"zip|tar|7z|rar|compressed", re.IGNORECASE)
CODE = re.compile(r"html|xml|javascript|json|x-sh|executable|wasm", re.IGNORECASE)


def type_icon(media_type: str) -> str:
    if CODE.search(media_type):
        return "code"
    if ARCHIVE.search(media_type):
        return "archive"
    return ICONS.get(media_type.partition("/")[0].strip().lower(), "file")


def mid_sentence(words: object) -> str:
    """A label within a sentence. In English its first letter becomes small; elsewhere that may be wrong."""
    text = str(words)
    return text.lower() if get_language() in {None, "en"} else text


def percent(number: int, total: int) -> str:
    if not number or not total:
        return gettext("{number}%").format(number=0)
    share = 100 * number / total
    return gettext("<1%") if share < 1 else gettext("{number}%").format(number=f"{share:.0f}")
