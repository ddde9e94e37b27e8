"""Pages in the reader's language: which one, that nothing of them stays English, and that nobody gets another's."""

import re
from html.parser import HTMLParser

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import translation
from django.utils.translation import trans_real

from dashboard.events import read_events
from dashboard.plots.spark import SPARKS
from dashboard.rows import row_html, stencils
from dashboard.templatetags.dashboard_tags import copy_title
from dashboard.templatetags.kept import KEPT
from dashboard.views import timeline
from dashboard.wording.script_words import script_words
from dashboard.wording.times import day_of
from quarantine import ledger, worker
from quarantine.acting import plans
from quarantine.models import Cause, Intent, Role, Run, Source, State, Work
from tests.dashboard.crawler import READ_ALOUD, crawl
from tests.factories import (
    BEGINNING,
    make_action,
    make_categories,
    make_change,
    make_changes,
    make_local_media,
    make_staff,
)

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # no SQL here differs

OPEN, CLOSE = "⟦", "⟧"
# Not words of ours: units, formats, keys, what programs are called, and what the data of these tests is made of.
SAME_EVERYWHERE = re.compile(
    r"[A-Z2-7]{32}|^[A-Z2-7]{4}$"  # a secret, whole and in fours
    r"|Quarantine|UTC|CSV|(?:ND)?JSON|sha256|mxc|URI|[kM]?B|PNG|ms|Enter|Esc|manage\.py[\w -]*|English|Deutsch"
    r"|\S*\bzq[\w.-]*\S*|(?:\S*\.examp\S*)|(?:changes|media|metrics):read|q-[0-9a-f-]+|[0-9a-f]{6,}|hma|[Ss]pam|(?:state|after|cursor|limit|q|sha256|range):|image(?:/\w+)?|system"
)
WORD = re.compile(r"[^\W\d_]{2,}")


@pytest.fixture
def admin(client):
    ledger.bind()
    staff = make_staff("zqadmin", role=Role.ADMIN)
    client.force_login(staff)
    return staff


@pytest.fixture
def marked(monkeypatch):
    """German is English between brackets: what is outside of them was never marked."""
    said = MarkedWords()
    monkeypatch.setitem(trans_real._translations, "de", said)
    forget_what_was_rendered()
    yield
    forget_what_was_rendered()


class MarkedWords:
    """As Django asks a catalog."""

    plural = staticmethod(lambda number: int(number != 1))

    def gettext(self, message):
        text = message.rpartition(trans_real.CONTEXT_SEPARATOR)[2]
        return f"{OPEN}{text}{CLOSE}" if text else text

    def ngettext(self, one, many, number):
        return self.gettext(one if number == 1 else many)

    def to_language(self):
        return "de"

    def language(self):
        return "de"


def forget_what_was_rendered():
    caches["rows"].clear()
    stencils.answers.clear()
    timeline.SHOWN.answers.clear()
    timeline.MENUS.answers.clear()
    SPARKS.answers.clear()
    KEPT.answers.clear()
    for kept in (script_words, copy_title, day_of):
        kept.cache_clear()


