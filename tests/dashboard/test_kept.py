"""Pieces of templates that are rendered once say nothing but what they were told."""

import pytest
from django.template import engines
from django.test import RequestFactory
from django.utils.translation import override


@pytest.fixture
def render():
    """A function: a template's text on each of some pages, one after the other."""

    def texts(source, *pages, language="en"):
        template = engines["django"].from_string("{% load i18n kept %}" + source)
        with override(language):
            return [template.render(page, RequestFactory().get(page.get("path", "/"))) for page in pages]

    return texts


def test_only_what_is_named_is_there(render):
    source = "{% kept role %}{{ role }}/{{ name }}/{{ request.path }}/{{ csrf_token }}/{{ user }}{% endkept %}"

    assert render(source, {"role": "lead", "name": "ann"}) == ["lead////"]


def test_each_set_of_values_has_its_own(render):
    source = "{% kept may_act name %}{% if may_act %}acts{% else %}reads{% endif %} {{ name }}{% endkept %}"
    pages = [
        {"may_act": True, "name": "a"},
        {"may_act": False, "name": "a"},
        {"name": "<b>"},
        {"may_act": True, "name": "a"},
    ]

    assert render(source, *pages) == ["acts a", "reads a", "reads &lt;b&gt;", "acts a"]


def test_each_language_has_its_own():
    template = engines["django"].from_string("{% load i18n kept %}{% kept %}{% translate 'Search' %}{% endkept %}")
    said = []
    for language in ("en", "de", "en"):
        with override(language):
            said.append(template.render({}))

    assert said == ["Search", "Suche", "Search"]


def test_it_is_rendered_once(render):
    class Counted:
        times = 0

        def __hash__(self):
            return 1

        def __eq__(self, other):
            return True

        def __str__(self):
            Counted.times += 1
            return "x"

    assert render("{% kept it %}{{ it }}{% endkept %}", {"it": Counted()}, {"it": Counted()}) == ["x", "x"]
    assert Counted.times == 1
