"""The format that docs/evidence.md promises, computed again by nothing but hashlib and json; and blanking."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarantine import ledger, seals
from quarantine.models import Cause, Change, Source
from quarantine.seals import BLANK, BLANKED, REDACTED, SALTED, BrokenSealError
from tests.quarantine.ledger_checks import an_entry

PERSONAL = ["ann", "", 'käse"\n.png']


@pytest.mark.django_db
def test_the_ledger_is_sealed_as_documented(db):
    ledger.bind()
    noon = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)
    ledger.append([an_entry("a", upload_name="käse.png", not_before=noon, media_type="image/png"), an_entry("b")])
    first, second = Change.objects.order_by("pk")

    salt = bytes(first.salts)[2:18]
    plain = ["matrix.example", "a", True, True, False, 1795348800000005, "feed", "unknown", None, None, None]
    plain += ["image/png", "image", None, None, False, "", sha256(salt + "käse.png".encode()).hexdigest(), ""]
    digest = sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()
    times = [int(change.seen_at.timestamp() * 1000) * 1000 for change in (first, second)]
    start = sha256(b"quarantine_change").hexdigest()
    chain = sha256(f"{start} 1 {times[0]} {digest}".encode()).hexdigest()

    assert bytes(first.salts) == BLANK + SALTED + salt + BLANK
    assert (bytes(first.digest).hex(), bytes(first.chain).hex()) == (digest, chain)
    assert (
        bytes(second.chain).hex() == sha256(f"{chain} 2 {times[1]} {bytes(second.digest).hex()}".encode()).hexdigest()
    )


VALUES = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs"])),
    st.integers(),
    st.booleans(),
    st.none(),
    st.sampled_from([*Source, *Cause]),
    st.datetimes(timezones=st.just(UTC)),
    st.binary(max_size=32),
)


@given(st.lists(VALUES, max_size=20))
def test_content_is_what_json_makes_of_it(plain):
    """As documented, whatever the values are: ledgers sealed long ago still have to fit."""

    def documented(value):
        return value.hex() if isinstance(value, bytes) else (value - seals.EPOCH) // timedelta(microseconds=1)

    assert seals.content(plain, [], b"") == json.dumps(plain, separators=(",", ":"), default=documented)


def test_a_blanked_value_leaves_the_digest_and_takes_its_salt_along():
    made = seals.seal(["x", 1], PERSONAL)

    values, salts = seals.redact(PERSONAL, made.salts, which=[True, True, False])

    assert values == [REDACTED, "", PERSONAL[2]]
    assert seals.digest(["x", 1], values, salts) == made.digest
    assert salts[:1] == BLANKED
    assert made.salts[1:17] not in salts
    assert seals.is_redacted(salts)
    assert not seals.is_redacted(made.salts)
    assert seals.redact(values, salts, which=[True, True, False]) == (values, salts)


@pytest.mark.parametrize(
    "other", [["ann", "x", PERSONAL[2]], ["", "", PERSONAL[2]], ["ann", "", REDACTED], ["bob", "", PERSONAL[2]]]
)
def test_other_values_do_not_go_with_the_salts(other):
    made = seals.seal(["x"], PERSONAL)
    try:
        digest = seals.digest(["x"], other, made.salts)
    except BrokenSealError:
        return

    assert digest != made.digest


@pytest.mark.parametrize("salts", [b"", b"\0\0", b"\0\0\0\0", b"\1short", b"\3\0\0"])
def test_damaged_salts_are_told(salts):
    with pytest.raises(BrokenSealError):
        seals.digest(["x"], ["ann", "", ""], salts)


def test_equal_values_have_different_commitments():
    assert seals.commitments(PERSONAL, seals.seal([], PERSONAL).salts) != seals.commitments(
        PERSONAL, seals.seal([], PERSONAL).salts
    )
