"""The pages to act through: planned, decided, told, listed, exported."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings

from quarantine import ledger
from quarantine.homeserver.gateway import WatchOnlyError
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, Category, Change, Ledger, Return, Role, Work
from tests.factories import make_action, make_categories, make_change, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "/actions/new/"


@pytest.fixture
def home(transactional_db):
    ledger.bind()
    make_categories()
    return SampleHomeserver(user_id=f"@ann:{settings.HOMESERVER_NAME}")


@pytest.fixture
def media(home):
    return home.upload(File(sha256="a" * 64, upload_name="scam.png"), uploader="@mallory:matrix.example")


@pytest.fixture
def moderator(client, home):
    client.force_login(make_staff("priya"))
    return client


def decide(client, page, **fields):
    """Post what the plan's page would: what is hidden in it, and a reason."""
    hidden = dict(page.context["hidden"])
    answer = {"digest": page.context["plan"].digest, "category": "spam", "reason": "case 7"}
    return client.post(page.request["PATH_INFO"], hidden | answer | fields, follow=True)


def exported(client, form, **filters):
    """The chunks it came in."""
    return list(client.get(f"/actions.{form}", filters).streaming_content)


def told(client, form, **filters):
    return b"".join(exported(client, form, **filters)).decode()


def test_planned_decided_told_and_undone(moderator, media, home):
    page = moderator.get(NEW, {"verb": "quarantine", "media": str(media)})
    assert "Quarantine 1 media item?" in page.text
    assert home.media(media).quarantined_by is None  # a plan does nothing

    done = decide(moderator, page)

    assert "Asked 1 · changed 1" in done.text
    assert home.media(media).quarantined_by == "@quarantine-dashboard:matrix.example"
    change = Change.objects.get()
    assert (change.changed_by, change.action) == ("priya", Action.objects.get())
    undo = moderator.get(f"/actions/{change.action_id}/undo/")
    assert "Release 1 media item?" in undo.text
    assert f'This undoes <a class="link" href="/actions/{change.action_id}/"' in decide(moderator, undo).text
    assert "Undone by priya" in moderator.get(f"/actions/{change.action_id}/").text
    assert home.media(media).quarantined_by is None


def test_what_changed_since_the_plan_was_seen_is_not_done(moderator, media, home):
    page = moderator.get(NEW, {"verb": "quarantine", "media": str(media)})
    home.upload(File(sha256="a" * 64), uploader="@eve:matrix.example")

    answer = decide(moderator, page)

    assert answer.status_code == 422
    assert "no longer what you saw" in answer.text
    assert not Action.objects.exists()


def led_on(client, **fields):
    """Where a page's form leads: all of them ask for an address."""
    return client.post(NEW, {"answer": "address"} | fields)


def test_a_short_selection_leads_to_the_address_of_its_plan(moderator, home):
    media = [str(home.upload(File(sha256=f"{each}" * 64), uploader="@m:matrix.example")) for each in range(2)]

    answer = led_on(moderator, verb="quarantine", media=media)

    assert answer.status_code == 302
    asked = urlsplit(answer["Location"])
    assert (asked.path, parse_qs(asked.query)) == (NEW, {"verb": ["quarantine"], "media": media})
    page = moderator.get(answer["Location"])
    assert "Quarantine 2 media items?" in page.text
    assert "Asked 2 · changed 2" in decide(moderator, page, media=media).text
    assert "Quarantine: nothing would change" in moderator.get(answer["Location"]).text  # the way back


def test_what_was_said_on_the_way_to_a_plan_stays_out_of_its_address(moderator, media, home):
    said = {"category": "spam", "reason": "reported by @zoe:matrix.example"}

    to = led_on(moderator, verb="quarantine", media=str(media), **said)["Location"]

    assert "zoe" not in to
    for _ in range(2):  # also when it is reloaded
        assert moderator.get(to).context["posted"] == said
    other = home.upload(File(sha256="b" * 64), uploader="@m:matrix.example")
    assert moderator.get(NEW, {"verb": "quarantine", "media": str(other)}).context["posted"] == {}
    decide(moderator, moderator.get(to))
    assert moderator.get(to).context["posted"] == {}