class Speech(HTMLParser):
    """`bare`: words outside of the brackets, among what is seen or read aloud."""

    def __init__(self, html):
        super().__init__()
        self.depth, self.bare, self.silent = 0, [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.silent = tag in {"script", "style"}
        for name, value in attrs:
            if name in READ_ALOUD:
                self.look(value or "", depth=0)

    def handle_endtag(self, tag):
        self.silent = False

    def handle_data(self, data):
        if not self.silent:
            self.depth = self.look(data, depth=self.depth)

    def look(self, text, *, depth):
        outside = ""
        for char in text:
            depth += (char == OPEN) - (char == CLOSE)
            outside += "" if depth or char == CLOSE else char
        rest = SAME_EVERYWHERE.sub("", outside)
        if WORD.search(rest):
            self.bare.append(rest.strip())
        return depth


def record(staff):
    """Something of each kind, so that every page has something to say."""
    make_categories()
    action = make_action(reason="zqreason", category="spam", staff=staff, target="zqtarget", cause=Cause.USER)
    facts = {
        "upload_name": "zqname.png",
        "uploader": "@zquser:matrix.example",
        "media_length": 1234,
        "sha256": "ab" * 32,
    }
    make_change(media_id="zqone", changed_by="system", cause=Cause.HASH, **facts)
    make_change(media_id="zqtwo", origin="remote.example", not_before=None, source=Source.BACKFILL)
    make_change(media_id="zqtwo", origin="remote.example", state=State.DELETED)
    make_change(media_id="zqone", changed_by="zqadmin", action=action, state=State.RELEASED, **facts)
    for number in range(6):
        make_change(media_id=f"zq{number}", changed_by="@zqmod:matrix.example", cause=Cause.USER, **facts)
    make_local_media("zqone", user_id="@zquser:matrix.example", upload_name="zqname.png", sha256="ab" * 32)
    Run.objects.create(kind=Run.Kind.BACKFILL, started_at=BEGINNING, updated_at=BEGINNING)


MISTAKES = (
    "/?foo=zq&state=zq&limit=0&sha256=zq&after=zq&q=z&cursor=1&cursor=2",
    "/?origin=zq.example",
    "/actions/?verb=zq",
    "/insights/?range=zq&zq=1",
    "/actions/new/?verb=quarantine&list=zq&user=zq",
    "/media/zq.example/zq/",
    "/zq/",
)


def test_no_page_speaks_english_to_others(client, admin, marked):
    record(admin)
    headers = {"Accept-Language": "de"}
    reader = Client(headers=headers)
    reader.force_login(admin)

    pages = crawl(reader, "/", "/account/", "/reasons/", "/backfill/", "/consumers/", *MISTAKES, most=120)

    assert len(pages) > 30
    assert OPEN in Client(headers=headers).get("/login/").text
    left = {address: Speech(answer.text).bare for address, answer in pages.items()}
    left["/login/"] = Speech(Client(headers=headers).get("/login/").text).bare
    assert sorted({word for words in left.values() for word in words}) == []


# --- Which language -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "language"),
    [("", "en"), ("de", "de"), ("de-AT,de;q=0.8", "de"), ("fr, en-GB;q=0.5", "en"), ("fr", "en"), ("zq;;;,", "en")],
)
def test_strangers_read_what_their_browser_asks_for(client, asked, language):
    answer = client.get("/login/", headers={"Accept-Language": asked})

    assert f'<html lang="{language}"' in answer.text
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert ("Anmelden" in answer.text, "Sign in" in answer.text) == (language == "de", language == "en")


def test_a_language_is_chosen_before_signing_in(client):
    chosen = client.post("/language/", {"language": "de", "next": "/login/?next=/actions/"})

    assert chosen.headers["Location"] == "/login/?next=/actions/"
    assert "Anmelden" in client.get("/login/", headers={"Accept-Language": "en"}).text
    client.post("/language/", {"language": "zq", "next": "//evil.example/"})
    assert "Sign in" in client.get("/login/", headers={"Accept-Language": "en"}).text


def test_the_accounts_choice_counts_most(client, admin):
    client.post("/language/", {"language": "en"})

    saved = client.post("/account/preferences/", {"language": "de", "single_keys": "on"}, follow=True)

    assert "Gespeichert." in saved.text
    elsewhere = Client(headers={"Accept-Language": "en"})
    elsewhere.force_login(admin)
    assert '<html lang="de"' in elsewhere.get("/").text
    assert elsewhere.get("/changes/live?since=0").status_code == 200
    client.post("/logout/")
    assert "Anmelden" in client.get("/login/", headers={"Accept-Language": "en"}).text


def test_an_accounts_choice_that_is_no_language_is_none(client, admin):
    client.post("/account/preferences/", {"language": "../zq"})

    admin.refresh_from_db()
    assert admin.language == ""
    assert '<html lang="en"' in client.get("/").text


def test_numbers_and_dates_are_written_as_the_language_does(client, admin):
    make_local_media("abc", media_length=1_234_567)
    make_change(media_id="abc", media_length=1_234_567, not_before=None)

    page = client.get("/media/matrix.example/abc/", headers={"Accept-Language": "de"}).text

    assert "1,2\u00a0MB" in page
    assert "1.234.567 Bytes" in page
    assert "1. Mär 2026" in page


# --- What is kept is kept for each language -----------------------------------------------


