from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarantine.mxc import Kind, Mxc, MxcError, Pasted, is_visible, parse_pasted

MEDIA = Pasted(Kind.MEDIA, "mxc://matrix.example/hXkQ_v-1")
HASH = "9f2C" * 16

# What may stand in an mxc URI: anything one can see, but what ends it.
names = st.text(min_size=1).filter(lambda text: is_visible(text) and not set("/?#") & set(text))
mxcs = st.builds(Mxc, names, names)


@pytest.mark.parametrize(
    "text",
    [
        "mxc://matrix.example/hXkQ_v-1",
        "  MXC://matrix.example/hXkQ_v-1\n",
        "https://hs.example/_matrix/client/v1/media/download/matrix.example/hXkQ_v-1",
        "https://hs.example/_matrix/client/v1/media/download/matrix.example/hXkQ_v-1/holiday.png",
        "http://hs.example:8008/_matrix/client/v1/media/thumbnail/matrix.example/hXkQ_v-1?width=32&height=32",
        "https://hs.example/_matrix/client/unstable/org.matrix.msc3916/media/download/matrix.example/hXkQ_v-1",
        "https://hs.example/_matrix/media/r0/download/matrix.example/hXkQ_v-1",
        "https://hs.example/_matrix/media/v1/thumbnail/matrix.example/hXkQ_v-1#top",
        "https://hs.example/_matrix/media/v3/download/matrix.example/hXkQ%5Fv-1/a%2Fb.png?allow_redirect=true",
        "/_matrix/media/v3/download/matrix.example/hXkQ_v-1",
    ],
)
def test_media_links_name_their_media(text):
    pasted = parse_pasted(text)

    assert pasted == MEDIA
    assert pasted.mxc == Mxc("matrix.example", "hXkQ_v-1")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (HASH, Kind.SHA256, HASH.lower()),
        (f" {HASH}\n", Kind.SHA256, HASH.lower()),
        (HASH[:-1], Kind.WORDS, HASH[:-1]),
        ("@mallory:spam.example", Kind.USER, "@mallory:spam.example"),
        ("@Old Style:spam.example", Kind.WORDS, "@Old Style:spam.example"),
        ("@mallory:[::1]:8448", Kind.USER, "@mallory:[::1]:8448"),
        ("https://matrix.to/#/@mallory:spam.example", Kind.USER, "@mallory:spam.example"),
        ("https://matrix.to/#/%40mallory%3Aspam.example?via=spam.example", Kind.USER, "@mallory:spam.example"),
        ("https://matrix.to/#/!room:spam.example", Kind.WORDS, "https://matrix.to/#/!room:spam.example"),
        ("spam.example", Kind.SERVER, "spam.example"),
        ("Spam.example:8448", Kind.SERVER, "Spam.example:8448"),
        ("192.0.2.7", Kind.SERVER, "192.0.2.7"),
        ("[2001:db8::1]:8448", Kind.SERVER, "[2001:db8::1]:8448"),
        ("localhost:8448", Kind.SERVER, "localhost:8448"),
        ("localhost", Kind.WORDS, "localhost"),
        ("holiday pictures.png", Kind.WORDS, "holiday pictures.png"),
        ("https://tickets.example/42", Kind.WORDS, "https://tickets.example/42"),
        ("-", Kind.WORDS, "-"),
        ("", Kind.WORDS, ""),
    ],
)
def test_other_texts_are_told_apart(text, kind, value):
    pasted = parse_pasted(text)

    assert pasted == Pasted(kind, value)
    assert pasted.mxc is None


@pytest.mark.parametrize(
    "text",
    [
        "mxc://",
        "mxc://matrix.example",
        "mxc:///hXkQ",
        "mxc://matrix.example/",
        "mxc://matrix.example/a/b",
        "mxc://matrix.example/a?b",
        "mxc://matrix.example/a b",
        "mxc://matrix.example/a\x00b",
        "mxc://matrix.example/a\u202eb",
        "mxc://matrix.example/a\ud800b",
        "/_matrix/media/v3/download/matrix.example/..%2Fetc",
        "/_matrix/media/v3/download/matrix.example/%00",
    ],
)
def test_addresses_of_no_media_are_refused(text):
    with pytest.raises(MxcError) as refusal:
        parse_pasted(text)

    assert str(refusal.value).isprintable()
    assert str(refusal.value).endswith(" is not a media address; one looks like mxc://matrix.example/hXkQvbTzRtLm.")


def test_refusal_of_a_long_text_is_short():
    with pytest.raises(MxcError) as refusal:
        Mxc.parse("x" * 100_000)

    assert len(str(refusal.value)) < 200


@given(mxcs)
def test_address_round_trips(mxc):
    assert Mxc.parse(str(mxc)) == mxc
    assert parse_pasted(str(mxc)) == Pasted(Kind.MEDIA, str(mxc))


@given(mxcs)
def test_download_link_round_trips(mxc):
    link = f"https://hs.example/_matrix/media/v3/download/{quote(mxc.origin)}/{quote(mxc.media_id)}/name.png"

    assert parse_pasted(link).mxc == mxc


@given(st.text() | st.from_regex(r"(?:mxc://|https?://|/_matrix/|@|\[).*(?s:.)*"))
def test_any_text_is_recognised_or_refused(text):
    try:
        pasted = parse_pasted(text)
    except MxcError:
        assert "mxc://" in text.lower() or "/_matrix/" in text.lower()
    else:
        assert parse_pasted(pasted.value) == pasted


@given(st.text(), st.text())
def test_parse_accepts_exactly_what_it_can_name(origin, media_id):
    try:
        mxc = Mxc.parse(f"mxc://{origin}/{media_id}")
    except MxcError:
        return

    assert str(mxc) == f"mxc://{origin}/{media_id}".strip()
