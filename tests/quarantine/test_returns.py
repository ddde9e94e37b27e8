"""Files that were quarantined, forgotten by the homeserver, and are back."""

import hashlib
import threading

import pytest

from quarantine.accounts.staff import NotAllowedError, StaffError, add_staff
from quarantine.acting import returns
from quarantine.follow import Follower
from quarantine.homeserver.sample import File
from quarantine.models import Action, Change, Return, Role
from quarantine.worker import due
from tests.factories import make_staff
from tests.quarantine.acting import follow, perform, upload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def forgotten(home):
    """A file that was quarantined, and whose only copy was deleted then; the ledger knows both."""
    media = upload(home, "scam")
    home.quarantine(media)
    follow()
    home.delete(media)
    Follower(threading.Event()).once()
    return media


def sweep():
    Follower(threading.Event()).sweep_if_due()


def back():
    return [one.mxc for one in Return.objects.filter(settled_at=None)]


def test_a_file_that_is_back_is_reported_once(home, forgotten):
    again = upload(home, "scam again")

    sweep()
    sweep()

    assert back() == [again]
    assert home.media(again).quarantined_by is None  # only reported


def test_it_is_struck_out_when_it_is_dealt_with(home, forgotten):
    quarantined, protected, deleted = (upload(home, f"scam {number}") for number in range(3))
    sweep()
    assert set(back()) == {quarantined, protected, deleted}

    home.protect(protected)
    home.delete(deleted)
    home.quarantine(quarantined)
    sweep()

    assert back() == []


def test_what_was_released_or_is_protected_is_no_return(home, forgotten):
    released = upload(home, "wrong")
    home.quarantine(released)
    follow()
    home.release(released)
    follow()
    shielded = upload(home, "scam logo")
    home.protect(shielded)

    upload(home, "wrong again")
    sweep()

    assert back() == []


def test_a_release_that_the_ledger_has_not_read_yet_is_no_return(home):
    media = upload(home, "scam")
    home.quarantine(media)
    follow()
    home.release(media)

    sweep()

    assert back() == []
    assert Change.objects.count() == 2


def test_where_an_admin_turned_it_on_it_is_quarantined_with_source_and_reason(home, forgotten):
    with pytest.raises(NotAllowedError):
        returns.set_requarantine(on=True, staff=make_staff("mod"))
    returns.set_requarantine(on=True, staff=make_staff("root", role=Role.ADMIN))
    again = upload(home, "scam again")

    sweep()
    [action] = due()
    perform(action, home)

    change = Change.objects.get(media_id=again.media_id)
    assert (change.changed_by, change.action, change.source) == ("automation", action, "action")
    assert Action.objects.get().reason == returns.REASON
    sweep()
    assert back() == []


def test_nobody_can_have_the_accounts_that_act_by_themselves(home):
    for name in ("automation", "Terminal"):
        with pytest.raises(StaffError, match="not a person's account"):
            add_staff(name=name, role=Role.MODERATOR, password="correct horse battery")


def test_files_without_a_hash_are_never_back(home):
    home.upload(File(sha256=None), uploader="@a:matrix.example")
    home.upload(File(sha256=hashlib.sha256(b"new").hexdigest()), uploader="@a:matrix.example")

    sweep()

    assert back() == []
