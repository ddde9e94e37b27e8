"""The catalogs of translations: what the code says, and what `locale/` has of it. `make words` brings them up to date.

Babel reads and writes them, so that nobody needs GNU gettext.
"""

import re
import sys
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from tests.environment import ROOT
from tests.tree import PACKAGES, files

LOCALE = ROOT / "locale"
PLACES = re.compile(
    r"%\(\w+\)s|\{\w*(?:![rs])?(?::[^}]*)?\}|<[^>]+>"
)  # values, and markup, that a translation has to keep
# Of a header: dates and addresses, which would differ each time or say nothing.
NOISE = re.compile(rb'"(?:Project-Id|Report|POT|PO-Rev|Last-T|Language-T|Generated)[^"]*"\n')
A_DATE = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = None, (1, 2)
IN_CONTEXT, TWO_IN_CONTEXT = ((1, "c"), 2), ((1, "c"), 2, 3)
KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), ONE),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), TWO),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), IN_CONTEXT),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), TWO_IN_CONTEXT),
}


def said() -> Catalog:
    """Everything that is marked, in the order of the files."""
    catalog = Catalog()
    for file in files("*.py", *PACKAGES):
        add(catalog, file, file.read_bytes())
    for file in [*files("*.html", "templates"), *files("*.txt", "templates")]:
        calls = templatize(file.read_text(), origin=str(file))
        add(catalog, file, " ".join(calls.split()).encode())
    return catalog


def add(catalog: Catalog, file: Path, source: bytes) -> None:
    for _, message, _, context in extract("python", BytesIO(source), keywords=KEYWORDS):
        catalog.add(message, context=context, locations=[(str(file.relative_to(ROOT)), None)])


def po_file(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def compiled(catalog: Catalog) -> bytes:
    """As `gettext` reads it; the same bytes whenever it is made."""
    catalog.creation_date = catalog.revision_date = A_DATE
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def languages() -> list[str]:
    return sorted(folder.name for folder in LOCALE.iterdir())


def update(language: str) -> int:
    """Bring a catalog in step with the code, keep its translations; how many are missing."""
    catalog = read(language)
    catalog.update(said(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.fuzzy = False
    file = BytesIO()
    write_po(file, catalog, width=0, include_lineno=False, sort_output=True)
    po_file(language).write_bytes(NOISE.sub(b"", file.getvalue()))
    po_file(language).with_suffix(".mo").write_bytes(compiled(read(language)))
    return sum(1 for message in catalog if message.id and not all(strings(message.string)))


def strings(string: str | tuple[str, ...]) -> tuple[str, ...]:
    return string if isinstance(string, tuple) else (string,)


if __name__ == "__main__":
    for language in languages():
        missing = update(language)
        sys.stdout.write(f"{language}: {missing} to translate in {po_file(language).relative_to(ROOT)}\n")
