"""What the documents say of filters and of kinds of reasons is what the code knows."""

import re
from importlib import import_module

import pytest
from django.http import QueryDict
from django.utils.text import slugify

from dashboard.exports.exports import ExportFilter
from dashboard.exports.record_filters import RecordFilter
from dashboard.search.action_filters import ActionFilter
from dashboard.search.filter_kinds import TermsFilter
from quarantine.models import Change
from tests.environment import ROOT

FILTERS = ExportFilter.base_filters
OF_PAGES = {"fold", "since"}


def section(file, heading):
    text = (ROOT / "docs" / file).read_text()
    return re.split(r"^#", text.split(f"{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(text, *columns):
    """The cells of the rows below these headings."""
    lines = text.split(f"| {' | '.join(columns)} |\n", 1)[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def of_changes():
    return table(section("changes-api.md", "### Filters"), "filter", "what it looks at", "values", "example")


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_each_filter_of_exports_is_in_the_table():
    assert [words(row[0]) for row in of_changes()] == [[name] for name in FILTERS if name not in OF_PAGES]
    assert FILTERS.keys() > OF_PAGES
    assert "`fold` and `since`" in section("changes-api.md", "### Filters")


def test_where_there_is_a_choice_the_table_names_all_there_are():
    named = {words(row[0])[0]: words(row[2]) for row in of_changes()}
    choices = {name: list(each.names) for name, each in FILTERS.items() if isinstance(each, TermsFilter) and each.names}

    assert choices.keys() == {"state", "scope", "source", "cause"}
    assert {name: named[name] for name in choices} == choices


def test_each_example_is_one_of_its_filter_and_can_be_asked_for():
    for name, _what, _values, example in of_changes():
        assert example.startswith(f"{name.rstrip('`')}=")
        asked = ExportFilter(QueryDict(example.strip("`")), queryset=Change.objects.none())
        assert asked.is_valid(), asked.problems


def test_names_given_once_are_said_to_be():
    said = section("changes-api.md", "### Filters").split(" are given once")[0].rsplit(". ", 1)[1]

    assert words(said) == [
        name for name, each in FILTERS.items() if not isinstance(each, TermsFilter) and name not in OF_PAGES
    ]


@pytest.mark.parametrize(("export", "filters"), [("/actions.csv", ActionFilter), ("/record.csv", RecordFilter)])
def test_each_filter_of_the_other_exports_is_named(export, filters):
    rows = table(section("changes-api.md", "### Filters"), "export", "filters")

    assert {words(first)[0]: words(second) for first, second in rows}[export] == list(filters.base_filters)


def test_kinds_of_reasons_are_told_by_their_slugs():
    text = section("acting.md", "## Kinds of reasons")
    [(label, slug)] = re.findall(r"\(\*(.+)\*: `(.+)`\)", text)

    told = {words(row[0])[0]: row[1] for row in table(text, "slug", "kind of reason")}
    assert told == import_module("quarantine.migrations.0003_acting").CATEGORIES
    assert slugify(label) == slug