def test_a_selection_too_long_for_an_address_is_planned_at_once(moderator, home):
    many = [str(home.upload(File(sha256=None), uploader="@m:matrix.example")) for _ in range(50)]

    answer = led_on(moderator, verb="quarantine", media=many)

    assert answer.status_code == 200
    assert "Quarantine 50 media items?" in answer.text
    assert led_on(moderator, verb="quarantine", media=many[:20]).status_code == 302


def test_a_form_that_is_sent_twice_begins_one_action(moderator, home):
    many = "\n".join(str(home.upload(File(sha256=None), uploader="@mallory:matrix.example")) for _ in range(21))
    page = moderator.post(NEW, {"verb": "quarantine", "list": many})
    twice = [decide(moderator, page, submission=page.context["submission"]) for _ in range(2)]

    assert [answer.redirect_chain for answer in twice] == [[(f"/actions/{Action.objects.get().pk}/", 302)]] * 2
    other = decide(
        moderator, page, submission=moderator.get(NEW, {"verb": "quarantine", "list": many}).context["submission"]
    )
    assert other.context["action"] != Action.objects.first()


def test_what_is_still_going_on_is_not_undone(moderator):
    action = make_action()
    Work.objects.filter(action=action).update(status=Work.Status.RUNNING)

    answer = moderator.get(f"/actions/{action.pk}/undo/")

    assert answer.status_code == 409
    assert "It isn&#x27;t over yet" in answer.text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"category": ""}, "Choose a category"), ({"reason": "x" * 2001}, "too long")],
)
def test_a_missing_reason_is_asked_for(moderator, media, fields, sentence):
    page = moderator.get(NEW, {"verb": "quarantine", "media": str(media)})

    answer = decide(moderator, page, **fields)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert not Action.objects.exists()


def test_a_release_needs_a_note_but_no_kind_of_offence(moderator, media):
    decide(moderator, moderator.get(NEW, {"verb": "quarantine", "media": str(media)}))
    page = moderator.get(NEW, {"verb": "release", "media": str(media)})
    assert "It becomes downloadable again for everyone who has the address." in page.text
    assert 'name="category" value="spam" required' not in page.text

    assert decide(moderator, page, category="", reason="").status_code == 422
    assert decide(moderator, page, category="nonsense").status_code == 422
    done = decide(moderator, page, category="", reason="a mistake")

    assert "Asked 1 · changed 1" in done.text
    assert Action.objects.latest("pk").category == ""


def test_who_releases_is_asked_what_it_was_quarantined_for(moderator, media, home):
    def question(address, **aim):
        return re.search(r'<legend class="label">(.*?)</legend>', moderator.get(address, aim).text)[1]

    page = f"/media/{media.origin}/{media.media_id}/"
    aim = {"media": str(media)}
    assert question(NEW, verb="quarantine", **aim) == "Kind of reason (required)"
    assert question(NEW, verb="protect", **aim) == question(page) == "Kind of reason"

    home.quarantine(media)

    assert question(NEW, verb="release", **aim) == question(page) == "Quarantined for (optional)"


@pytest.mark.parametrize(("number", "words"), [(1, "download it from"), (2, "download them from")])
def test_one_is_told_as_one(moderator, home, number, words):
    media = [home.upload(File(sha256=f"{each}" * 64), uploader="@m:matrix.example") for each in range(number)]

    page = moderator.get(NEW, {"verb": "quarantine", "media": [str(mxc) for mxc in media]})

    assert words in page.text
    assert 'name="category" value="spam" required' in page.text


def test_a_plan_that_changes_nothing_promises_nothing(moderator, home, media):
    home.quarantine(media)

    page = moderator.get(NEW, {"verb": "quarantine", "media": str(media)})

    assert "Quarantine: nothing would change" in page.text
    assert "Nothing has been done yet." in page.text
    assert "will be able to download" not in page.text


def test_what_makes_no_sense_is_said_and_stays_on_screen(moderator):
    answer = moderator.post(NEW, {"verb": "quarantine", "list": "mxc://a.example/b\nbanana"})

    assert answer.status_code == 422
    assert "&#x27;banana&#x27; is neither" in answer.text
    assert "banana</textarea>" in answer.text
    assert moderator.get(NEW).status_code == 200
    assert moderator.post(NEW, {"verb": "destroy", "list": "mxc://a.example/b"}).status_code == 422


