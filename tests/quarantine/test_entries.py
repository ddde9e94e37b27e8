"""Texts of strangers, made safe to store."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarantine.entries import Entry, clean, clean_id
from quarantine.models import FILE_NAME_LENGTH, NAME_LENGTH, Source, State
from quarantine.mxc import Mxc

SHA256 = hashlib.sha256(b"a file").hexdigest()


def entry(**facts):
    return Entry(**{"mxc": Mxc("evil.example", "abc"), "quarantined": True, "source": Source.FEED} | facts)


def test_an_ordinary_entry_stays_as_it_is():
    ordinary = entry(media_type="image/png", media_length=0, upload_name="ünï\u202ecode.png", sha256=SHA256)

    assert clean(ordinary) == ordinary


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("media_type", NAME_LENGTH),
        ("uploader", NAME_LENGTH),
        ("changed_by", NAME_LENGTH),
        ("quarantined_by", NAME_LENGTH),
        ("upload_name", FILE_NAME_LENGTH),
    ],
)
def test_long_texts_are_cut_and_said_to_be(name, length):
    exact, long = entry(**{name: "é" * length}), entry(**{name: "é" * 10_240})

    assert clean(exact) == exact
    assert getattr(clean(long), name) == "é" * length
    assert (clean(long).cut, clean(long).id_cut) == (True, False)


def test_what_no_database_stores_is_replaced():
    safe = clean(entry(upload_name="a\x00b\ud800c\udfff"))

    assert (safe.upload_name, safe.cut) == ("a\ufffdb\ufffdc\ufffd", True)


@pytest.mark.parametrize("length", [-1, 2**63, 10**30])
def test_impossible_lengths_are_not_known(length):
    safe = clean(entry(media_length=length))

    assert (safe.media_length, safe.cut) == (None, True)


@pytest.mark.parametrize("length", [None, 0, 2**63 - 1])
def test_possible_lengths_are_kept(length):
    assert clean(entry(media_length=length)).media_length == length


@pytest.mark.parametrize("sha256", ["", "zz", SHA256[:-1], SHA256 + "0", SHA256.upper(), SHA256 + "\n", "٠" * 64])
def test_a_bad_sha256_is_not_known(sha256):
    safe = clean(entry(sha256=sha256))

    assert (safe.sha256, safe.cut) == (None, True)


def test_long_ids_that_share_a_prefix_stay_different():
    long = clean(entry(mxc=Mxc("o" * 10_240, "m" * 10_240)))
    other = clean(entry(mxc=Mxc("o" * 10_240, "m" * 10_239 + "n")))

    assert long.mxc.origin == other.mxc.origin
    assert long.mxc.media_id != other.mxc.media_id
    assert len(long.mxc.media_id) == len(other.mxc.media_id) == NAME_LENGTH
    assert (long.cut, long.id_cut) == (True, True)


def test_ids_that_differ_only_in_what_cannot_be_stored_stay_different():
    assert len({clean_id(text) for text in ("a\x00", "a\ud800", "a\udfff", "a\ufffd")}) == 4


@pytest.mark.parametrize("original", ["m" * 10_240, "a\x00"])
def test_nobody_can_take_the_ledgers_name_of_another_media(original):
    """A server that chooses its ids could hide one media item behind another's changes."""
    assert clean_id(clean_id(original)) != clean_id(original)


def test_the_digest_is_too_long_for_a_search_for_collisions():
    """64 bits: a stranger's graphics card finds two such ids in an afternoon."""
    _, _, digest = clean_id("a\x00").rpartition("~")

    assert len(digest) * 4 >= 128


IDS = st.text(st.characters(), max_size=300) | st.text("a~0\x00\ud800\ufffd", max_size=300)


@given(IDS, IDS)
def test_different_ids_have_different_names_of_bounded_length(one, other):
    assert (clean_id(one) == clean_id(other)) == (one == other)
    assert len(clean_id(one)) <= NAME_LENGTH
    clean_id(one).encode()


@pytest.mark.parametrize(
    ("media_type", "media_class"),
    [("image/png", "image"), (" Image/PNG", "image"), ("", ""), ("x" * 99 + "/y", "x" * 32), ("text", "text")],
)
def test_class_of_a_type(media_type, media_class):
    assert entry(media_type=media_type).media_class == media_class


def test_deletion_is_a_state_of_its_own():
    states = [entry(quarantined=True), entry(quarantined=False), entry(quarantined=False, deleted=True)]

    assert [each.state for each in states] == [State.QUARANTINED, State.RELEASED, State.DELETED]
