"""The words of the pages: all are marked, all are translated, and what is compiled is what was written."""

import re
from collections import Counter
from string import Formatter

import pytest

from tests.catalogs import LOCALE, PLACES, compiled, languages, po_file, read, said, strings
from tests.tree import files, named

TOKEN = re.compile(r"(\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}|<!doctype[^>]*>|<(?:[^<>{}]|\{%.*?%\}|\{\{.*?\}\})*>)", re.DOTALL)
NO_WORDS = re.compile(r"{% block main_class %}.*?{% endblock main_class %}|<meta name=\"htmx-config\".*")
READ_ALOUD = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"{}]*)"')
WORD = re.compile(r"[^\W\d_]{2,}")
# The product, units, formats, names of keys, and examples of what can be typed.
SAME_EVERYWHERE = re.compile(
    r"\S+\.example|Quarantine|UTC|CSV|(?:ND)?JSON|sha256|mxc|URI|ms|Enter|Esc|Space|manage\.py [\w -]+|hma|spam"
)
each_language = pytest.mark.parametrize("language", languages())


def test_there_is_a_second_language():
    assert languages() == ["de"]
    assert len(said()) > 500


@each_language
def test_everything_that_is_said_is_translated(language):
    """`make words` brings a catalog in step with the code."""
    catalog = read(language)
    marked = {(message.context, message.id) for message in said() if message.id}

    assert {(message.context, message.id) for message in catalog if message.id} == marked
    assert [
        message.id for message in catalog if message.id and (message.fuzzy or not all(strings(message.string)))
    ] == []


@each_language
def test_translations_keep_values_and_markup(language):
    wrong = [
        (message.id, text)
        for message in read(language)
        if message.id
        for text in strings(message.string)
        if places(text) not in [places(original) for original in strings(message.id)]
    ]

    assert wrong == []


def places(text):
    """What has to be in the translation too, as often; a sentence with braces must be one that `format` takes."""
    if "{" in text:
        list(Formatter().parse(text))
    return Counter(PLACES.findall(text))


@each_language
def test_what_is_compiled_is_what_was_written(language):
    assert po_file(language).with_suffix(".mo").read_bytes() == compiled(read(language))
    assert sorted(file.name for file in (LOCALE / language).rglob("*") if file.is_file()) == ["django.mo", "django.po"]


def test_no_template_speaks_unmarked():
    unmarked = [
        f"{named(file)}: {text}" for file in files("*.html", "templates") for text in bare_words(file.read_text())
    ]

    assert unmarked == []


def bare_words(template):
    """Text, and attributes that are read aloud, outside of what is marked."""
    depth = 0
    for number, part in enumerate(TOKEN.split(NO_WORDS.sub("", template))):
        if number % 2 == 0:
            texts = [part] if not depth else []
        else:
            depth += part.startswith("{% blocktranslate") - part.startswith("{% endblocktranslate")
            texts = READ_ALOUD.findall(part) if part.startswith("<") else []
        yield from (text.strip() for text in texts if WORD.search(SAME_EVERYWHERE.sub("", text)))


@pytest.mark.parametrize(
    "template",
    [
        "<p>Nothing here</p>",
        '<a title="Open it">{% translate "Open" %}</a>',
        "<p>{{ number }} changes</p>",
        "{% blocktranslate %}Marked{% endblocktranslate %} and not",
    ],
)
def test_unmarked_words_are_found(template):
    assert list(bare_words(template))


def test_scripts_say_nothing_by_themselves():
    """What they say comes with the page (dashboard/wording/script_words.py): they hold no sentence, in no kind of quotes."""
    sentence = re.compile(r"""(["'`])[A-Z][a-z]+(?:[ ’][^"'`]*)?[ ][a-z][^"'`]*\1|textContent = ["'`][^"'`]*[a-z]""")
    found = [
        f"{named(file)}: {line.strip()}"
        for file in files("*.js", "static/js")
        for line in file.read_text().splitlines()
        if sentence.search(line.partition("//")[0])
    ]

    assert found == []
