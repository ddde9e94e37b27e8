"""One change, one row of HTML."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import caches
from django.utils.html import escape
from django.utils.translation import override

from dashboard.events import read_events
from dashboard.rows import row_html, with_reasons
from dashboard.wording.text import (
    cut_middle,
    file_name,
    initials,
    plain,
    size,
    split_tail,
    type_icon,
    type_label,
    visible,
)
from dashboard.wording.times import when
from quarantine.models import Category, Change, Source, State
from tests.factories import make_action, make_change, make_staff

NOON = datetime(2026, 11, 22, 14, 2, 31, 500_000, tzinfo=UTC)


def fetched(change):
    return with_reasons(Change.objects.all()).get(pk=change.pk)


def text_of(html):
    """What a reader sees of the row itself, without its checkbox and menu; blanks collapsed."""
    html = re.sub(r'<label class="c-check">.*?</label>|<details class="c-act.*?</details>', "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- Words --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_tells_what_who_and_why():
    action = make_action(reason="Spam in #lobby", staff=make_staff("priya"))
    change = make_change(
        action=action, changed_by="priya", cause="item", upload_name="cat.png", uploader="@ann:matrix.example",
        media_id="abcdefghijkl", media_length=2_416_582, seen_at=NOON,
    )  # fmt: skip

    assert text_of(row_html(fetched(change))) == (
        "14:02:31 22 Nov 2026 Quarantined cat.png mxc://matrix.example/abcdef ghijkl PNG 2.4 MB "
        "@ann:matrix.example Local Changed by P priya Staff Single item · Done here Spam in #lobby"
    )


@pytest.mark.django_db
def test_what_is_missing_is_said_in_words():
    change = make_change(media_type="", media_id="abc", origin="far.example", seen_at=NOON)

    assert text_of(row_html(fetched(change))) == (
        "14:02:31 22 Nov 2026 Quarantined No file name mxc://far.examp le/abc Type unknown Size unknown "
        "Uploader unknown far.example Changed by Not known Not recorded Cause not known Seen on the homeserver"
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": State.RELEASED}, "Released"),
        ({"state": State.DELETED}, "Deleted"),
        ({"not_before": None, "source": Source.BACKFILL}, "Found quarantined"),
        ({"not_before": None, "state": State.RELEASED}, "Released"),
        ({"changed_by": "system", "cause": "hash"}, "System: hash match Automatic Hash match"),
        ({"changed_by": "system"}, "System Automatic Cause not known"),
        ({"changed_by": "@root:matrix.example"}, "@root:matrix.example Matrix user"),
        ({"source": Source.AUDIT}, "Found by audit"),
        ({"source": Source.BACKFILL}, "Found already so"),
        ({"cause": "room"}, "Room sweep"),
        ({"cause": "list"}, "Pasted list"),
    ],
)
def test_states_actors_causes_and_sources_have_their_words(fields, words):
    assert f" {words} " in f" {text_of(row_html(fetched(make_change(**fields))))} "


@pytest.mark.django_db
def test_an_action_without_a_reason_says_so():
    change = make_change(action=make_action(reason=""), changed_by="mod")

    assert "No reason given" in text_of(row_html(fetched(change)))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"category": "flood"}, "Spam"),
        ({"category": "flood", "reason": "In #lobby"}, "Spam · In #lobby"),
        ({"category": "gone"}, "gone"),
        ({"reason": "In #lobby"}, "In #lobby"),
    ],
)
def test_a_row_tells_the_kind_of_reason_and_the_note(fields, words):
    Category.objects.create(slug="flood", label="Spam")
    html = row_html(fetched(make_change(action=make_action(**fields), changed_by="mod")))

    assert text_of(html).endswith(f"Cause not known · Done here {words}")
    assert f'<span class="l2" title="{words}">' in html


@pytest.mark.django_db
def test_a_kind_of_reason_that_was_renamed_is_told_by_its_new_name(django_assert_num_queries):
    kind = Category.objects.create(slug="flood", label="Spam or scam")
    change = make_change(action=make_action(category="flood"), changed_by="mod")
    first = row_html(fetched(change))
    Category.objects.filter(pk=kind.pk).update(label="Junk")

    with django_assert_num_queries(1):
        renamed = row_html(fetched(change))

    assert ("Spam or scam" in first, "Spam or scam" in renamed, "Junk" in renamed) == (True, False, True)
    with override("de"):
        assert "Junk" in row_html(fetched(change))
    with override("de"):
        Category.objects.filter(pk=kind.pk).update(label="Harassment")
        assert "Belästigung" in row_html(fetched(change))


@pytest.mark.django_db
def test_kinds_of_reasons_cost_the_live_view_no_queries(django_assert_num_queries):
    for _ in range(3):
        make_change(action=make_action(category="flood"))

    with django_assert_num_queries(1):
        assert len(read_events("", after=0, upto=3)) == 3


# --- Times --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("not_before", "first", "second", "sentence"),
    [
        (timedelta(0), "14:02:31", "22 Nov 2026", "22 Nov 2026, 14:02:31 UTC"),
        (timedelta(seconds=2), "14:02:31", "22 Nov 2026", "22 Nov 2026, 14:02:31 UTC"),
        (timedelta(seconds=-5), "14:02:31", "22 Nov 2026", "22 Nov 2026, 14:02:31 UTC"),
        (timedelta(seconds=10), "14:02", "22 Nov 2026", "between 22 Nov 2026, 14:02:21 UTC and 22 Nov 2026, 14:02:31 UTC"),
        (timedelta(hours=1), "between", "13:02 – 14:02", "between 22 Nov 2026, 13:02:31 UTC and 22 Nov 2026, 14:02:31 UTC"),
        (timedelta(days=1), "between", "21 – 22 Nov 2026", "between 21 Nov 2026, 14:02:31 UTC and 22 Nov 2026, 14:02:31 UTC"),
        (timedelta(days=40), "between", "13 Oct – 22 Nov", "between 13 Oct 2026, 14:02:31 UTC and 22 Nov 2026, 14:02:31 UTC"),
        (timedelta(days=400), "between", "Oct 2025 – Nov 2026", "between 18 Oct 2025, 14:02:31 UTC and 22 Nov 2026, 14:02:31 UTC"),
        (None, "before", "22 Nov 2026", "before 22 Nov 2026, 14:02:31 UTC; how long before is not known"),
    ],
)  # fmt: skip
def test_a_time_claims_no_more_than_is_known(not_before, first, second, sentence):
    change = Change(seen_at=NOON, not_before=None if not_before is None else NOON - not_before)

    shown = when(change)

    assert (shown.first, shown.second, shown.sentence) == (first, second, sentence)
    assert (shown.moment is None) == (first in {"before", "between"})


@pytest.mark.django_db
def test_a_time_is_utc_for_machines():
    assert '<time class="c-time two" datetime="2026-11-22T14:02:31Z"' in row_html(fetched(make_change(seen_at=NOON)))


# --- The cache ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_is_rendered_once(django_assert_num_queries):
    change = fetched(make_change())
    caches["rows"].clear()

    with django_assert_num_queries(0):
        first, second = row_html(change), row_html(change)

    assert first == second
    assert len(caches["rows"]._cache) == 1


def test_a_full_cache_drops_few_for_what_is_new():
    rows = caches["rows"]
    rows.clear()
    for position in range(10_000):
        rows.set(f"{position}", "")

    rows.set("new", "")

    assert 9_800 < len(rows._cache) <= 10_000
    assert rows.get("new") == ""
    rows.clear()


@pytest.mark.django_db
def test_another_ledger_with_the_same_positions_has_other_rows():
    row_html(fetched(make_change(media_id="first", upload_name="one.png")))
    Change.objects.all().delete()

    assert "two.png" in row_html(fetched(make_change(media_id="first", upload_name="two.png")))


# --- Strangers' text ----------------------------------------------------------------------

SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7|add:7 }}{% debug %}",
    "invoice\u202efdp.exe",
    "a\x01b\x1fc\x7fd\x85e",
    "zero\u200bwidth\ufeff\u2060",
    "line\nfeed\r\u2028\u2029",
    "x" * 1024,
    "../../etc/passwd",
    "=HYPERLINK(1)",
    "\ufffd\u0300\u0300\U0001f469\u200d\U0001f467",
]
ROW_TAGS = {"li", "time", "span", "svg", "use", "a", "button", "bdi", "label", "input", "details", "summary", "div"}
COLUMNS = ["origin", "media_id", "changed_by", "media_type", "upload_name", "uploader", "reason"]


@pytest.mark.django_db
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_harmless_in_every_column(column, hostile):
    text = hostile if column in {"upload_name", "reason"} else hostile[:255]
    fields = {"action": make_action(reason=text)} if column == "reason" else {column: text}

    html = row_html(fetched(make_change(**fields)))

    tags = re.findall(r"<\s*/?\s*([a-zA-Z]+)", html)
    assert set(tags) <= ROW_TAGS
    assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', html))
    shown = re.sub(r'"[^"]*"', '""', html)  # attributes aside: only what is drawn
    assert not [char for char in shown if char != "\n" and visible(char) != escape(char)]


@pytest.mark.django_db
def test_hidden_characters_are_named():
    html = row_html(fetched(make_change(upload_name="invoice\u202efdp.zip")))

    assert '<bdi>invoice<span class="ctl">U+202E</span>fdp.zip</bdi>' in html
    assert 'title="invoice[U+202E]fdp.zip"' in html


@pytest.mark.django_db
def test_an_id_can_be_copied_whole_whatever_it_holds():
    html = row_html(fetched(make_change(origin="evil.example", media_id='a"b<c>\u202e/../d')))

    assert 'data-copy="mxc://evil.example/a&quot;b&lt;c&gt;\u202e/../d"' in html


@pytest.mark.parametrize(
    "char", ["\x00", "\x1b", "\x7f", "\x9f", "\u00ad", "\u061c", "\u200b", "\u200e", "\u202a", "\u2066", "\ufeff", "\u3164", "\U000e0041"]
)  # fmt: skip
def test_every_hidden_character_shows(char):
    assert visible(f"a{char}b") == f'a<span class="ctl">U+{ord(char):04X}</span>b'
    assert plain(f"a{char}b") == f"a[U+{ord(char):04X}]b"


@pytest.mark.parametrize(
    "text", ["naïve café.png", "Снимок экрана.png", "صورة.jpg", "写真 １.png", "🎉.gif", "a – b’s “c”"]
)
def test_letters_of_every_script_stay_as_they_are(text):
    assert visible(text) == plain(text) == text


def test_a_long_name_keeps_its_end():
    assert file_name("short.png") == '<span class="ell"><bdi>short.png</bdi></span>'
    assert file_name("a-very-long-name.final.png") == "<span><bdi>a-very-long-name.fi</bdi></span><span>nal.png</span>"
    assert cut_middle("x" * 100 + ".tar.gz", 30).endswith("…xxxxx.tar.gz")


def test_a_name_that_runs_right_to_left_is_not_taken_apart():
    assert file_name("صورة من الحساب.jpg") == '<span class="ell"><bdi>صورة من الحساب.jpg</bdi></span>'


def test_an_accent_stays_with_its_letter():
    assert split_tail("abcde\u0301fghijk", 7) == ("abcd", "e\u0301fghijk")


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (None, "Size unknown"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_100, "3.1 kB"), (44_000, "44 kB"),
        (812_000, "812 kB"), (2_416_582, "2.4 MB"), (121_000_000, "121 MB"), (10**18, "1,000,000 TB"),
    ],
)  # fmt: skip
def test_sizes(length, words):
    assert size(length) == words.replace(" ", "\u00a0") if length is not None else words


@pytest.mark.parametrize(
    ("media_type", "label", "icon"),
    [
        ("image/jpeg", "JPEG", "image"), ("video/webm", "WebM", "video"), ("audio/ogg; codecs=opus", "Ogg", "audio"),
        ("image/svg+xml", "SVG", "code"), ("text/html", "HTML", "code"), ("application/zip", "ZIP", "archive"),
        ("application/pdf", "PDF", "file"), ("application/x-strange", "x-strange", "file"), ("", "Type unknown", "file"),
        ("nonsense", "nonsense", "file"), ("/", "/", "file"), ("IMAGE/PNG", "PNG", "image"),
    ],
)  # fmt: skip
def test_types(media_type, label, icon):
    assert (type_label(media_type), type_icon(media_type)) == (label, icon)


@pytest.mark.parametrize(
    ("name", "letters"), [("priya.nair", "PN"), ("ines", "I"), ("a_b-c", "AB"), ("...", ""), ("", "")]
)
def test_initials(name, letters):
    assert initials(name) == letters
