"""ChangeFilter: every parameter of the query string, alone and together."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from dashboard.search.filters import ChangeFilter
from dashboard.wording.terms import BIGGEST
from quarantine.models import Change, State
from tests.factories import BEGINNING, make_action, make_change, make_changes, make_staff

HASH = "ab" * 32
OTHER_HASH = "cd" * 32
USER = "@ann:matrix.example"


def change_filter(query="", **parameters):
    data = query or urlencode(parameters, doseq=True)
    return ChangeFilter(QueryDict(data), queryset=Change.objects.all())


def found(query="", **parameters):
    """Positions, newest first."""
    filters = change_filter(query, **parameters)
    assert filters.problems == []
    return list(filters.qs.order_by("-stream_id").values_list("stream_id", flat=True))


def problems(query="", **parameters):
    return change_filter(query, **parameters).problems


# --- One filter at a time -----------------------------------------------------------------


@pytest.fixture
def ledger(db):
    """Eight changes, each the odd one out in some way."""
    staff = make_staff("mod")
    action = make_action(reason="Spam wave in #lobby", staff=staff, pk=7)
    make_change(media_id="plain")
    make_change(media_id="plain", state=State.RELEASED, changed_by="@root:matrix.example")
    make_change(media_id="gone", state=State.DELETED, source="audit")
    make_change(media_id="far", origin="remote.example", media_type="video/mp4", changed_by="system", cause="hash")
    make_change(media_id="mine", action=action, changed_by="mod", cause="item", uploader=USER)
    make_change(media_id="hashed", sha256=HASH, upload_name="Holiday Photo.JPG", source="backfill", not_before=None)
    make_change(media_id="-dash", origin="remote.example", sha256=OTHER_HASH, media_type="IMAGE/gif")
    make_change(media_id="\\slash", upload_name="Снимок экрана.png", uploader="@bob:matrix.example")


@pytest.mark.django_db
@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1]),
        ("state=quarantined", [8, 7, 6, 5, 4, 1]),
        ("state=released", [2]),
        ("state=deleted", [3]),
        ("state=released&state=deleted", [3, 2]),
        ("state=-quarantined", [3, 2]),
        ("state=-released&state=-deleted", [8, 7, 6, 5, 4, 1]),
        ("scope=local", [8, 6, 5, 3, 2, 1]),
        ("scope=remote", [7, 4]),
        ("origin=remote.example", [7, 4]),
        ("origin=-remote.example", [8, 6, 5, 3, 2, 1]),
        ("origin=Remote.example", []),
        ("by=system", [4]),
        ("by=mod", [5]),
        ("by=%40root%3Amatrix.example", [2]),
        ("by=system&by=mod", [5, 4]),
        ("by=-system&by=-mod", [8, 7, 6, 3, 2, 1]),
        ("source=action", [5]),
        ("source=feed", [8, 7, 4, 2, 1]),
        ("source=audit&source=backfill", [6, 3]),
        ("cause=hash", [4]),
        ("cause=item", [5]),
        ("cause=-unknown", [5, 4]),
        ("type=video", [4]),
        ("type=image", [8, 7, 6, 5, 3, 2, 1]),
        ("type=image/png", [8, 6, 5, 3, 2, 1]),
        ("type=-image/png", [7, 4]),
        ("uploader=%40ann%3Amatrix.example", [5]),
        (f"sha256={HASH}", [6]),
        (f"sha256={HASH.upper()}", [6]),
        (f"sha256=-{HASH}", [8, 7, 5, 4, 3, 2, 1]),
        ("media=plain", [2, 1]),
        ("media=mxc%3A%2F%2Fremote.example%2Ffar", [4]),
        ("media=https%3A%2F%2Fx.example%2F_matrix%2Fclient%2Fv1%2Fmedia%2Fdownload%2Fremote.example%2Ffar", [4]),
        ("media=mxc%3A%2F%2Fmatrix.example%2Ffar", []),
        ("media=dash", []),
        ("media=-plain", [8, 7, 6, 5, 4, 3]),
        (r"media=\-dash", [7]),
        (r"media=-\-dash", [8, 6, 5, 4, 3, 2, 1]),
        (r"media=\\slash", [8]),
        ("action=7", [5]),
        ("action=-7", [8, 7, 6, 4, 3, 2, 1]),
        ("action=8", []),
    ],
)
def test_filter_finds_exactly(query, positions):
    assert found(query) == positions


@pytest.mark.django_db
@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("pasted", "positions"),
    [
        ("mxc://remote.example/far", [4]),
        (" mxc://remote.example/far\n", [4]),
        ("https://x.example/_matrix/media/v3/download/remote.example/far/name.png?a=b", [4]),
        (HASH, [6]),
        (HASH.upper(), [6]),
        (USER, [5]),
        ("@root:matrix.example", [2]),
        ("https://matrix.to/#/@ann:matrix.example", [5]),
        ("remote.example", [7, 4]),
        ("plain", [2, 1]),
        ("holiday", [6]),
        ("photo HOLIDAY", [6]),
        ("holiday nothing", []),
        ("photo.jpg", [6]),
        ("wave", [5]),
        ("SPAM lobby", [5]),
        ("снимок", [8]),
        ("ЭКРАНА", [8]),
        ("-holiday", [8, 7, 5, 4, 3, 2, 1]),
        ("100%_", []),
    ],
)
def test_search_takes_whatever_is_pasted(pasted, positions):
    assert found(q=pasted) == positions


@pytest.mark.django_db
@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("scope=remote&type=video", [4]),
        ("scope=remote&type=-video", [7]),
        ("state=quarantined&source=backfill&q=photo", [6]),
        ("origin=remote.example&by=mod", []),
        ("media=plain&state=released", [2]),
        ("q=spam&q=photo", [6, 5]),
    ],
)
def test_filters_combine(query, positions):
    assert found(query) == positions


# --- Time ---------------------------------------------------------------------------------


@pytest.fixture
def week(db):
    """A change every day at noon, from 1 to 7 March."""
    for day in range(7):
        make_change(seen_at=BEGINNING + timedelta(days=day))


@pytest.mark.django_db
@pytest.mark.usefixtures("week")
@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("after=2026-03-06", [7, 6]),
        ("before=2026-03-03", [2, 1]),
        ("after=2026-03-02&before=2026-03-04", [3, 2]),
        ("after=2026-03-07T12:00:00Z", [7]),
        ("after=2026-03-07T12:00:00.001Z", []),
        ("before=2026-03-01T12:00:00Z", []),
        ("before=2026-03-01T12:00:00.001Z", [1]),
        ("after=2026-03-07T13:00%2B01:00", [7]),
        ("after=2026-03-07T12:00", [7]),
        ("after=2030-01-01", []),
        ("before=2030-01-01", [7, 6, 5, 4, 3, 2, 1]),
        ("after=0001-01-01", [7, 6, 5, 4, 3, 2, 1]),
        ("after=2026-03-02&before=2026-03-04&media=media2", [2]),
    ],
)
def test_dates_take_in_their_beginning_and_leave_out_their_end(query, positions):
    assert found(query) == positions


@pytest.mark.django_db
@pytest.mark.usefixtures("week")
def test_a_queryset_taken_early_lets_in_only_what_belongs():
    yet_to_come = change_filter("after=2026-03-08&before=2026-03-10").qs

    make_change(seen_at=datetime(2026, 3, 9, tzinfo=UTC))
    make_change(seen_at=datetime(2026, 3, 11, tzinfo=UTC))

    assert [change.pk for change in yet_to_come] == [8]


# --- What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("stat=released", "There is no filter “stat”."),
        ("state=banana", "state: “banana” is not one of quarantined, released or deleted."),
        ("state=-banana", "state: “banana” is not one of quarantined, released or deleted."),
        ("state=Released", "state: “Released” is not one of quarantined, released or deleted."),
        ("scope=both", "scope: “both” is not one of local or remote."),
        ("source=hearsay", "source: “hearsay” is not one of action, feed, audit or backfill."),
        ("sha256=abc", "sha256: “abc” is not a sha256: that is 64 hexadecimal digits."),
        ("q=ab", "q: “ab” is too short: at least one word of 3 characters is needed."),
        ("q=a+bc", "q: “a bc” is too short: at least one word of 3 characters is needed."),
        ("by=-", "by: “-” names no value."),
        ("action=one", "action: “one” is not a whole number from 1 to 9,223,372,036,854,775,807."),
        ("action=9223372036854775808", "action: “9223372036854775808” is not a whole number from 1 to 9,223,372,036,854,775,807."),
        ("cursor=0", "cursor: “0” is not a whole number from 1 to 9,223,372,036,854,775,807."),
        ("cursor=-5", "cursor: “-5” is not a whole number from 1 to 9,223,372,036,854,775,807."),
        ("cursor=%D9%A3", "cursor: “٣” is not a whole number from 1 to 9,223,372,036,854,775,807."),
        ("cursor=1&cursor=2", "cursor: Give it only once."),
        ("limit=201", "limit: “201” is not a whole number from 1 to 200."),
        ("limit=1e2", "limit: “1e2” is not a whole number from 1 to 200."),
        ("after=yesterday", "after: “yesterday” is not a date like 2026-11-22 or a time like 2026-11-22T14:32:00Z."),
        ("after=0001-01-01T00:00%2B23:00", "after: “0001-01-01T00:00+23:00” is not a date like 2026-11-22 or a time like 2026-11-22T14:32:00Z."),
        ("after=2026-03-02&before=2026-03-02", "“after” must be earlier than “before”."),
        ("origin=a%00b", "origin: “a[U+0000]b” holds a character that no name can hold."),
        ("q=a%00bcd", "q: “a[U+0000]bcd” holds a character that no name can hold."),
        ("a%00b=1", "There is no filter “a[U+0000]b”."),
        ("origin=" + "x" * 2049, f"origin: “{'x' * 48}…{'x' * 12}” is too long: 2,048 characters at most."),
        ("&".join(f"origin=s{n}" for n in range(101)), "origin: At most 100 values at once."),
        ("q=" + "+".join(["abc"] * 101) + "&q=-" + "+".join(["def"] * 100), "q: At most 200 words at once."),
    ],
)  # fmt: skip
def test_mistakes_are_named(query, message):
    assert problems(query) == [message]


def test_as_many_words_as_anybody_types_are_looked_for():
    assert problems("q=" + "+".join(["abc"] * 100) + "&q=-" + "+".join(["def"] * 100)) == []


@pytest.mark.parametrize("media", ["mxc://", "mxc://only-a-server", "mxc:///id"])
def test_a_media_address_without_media_is_refused(media):
    [message] = problems(media=media)

    assert message.startswith(f"media: '{media}' is not a media address")


@pytest.mark.django_db
def test_a_mistake_lets_nothing_through():
    make_change()

    assert list(change_filter("state=banana").qs) == []
    assert list(change_filter("nonsense=1").qs) == []


@pytest.mark.django_db
def test_hostile_values_are_only_values():
    make_changes(2)

    for value in ("' OR 1=1 --", "%", "_", "\\", "\x01\x1f", "\u202e", "a" * 2000, "{{7*7}}", "😀"):
        literal = f"\\{value}"
        assert found(origin=literal) == found(by=literal) == found(uploader=literal) == found(media=literal) == []
        assert found(q=f"xyz{value}") == []


# --- The canonical query string -----------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("origin=&q=++&state=", ""),
        ("origin=b&origin=a&origin=b", "origin=a&origin=b"),
        ("q=spam&state=released", "state=released&q=spam"),
        ("state=-released&state=deleted", "state=deleted&state=-released"),
        (f"sha256={HASH.upper()}", f"sha256={HASH}"),
        ("after=2026-03-01T00:00:00", "after=2026-03-01"),
        ("after=2026-03-01T01:30%2B01:00", "after=2026-03-01T00%3A30%3A00Z"),
        ("cursor=10&limit=20&since=3&raw=1&by=system", "by=system"),
        (r"media=\-dash", "media=%5C-dash"),
    ],
)
def test_one_view_has_one_query_string(query, canonical):
    assert change_filter(query).canonical_query() == canonical
    assert change_filter(canonical).canonical_query() == canonical


def test_positions_are_added_where_asked_for():
    assert change_filter("by=system").canonical_query(cursor=BIGGEST, limit=None) == f"by=system&cursor={BIGGEST}"


@pytest.mark.parametrize(
    ("query", "chips"),
    [
        ("state=released&state=deleted", [("State is", "Deleted or Released", "")]),
        ("by=-system&by=-mod&origin=x", [
            ("Origin is", "x", "by=-mod&by=-system"),
            ("Changed by not", "mod", "origin=x&by=-system"),
            ("Changed by not", "system", "origin=x&by=-mod"),
        ]),
        ("after=2026-03-01&before=2026-03-02T10:00", [
            ("From", "1 Mar 2026", "before=2026-03-02T10%3A00%3A00Z"),
            ("Before", "2 Mar 2026, 10:00:00 UTC", "after=2026-03-01"),
        ]),
        ("q=spam&cursor=4", [("Search", "spam", "")]),
        ("state=banana", []),
    ],
)  # fmt: skip
def test_chips_say_what_is_active_and_how_to_drop_it(query, chips):
    assert [(chip.label, chip.value, chip.query) for chip in change_filter(query).chips] == chips
