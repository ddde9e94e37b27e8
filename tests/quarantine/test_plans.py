"""What an action would do, told before it does anything."""

import pytest

from quarantine.acting.aims import Aim, AimError
from quarantine.acting.plans import PlanError
from quarantine.homeserver.models import LocalMedia
from quarantine.homeserver.sample import SampleHomeserver
from quarantine.models import Cause, Fate, Verb
from quarantine.mxc import Mxc
from tests.quarantine.acting import HOME, US, cache, planned, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def home(db):
    return SampleHomeserver(user_id=US)


def test_the_plan_says_what_becomes_of_each(home):
    first, copy = upload(home, "scam"), upload(home, "scam again", uploader="@eve:matrix.example")
    remote = cache(home, "scam")
    shielded, held = upload(home, "logo"), upload(home, "old")
    home.protect(shielded)
    home.quarantine(held)
    typo, lookalike = (Mxc(origin, first.media_id) for origin in ("Matrix.Example", "m\u0430trix.example"))

    found = planned(home, Verb.QUARANTINE, first, shielded, held, typo, lookalike)

    assert {item.mxc: item.fate for item in found.items} == {
        first: Fate.CHANGED,
        shielded: Fate.PROTECTED,
        held: Fate.ALREADY,
        typo: Fate.ABSENT,
        lookalike: Fate.ABSENT,
    }
    assert {row.mxc for row in found.copies} == {copy, remote}
    assert found.affected == 3
    assert found.uploaders == ["@eve:matrix.example", "@mallory:matrix.example"]
    assert found.origins == [HOME, "spam.example"]
    assert found.hints == [
        f"There is no {typo}. Did you mean {first}?",
        r"'m\u0430trix.example' is not on this server, and holds letters that no server name has.",
    ]


def test_a_plan_follows_users_rooms_hashes_and_servers(home):
    one, two = upload(home, "a", uploader="@bot:matrix.example"), upload(home, "b", uploader="@bot:matrix.example")
    far, further = cache(home, "c"), cache(home, "d", origin="other.example")
    sha256 = LocalMedia.objects.get(media_id=two.media_id).sha256
    home = SampleHomeserver(user_id=US, rooms={"!r:matrix.example": [far, further]})

    def names(**aim):
        return {item.mxc for item in planned(home, Verb.QUARANTINE, **aim).items}

    assert names(users=("@bot:matrix.example",)) == {one, two}
    assert names(hashes=(sha256,)) == {two}
    assert names(origins=("spam.example",)) == {far}
    assert names(rooms=("!r:matrix.example",)) == {far, further}
    [hint] = planned(home, Verb.QUARANTINE, rooms=("!secret:matrix.example",)).hints
    assert "no media in !secret:matrix.example. It can't read an encrypted room" in hint


def test_what_cannot_be_planned_is_refused_in_a_sentence(home):
    remote = cache(home, "x")

    with pytest.raises(PlanError, match="Nothing was chosen"):
        planned(home, Verb.QUARANTINE)
    with pytest.raises(PlanError, match="Only local media can be protected"):
        planned(home, Verb.PROTECT, remote)
    with pytest.raises(PlanError, match="is this homeserver itself"):
        planned(home, Verb.QUARANTINE, origins=(HOME,))


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"lines": ["mxc://a.example/b", "what is this"]}, "'what is this' is neither"),
        ({"lines": ["mxc://nothing"]}, "is not a media address"),
        ({"hashes": ["abc"]}, "'abc' is not a sha256"),
        ({"users": ["mallory"]}, "'mallory' is not a user id"),
        ({"rooms": ["#alias:a.example"]}, "is not a room id"),
        ({"origins": ["https://a.example"]}, "is not a server name"),
    ],
)
def test_an_aim_that_makes_no_sense_is_refused_in_a_sentence(said, complaint):
    with pytest.raises(AimError, match=complaint):
        Aim.read(**said)


def test_an_aim_is_read_from_anything_pasted():
    sha256 = "AB" * 32
    url = "https://matrix.example/_matrix/client/v1/media/download/spam.example/xyz/cat.png"

    aim = Aim.read(lines=["", "mxc://a.example/b ", url, sha256, "@eve:matrix.example", "mxc://a.example/b"])

    assert aim.media == (Mxc("a.example", "b"), Mxc("spam.example", "xyz"))
    assert (aim.hashes, aim.users) == ((sha256.lower(),), ("@eve:matrix.example",))
    assert aim.cause is Cause.LIST
    assert Aim.read(users=["@eve:matrix.example"]).cause is Cause.USER
