"""Rows on their way into the ledger."""

from dataclasses import MISSING, fields

import pytest

from quarantine.models import Change, MediaItem, State
from quarantine.new_rows import NewChange, NewItem


@pytest.mark.parametrize(("made", "model"), [(NewChange, Change), (NewItem, MediaItem)])
def test_a_row_on_its_way_has_what_the_model_has(made, model):
    columns = [field for field in model._meta.concrete_fields if field.column]
    optional = {field.name: field.default for field in fields(made) if field.default is not MISSING}

    assert [field.name for field in fields(made)] == [field.attname for field in columns]
    assert optional.items() <= {field.attname: field.get_default() for field in columns}.items() | {
        ("state", State.RELEASED)
    }
