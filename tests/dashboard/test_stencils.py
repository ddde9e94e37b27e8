"""Rows by stencils are the rows that their template would make."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from django.template.loader import get_template
from django.utils.safestring import mark_safe
from django.utils.translation import override

from dashboard.rows import TEMPLATE, VALUES, Told, render, row_context, stencils, with_reasons
from dashboard.stencils import MARK, Stencil
from dashboard.wording.text import escaped
from quarantine.models import Category, Cause, Change, Source, State
from tests.factories import make_action, make_change

NOON = datetime(2026, 11, 22, 14, 2, 31, tzinfo=UTC)
TIMES = [None, NOON, NOON - timedelta(seconds=90), NOON - timedelta(days=3)]
HOSTILE = "<b>\ue000mxc\ue000&\u202e{put.mxc}"
TEXTS = ["one", HOSTILE]
BY = ["", "system", "@root:matrix.example"]


def changes():
    """Of many kinds, and of each kind two that differ in all their values."""
    for text, state, named, uploader, origin in product(
        TEXTS, State, [True, False], ["@a:x", ""], ["matrix.example", "far"]
    ):
        yield make_change(
            state=state, upload_name=text if named else "", uploader=uploader and uploader + text, seen_at=NOON,
            origin=origin if origin == "matrix.example" else origin + text, media_type=f"image/{text}",
        )  # fmt: skip
    for text, moment, by, cause in product(TEXTS, TIMES, BY, Cause):
        yield make_change(
            upload_name=text, changed_by=by, cause=cause, not_before=moment, seen_at=NOON, media_length=len(text) * 999
        )
    for number, text in enumerate(TEXTS):
        Category.objects.create(slug=f"kind{number}", label=text)
    for (number, text), source, reason, kind in product(enumerate(TEXTS), Source, [True, False], [True, False]):
        action = make_action(reason=text if reason else "", category=f"kind{number}" if kind else "")
        yield make_change(upload_name=text, source=source, changed_by=text, action=action, seen_at=NOON)


def by_template(told):
    """The same row without a stencil."""
    values = {name: mark_safe(escaped(value(told))) for name, value in VALUES.items()}
    return get_template(TEMPLATE).render(row_context(told.change) | {"put": values})


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "de"])
def test_rows_are_what_their_template_says(language):
    ids = [change.pk for change in changes()]
    stencils.answers.clear()

    with override(language):
        rows = [Told.of(change) for change in with_reasons(Change.objects.filter(pk__in=ids))]
        assert len(rows) == len(ids) > 200
        wrong = [told.kind for told in rows if render(told.change) != by_template(told)]

    assert wrong == []
    assert len(stencils.answers) <= len(rows) / 2, "each kind had two rows at least"


@pytest.mark.django_db
def test_a_template_takes_no_value_that_there_is_not():
    list(map(render, changes()))

    names = {name for stencil in stencils.answers.values() for name in stencil.pieces[1::2]}
    assert names == VALUES.keys()


def test_values_are_never_looked_at_again():
    stencil = Stencil.of(f"<p>{mark('name')}</p><i>{mark('name')} {mark('html')}</i>")

    filled = stencil.fill(HOSTILE, {"name": str, "html": lambda _: mark_safe("<b>bold</b>"), "other": lambda _: 1 / 0})

    assert filled == (
        "<p>&lt;b&gt;\ue000mxc\ue000&amp;\u202e{put.mxc}</p>"
        "<i>&lt;b&gt;\ue000mxc\ue000&amp;\u202e{put.mxc} <b>bold</b></i>"
    )


def mark(name):
    found = f"\ue000{name}\ue000"
    assert MARK.fullmatch(found)
    return found
