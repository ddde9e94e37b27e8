"""manage.py sample: what it says and how it ends."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from quarantine import ledger
from quarantine.models import Change, Staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def bound():
    ledger.bind()


def sample(**options):
    out = StringIO()
    call_command("sample", stdout=out, **({"changes": 40, "media": 50} | options))
    return out.getvalue()


def test_its_last_line_is_one_json_object(bound):
    told = json.loads(sample(json=True).splitlines()[-1])

    assert told["changes"] == Change.objects.count() == 40
    assert told["media"] == 50
    assert told.keys() == {"changes", "media", "repeats", "actions", "feed_position", "seconds"}


def test_it_says_what_it_made(bound):
    assert sample().startswith("40 changes of 50 media, and ")


def test_the_staff_it_invents_cannot_sign_in(bound, client):
    sample()

    for staff in Staff.objects.all():
        assert not staff.is_active
        assert not staff.has_usable_password()
    assert Staff.objects.count() == 3


def test_a_ledger_that_holds_something_is_left_alone(bound):
    sample()

    with pytest.raises(CommandError, match="not empty: it holds 40 changes") as refusal:
        sample()

    assert refusal.value.returncode == 1
    assert Change.objects.count() == 40


def test_a_real_homeserver_is_left_alone(bound, settings):
    settings.HOMESERVER_ATTACHED = True

    with pytest.raises(CommandError, match="real homeserver is attached"):
        sample()

    assert not Change.objects.exists()


def test_an_unbound_ledger_is_refused():
    with pytest.raises(CommandError, match=r"manage\.py prepare"):
        sample()

    assert not Staff.objects.exists()


@pytest.mark.parametrize("options", [{"changes": 0}, {"media": 0}, {"changes": 10_000_001}])
def test_numbers_that_make_no_sense_are_refused(bound, options):
    with pytest.raises(CommandError, match="go from 1 to 10,000,000") as refusal:
        sample(**options)

    assert refusal.value.returncode == 2