def test_more_than_a_form_takes_is_refused_in_a_sentence(moderator, media):
    line = f"{media}\n"
    too_long = {"verb": "quarantine", "list": line * (1024 * 1024 // len(line))}
    too_many = {"verb": "quarantine", "media": [str(media)] * 1000}

    answers = [moderator.post(NEW, fields, HTTP_REFERER=NEW) for fields in (too_long, too_many)]

    assert [answer.status_code for answer in answers] == [413, 413]
    assert all("Nothing has changed. Up to 1 MB fits" in answer.text for answer in answers)
    assert not Action.objects.exists()


def test_a_dashboard_that_only_watches_says_so(moderator, media, monkeypatch):
    def watch_only():
        msg = "This dashboard only watches"
        raise WatchOnlyError(msg)

    monkeypatch.setattr("dashboard.views.actions.gateway", watch_only)

    answer = moderator.get(NEW, {"verb": "quarantine", "media": str(media)})

    assert answer.status_code == 503
    assert "This dashboard only watches" in answer.text


def test_what_takes_a_lead_is_planned_for_moderators_and_not_begun(moderator, home, settings):
    settings.BULK_RELEASE_LIMIT = 1
    media = [home.upload(File(sha256=one * 64, upload_name="x"), uploader="@m:matrix.example") for one in "ab"]
    for mxc in media:
        home.quarantine(mxc)

    page = moderator.get(NEW, {"verb": "release", "list": "\n".join(map(str, media))})

    assert "The role moderator may not release that many media items at once." in page.text
    assert 'name="digest"' not in page.text
    assert 'name="origin"' not in moderator.get(NEW).text
    assert decide(moderator, page).status_code == 403
    assert not Action.objects.exists()
    moderator.force_login(make_staff("lena", role=Role.LEAD))
    assert 'name="origin"' in moderator.get(NEW).text
    assert "Asked 2 · changed 2" in decide(moderator, page).text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AUDITOR])
def test_viewers_and_auditors_read_and_do_not_act(client, media, role):
    client.force_login(make_staff("vi", role=role))
    action = make_action(staff=make_staff("priya"))
    make_change(action=action)

    assert client.get("/actions/").status_code == 200
    assert client.get(f"/actions/{action.pk}/").status_code == 200
    assert "data-acts" not in client.get("/").text
    assert client.get(NEW, {"verb": "quarantine", "media": str(media)}).status_code == 403
    assert client.get(f"/actions/{action.pk}/undo/").status_code == 403
    assert {
        client.post(f"/actions/{action.pk}/{control}/").status_code for control in ("pause", "resume", "cancel")
    } == {403}


def test_work_under_way_is_paused_and_cancelled_from_its_page(moderator, media):
    action = make_action()
    Work.objects.filter(action=action).update(status=Work.Status.WAITING, total=9)

    page = moderator.get(f"/actions/{action.pk}/")
    assert 'hx-trigger="every 1s"' in page.text
    moderator.post(f"/actions/{action.pk}/pause/")
    assert Work.objects.get(action=action).status == Work.Status.PAUSED
    moderator.post(f"/actions/{action.pk}/cancel/")
    assert Work.objects.get(action=action).status == Work.Status.CANCELLED
    assert 'hx-trigger="every 1s"' not in moderator.get(f"/actions/{action.pk}/").text


def test_the_list_is_filtered_and_exported(moderator, home):
    spam = make_action(reason="=1+1", category="spam", staff=make_staff("tom"))
    make_action(reason="other", category="other")

    page = moderator.get("/actions/", {"category": "spam", "by": "tom"})
    lines = told(moderator, "csv", category="spam").splitlines()
    others = json.loads(told(moderator, "json", by="-tom"))

    assert [one.action for one in page.context["actions"]] == [spam]
    header, line = lines
    assert header.startswith("action,verb,cause,target,category,reason,staff")
    assert "'=1+1" in line  # a spreadsheet shows it instead of calculating it
    assert [one["reason"] for one in others["actions"]] == ["other"]
    assert moderator.get("/actions/", {"verb": "banana"}).status_code == 422
    assert moderator.get("/actions.json", {"banana": "1"}).status_code == 400


def test_the_list_says_whose_times_it_tells(moderator):
    make_action()

    page = moderator.get("/actions/").text

    assert '<th scope="col" data-in-zone="When, local time">When, UTC</th>' in page