def test_a_row_is_kept_in_each_language(admin):
    change = make_change(changed_by="system")

    with translation.override("de"):
        german = row_html(change)
    english = row_html(change)

    assert "In Quarantäne nehmen…" not in german
    assert ("Freigeben…" in german, "Release…" in german) == (True, False)
    assert ("Freigeben…" in english, "Release…" in english) == (False, True)
    with translation.override("de"):
        assert row_html(change) == german


@pytest.mark.parametrize("first", ["de", "en"])
def test_nobody_gets_anothers_page(client, admin, first):
    """The page's rows and menus are kept for whoever asks the same next."""
    forget_what_was_rendered()
    make_changes(6, changed_by="@zqmod:matrix.example", uploader="@zquser:matrix.example")
    second = {"de": "en", "en": "de"}[first]
    words = {"de": ("Chronik", "6 Änderungen", "Zustand", "Letzte 7 Tage", "1. März"), "en": ()}
    words["en"] = ("Timeline", "6 changes", "State", "Last 7 days", "1 March")

    for language in (first, second, first):
        page = client.get("/", headers={"Accept-Language": language}).text
        other = {"de": "en", "en": "de"}[language]
        assert [word for word in words[language] if word not in page] == []
        assert [word for word in words[other] if word in page] == []


def test_events_come_in_the_language_of_the_page(client, admin):
    make_change()

    german = client.get("/changes/live?since=0", headers={"Accept-Language": "de"}).text
    english = client.get("/changes/live?since=0", headers={"Accept-Language": "en"}).text
    client.post("/account/preferences/", {"language": "de"})
    chosen = Client(headers={"Accept-Language": "en"})
    chosen.force_login(admin)

    assert ("Freigeben…" in german, "Release…" in german) == (True, False)
    assert ("Freigeben…" in english, "Release…" in english) == (False, True)
    assert "Freigeben…" in chosen.get("/changes/live?since=0").text
    assert b"Freigeben" in read_events("", after=0, upto=1, language="de")[0].data
    assert b"Release" in read_events("", after=0, upto=1)[0].data


# --- What stays English -------------------------------------------------------------------


def test_programs_and_spreadsheets_read_english(client, admin):
    make_change()
    headers = {"Accept-Language": "de"}
    client.post("/account/preferences/", {"language": "de"})

    refused = client.get("/changes.csv?zq=1", headers=headers)
    actions = client.get("/actions.json?zq=1", headers=headers)
    file = b"".join(client.get("/changes.csv", headers=headers).streaming_content).decode()

    assert refused.json()["error"] == "There is no filter “zq”."
    assert actions.json()["error"] == "There is no filter “zq”."
    assert file.startswith("stream_id,origin,media_id,quarantined")
    assert client.get("/metrics", headers=headers).json()["error"] == "Missing access token"


def test_what_is_noted_down_is_english_and_shown_in_the_readers_language(client, admin):
    said = f"{worker.AWAY.format(error='x {y} z')} {worker.AGAIN} zq"
    action = make_action(staff=admin)
    Work.objects.filter(action=action).update(status=Work.Status.WAITING, message=said)

    german = client.get(f"/actions/{action.pk}/", headers={"Accept-Language": "de"}).text
    english = client.get(f"/actions/{action.pk}/").text

    assert said.replace("'", "&#x27;") in english
    assert "Die Datenbank des Homeservers ist nicht lesbar (x {y} z). Nichts geht verloren; es wird" in german
    assert " zq</p>" in german


def test_a_german_deed_is_noted_down_in_english(client, admin):
    """Media that can't be named to the homeserver fails before any call."""
    make_categories()
    make_local_media("zqone")
    headers = {"Accept-Language": "de"}
    asked = {"verb": "quarantine", "media": ["mxc://matrix.example/zqone", f"mxc://matrix.example/{'x' * 300}"]}
    plan = client.post("/actions/new/", asked, headers=headers)
    digest = re.search(r'name="digest" value="(\w+)"', plan.text)[1]

    done = client.post("/actions/new/", asked | {"digest": digest, "category": "spam"}, headers=headers, follow=True)

    assert "Die Adresse ist zu lang oder enthält etwas" in plan.text
    failed = Intent.objects.get(fate="failed")
    assert failed.error == plans.UNSENDABLE
    assert "Die Adresse ist zu lang oder enthält etwas" in done.text
