"""What was read before somebody was blanked is not recorded after it: whoever looked looks again, and nothing is lost."""

import threading

import pytest

from quarantine import ledger, look
from quarantine.backfill import Job
from quarantine.chain import redaction
from quarantine.chain.redaction import of_user, redact
from quarantine.follow import Follower
from quarantine.ledger import BlankedMeanwhileError
from quarantine.models import Change, MediaItem, Run
from quarantine.mxc import Mxc
from quarantine.seals import REDACTED
from tests.quarantine.ledger_checks import an_entry, assert_sound
from tests.quarantine.synapse_tables import ANN, MOD

pytestmark = pytest.mark.django_db(transaction=True)
ABC = Mxc("matrix.example", "abc")
WHY = "Request 4711"


@pytest.fixture
def blanked_at_the_gate(synapse, monkeypatch):
    """A function: when something has been read and is about to be recorded, the homeserver forgets ann, and so do we."""

    def arm():
        append, due = ledger.append, [of_user(ANN)]

        def late(entries, **more):
            if entries and due:
                synapse.execute("UPDATE local_media_repository SET user_id = NULL, upload_name = NULL")
                redact(due.pop(), reason=WHY, by=None)
            return append(entries, **more)

        monkeypatch.setattr(ledger, "append", late)

    return arm


def uploaded(synapse, *, by):
    """A file of ann's."""
    synapse.set_media("abc", by=by)
    synapse.execute("UPDATE local_media_repository SET user_id = %s, upload_name = 'ann.png'", (ANN,))


def follow():
    Follower(threading.Event()).settle()


def job(kind, over):
    return Job(kind=kind, over=over, stop=threading.Event())


def told():
    changes = Change.objects.order_by("stream_id")
    return list(changes.values_list("media_id", "quarantined", "deleted", "uploader", "upload_name"))


def assert_forgotten():
    assert set(MediaItem.objects.values_list("uploader", flat=True)) <= {"", REDACTED}
    assert_sound()


GONE = [("abc", True, False, REDACTED, REDACTED), ("abc", False, True, REDACTED, REDACTED)]


@pytest.fixture
def gone(synapse):
    """Media that the ledger knows as ann's, and that is no longer there."""
    uploaded(synapse, by=MOD)
    synapse.add_row(2, "abc", quarantined=True)
    follow()
    assert told() == [("abc", True, False, ANN, "ann.png")]
    synapse.execute("DELETE FROM local_media_repository")


@pytest.mark.usefixtures("gone")
def test_a_look_at_deleted_media_brings_no_name_back(blanked_at_the_gate):
    blanked_at_the_gate()

    assert look.record([ABC]).recorded == 1

    assert told() == GONE
    assert_forgotten()


@pytest.mark.usefixtures("gone")
def test_an_audit_brings_no_name_back(blanked_at_the_gate):
    blanked_at_the_gate()

    report = job(Run.Kind.AUDIT, ["held"]).go()

    assert (report.found, report.recorded, report.late) == (1, 1, 0)
    assert told() == GONE
    assert_forgotten()


def test_a_backfill_brings_no_name_back(synapse, blanked_at_the_gate):
    uploaded(synapse, by=MOD)
    blanked_at_the_gate()

    report = job(Run.Kind.BACKFILL, ["local"]).go()

    assert (report.found, report.recorded, report.late) == (1, 1, 0)
    assert told() == [("abc", True, False, "", "")]
    assert_forgotten()


def test_a_row_of_the_feed_brings_no_name_back(synapse, blanked_at_the_gate):
    uploaded(synapse, by=MOD)
    synapse.add_row(2, "abc", quarantined=True)
    blanked_at_the_gate()

    follow()

    assert told() == [("abc", True, False, "", "")]
    assert ledger.current().feed_position == 2
    assert_forgotten()


@pytest.mark.usefixtures("gone")
def test_what_came_in_while_it_was_blanked_is_blanked_too(monkeypatch):
    refuse, old = redaction.refuse_older_facts, {"uploader": ANN, "upload_name": "ann.png"}
    before = ledger.times_blanked()

    def late():
        ledger.append([an_entry("new", blanked=before, **old)])
        refuse()
        with pytest.raises(BlankedMeanwhileError):
            ledger.append([an_entry("newer", blanked=before, **old)])

    monkeypatch.setattr(redaction, "refuse_older_facts", late)

    assert redact(of_user(ANN), reason=WHY, by=None) == 2

    assert told() == [("abc", True, False, REDACTED, REDACTED), ("new", True, False, REDACTED, REDACTED)]
    assert_forgotten()
