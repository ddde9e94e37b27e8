"""`manage.py redact` where there is nothing that it could mean."""

import pytest
from django.core.management import CommandError, call_command

from quarantine import ledger
from quarantine.models import AccessEntry, Change
from tests.quarantine.ledger_checks import an_entry

pytestmark = pytest.mark.django_db
MEDIA = "mxc://matrix.example/a"


@pytest.mark.parametrize("more", [["--dry-run"], ["--yes"]])
def test_media_the_ledger_does_not_know_is_said_to_be_unknown(more):
    ledger.bind()
    ledger.append([an_entry("a", upload_name="a.png"), an_entry("b", origin="spam.example")])

    for media in ("mxc://matrix.example/b", "mxc://spam.example/a"):
        with pytest.raises(CommandError) as refused:
            call_command("redact", "--media", media, "--reason", "Request 4711", *more)
        assert str(refused.value) == f"The ledger knows no media {media}. Nothing was blanked."
        assert refused.value.returncode == 2

    assert not AccessEntry.objects.exists()
    assert Change.objects.filter(upload_name="a.png").count() == 1


def test_media_that_was_blanked_before_is_known(capsys):
    ledger.bind()
    ledger.append([an_entry("a", upload_name="a.png")])

    for rows in (1, 0):
        call_command("redact", "--media", MEDIA, "--reason", "Request 4711", "--yes")
        assert f"\n{rows} rows blanked." in capsys.readouterr().out