def test_the_list_shows_the_end_of_what_was_aimed_at(moderator):
    make_action(target=f"mxc://matrix.example/{'x' * 18}yzabcd")
    make_action(target="mxc://matrix.example/one\nmxc://matrix.example/two")
    make_action(target="<b>")

    page = moderator.get("/actions/").text

    aims = re.findall(r'act-target" title="[^"]*">(.*?)</td>', page, re.DOTALL)
    assert [re.sub(r'<bdi dir="ltr">|</bdi>', "", aim) for aim in aims] == [
        '<span class="mid mxc"><span class="ell">&lt;b&gt;</span></span>',
        '<span class="mid mxc"><span>mxc://matrix.examp</span><span>le/one</span></span>'
        '<br><small class="text-2">and more</small>',
        f'<span class="mid mxc"><span>mxc://matrix.example/{"x" * 18}</span><span>yzabcd</span></span>',
    ]


def test_all_actions_are_exported_a_page_at_a_time(moderator, home, monkeypatch):
    monkeypatch.setattr("dashboard.exports.paged_exports.PAGE", 2)
    numbers = [make_action(reason="two\nlines").pk for _ in range(5)]

    chunks = exported(moderator, "ndjson")
    whole = json.loads(told(moderator, "json"))

    assert [chunk.count(b"\n") for chunk in chunks] == [2, 2, 1]
    assert [json.loads(line) for chunk in chunks for line in chunk.splitlines()] == whole["actions"]
    assert [one["action"] for one in whole["actions"]] == numbers[::-1]
    assert told(moderator, "csv").count('"two\nlines"') == 5
    assert json.loads(told(moderator, "json", category="nothing")) == {"actions": []}


def test_files_that_are_back_lead_to_their_plan(moderator, media, home):
    Return.objects.create(origin=media.origin, media_id=media.media_id, sha256="a" * 64, seen_at="2026-11-23T00:00:00Z")

    page = moderator.get("/actions/")

    assert "Back again" in page.text
    assert "Quarantine 1…" in page.text


def test_admins_edit_the_reasons(client, home):
    client.force_login(make_staff("root", role=Role.ADMIN))

    client.post("/reasons/add/", {"label": "Impersonation"})
    client.post("/reasons/spam/change/", {"label": "Scam", "offered": "on"})
    client.post("/reasons/other/change/", {"label": "Other"})
    client.post("/reasons/requarantine/", {"on": "on"})

    assert list(Category.objects.filter(retired=False).values_list("slug", "label")) == [
        ("spam", "Scam"),
        ("impersonation", "Impersonation"),
    ]
    assert Ledger.objects.get().requarantine
    assert client.post("/reasons/add/", {"label": " "}).status_code == 422
    assert client.post("/reasons/add/", {"label": "impersonation"}).status_code == 422
    client.post("/reasons/impersonation/change/", {"label": "I"})
    assert client.post("/reasons/spam/change/", {"label": "Scam"}).status_code == 422  # one has to stay


def test_leads_edit_the_kinds_alone_and_auditors_read_them(client, home):
    client.force_login(make_staff("lena", role=Role.LEAD))
    assert client.post("/reasons/add/", {"label": "Impersonation"}).status_code == 302
    assert 'name="on"' not in client.get("/reasons/").text
    assert client.post("/reasons/requarantine/", {"on": "on"}).status_code == 403
    client.force_login(make_staff("ada", role=Role.AUDITOR))

    page = client.get("/reasons/")

    assert "Impersonation" in page.text
    assert "/change/" not in page.text
    assert client.post("/reasons/spam/change/", {"label": "Scam", "offered": "on"}).status_code == 403
    assert client.post("/reasons/add/", {"label": "Another"}).status_code == 403
    assert set(Category.objects.values_list("label", flat=True)) == {"Spam", "Other", "Impersonation"}
    assert not Ledger.objects.get().requarantine


def test_moderators_neither_read_nor_edit_the_reasons(moderator):
    addresses = ["/reasons/add/", "/reasons/spam/change/", "/reasons/requarantine/"]

    assert [moderator.get("/reasons/").status_code, *(moderator.post(one).status_code for one in addresses)] == [
        403
    ] * 4
    assert not Ledger.objects.get().requarantine
