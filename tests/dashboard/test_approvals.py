"""The pages of the two-person rule, and the terminal's word on it."""

import json
from datetime import UTC, datetime

import pytest
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.test import Client

from dashboard import planned
from quarantine import ledger
from quarantine.homeserver.media import HomeserverAwayError
from quarantine.homeserver.models import RemoteMedia
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, Proposal, Role, Ruling, Work
from quarantine.mxc import Mxc
from tests.factories import make_categories, make_staff

pytestmark = pytest.mark.django_db(transaction=True)
ASKED = {"verb": "quarantine", "origin": "spam.example", "category": "spam", "reason": "a flood"}


@pytest.fixture
def home(transactional_db, settings):
    settings.TWO_PERSON_RULE = True
    ledger.bind()
    make_categories()
    home = SampleHomeserver(user_id=f"@ann:{configured.HOMESERVER_NAME}")
    home.cache_remote(File(sha256="a" * 64), mxc=Mxc("spam.example", "a"))
    return home


@pytest.fixture
def people(home):
    return {name: make_staff(name, role=role) for name, role in
            {"lena": Role.LEAD, "root": Role.ADMIN, "mod": Role.MODERATOR, "vi": Role.VIEWER, "ada": Role.AUDITOR}.items()}  # fmt: skip


def away(*_, **__):
    raise HomeserverAwayError("gone")


def as_(person):
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def held(people):
    """Asked for by lena, through the pages."""
    lena = as_(people["lena"])
    page = lena.get("/actions/new/", ASKED)
    assert "It waits until somebody else" in page.text
    answer = lena.post("/actions/new/", ASKED | {"digest": page.context["plan"].digest})
    return answer["Location"]


def quarantined(home):
    return home.media(Mxc("spam.example", "a")).quarantined_by is not None


def test_the_second_person_sees_the_plan_approves_and_it_is_done(home, people, held):
    root = as_(people["root"])
    counted = '<a class="nav-count" href="/actions/?status=held" aria-label="1 action waits for your approval">1</a>'
    assert counted in root.get("/").text
    assert "nav-count" not in as_(people["lena"]).get("/").text
    page = root.get(held)
    assert "lena asked for this" in page.text
    assert "mxc://spam.example/a" in page.text
    assert page.text.index("What was asked") < page.text.index("What will happen")  # why, above a long list of what
    assert not quarantined(home)

    done = root.post(f"{held}approve/", {"digest": page.context["plan"].digest, "note": "<b>yes</b>"}, follow=True)

    assert "Approved by root" in done.text
    assert "&lt;b&gt;yes&lt;/b&gt;" in done.text
    assert "Asked 1 · changed 1" in done.text
    assert quarantined(home)
    assert "approved by root" in root.get("/actions/").text
    assert "nav-count" not in root.get("/").text
    told = json.loads(root.get("/actions.json").getvalue())["actions"]
    assert [(one["staff"], one["ruling"], one["ruled_by"]) for one in told] == [("lena", "approved", "root")]


def test_what_was_not_seen_is_not_approved_and_a_decline_needs_a_note(home, people, held):
    root = as_(people["root"])

    for address, data, sentence in [
        ("approve", {"digest": "x"}, "This is no longer what you saw"),
        ("decline", {"note": ""}, "Say why"),
        ("withdraw", {}, "Only who asked for it"),
        ("approve", {"digest": "x", "note": "n" * 2_001}, "The note is too long"),
    ]:
        answer = root.post(f"{held}{address}/", data)
        assert (answer.status_code, sentence in answer.text) == (409, True)
        assert 'name="digest"' in answer.text  # to look again and decide
    assert not Ruling.objects.exists()
    root.post(f"{held}decline/", {"note": "wrong server"})

    page = as_(people["lena"]).get(held)
    assert "Declined by root" in page.text
    assert "wrong server" in page.text
    late = root.post(f"{held}approve/", {"digest": "x"})
    assert (late.status_code, quarantined(home)) == (409, False)


def test_many_looks_at_what_waits_plan_it_once(home, people, held, django_assert_num_queries):
    for person, statements in (("root", 3), ("lena", 0)):
        with django_assert_num_queries(statements, using="homeserver"):
            assert "mxc://spam.example/a" in as_(people[person]).get(held).text


def test_an_old_look_approves_nothing_and_is_followed_by_a_new_one(home, people, held):
    root = as_(people["root"])
    seen = root.get(held).context["plan"]
    home.cache_remote(File(sha256="a" * 64), mxc=Mxc("other.example", "copy"))
    assert root.get(held).context["plan"] == seen

    refused = root.post(f"{held}approve/", {"digest": seen.digest})

    now = refused.context["plan"]
    assert (refused.status_code, seen.affected, now.affected, quarantined(home)) == (409, 1, 2, False)
    assert "Now it is 2" in refused.text
    assert root.post(f"{held}approve/", {"digest": now.digest}).status_code == 302
    assert quarantined(home)


def test_while_a_large_plan_is_made_others_are_told_so(home, people, held, monkeypatch):
    monkeypatch.setattr(planned, "LARGE", 0)
    plan_again, pages = planned.plan_again, []

    def slow(*args, **more):
        pages.append(as_(people["lena"]).get(held))
        return plan_again(*args, **more)

    monkeypatch.setattr(planned, "plan_again", slow)

    first = as_(people["root"]).get(held)

    [meanwhile] = pages  # which planned nothing
    told = "When it was asked for, 1 media items would have changed."
    assert (meanwhile.status_code, told in meanwhile.text, "mxc://spam.example/a" in meanwhile.text) == (
        200,
        True,
        False,
    )
    later = as_(people["lena"]).get(held)
    assert [page.context["plan"].affected for page in (first, later)] == [1, 1]
    assert told not in first.text + later.text


def test_where_planning_fails_the_next_look_plans_again(home, people, held, monkeypatch):
    monkeypatch.setattr(planned, "LARGE", 0)
    root = as_(people["root"])
    with monkeypatch.context() as broken:
        broken.setattr(planned, "plan_again", away)
        assert "plan" not in root.get(held).context

    assert root.get(held).context["plan"].affected == 1


def test_what_has_expired_is_not_planned(home, people, held, monkeypatch):
    Proposal._base_manager.update(expires_at=datetime.now(UTC))
    monkeypatch.setattr(planned, "plan_again", pytest.fail)

    assert "Nobody approved it in time" in as_(people["root"]).get(held).text


def test_what_is_kept_of_a_plan_is_in_each_readers_language(home, people, held):
    RemoteMedia.objects.all().delete()

    pages = [as_(people["root"]).get(held, headers={"Accept-Language": tongue}).text for tongue in ("en", "de", "en")]

    assert ["Not on this server" in page for page in pages] == [True, False, True]


def test_who_asked_is_offered_to_withdraw_and_others_nothing(home, people, held):
    pages = {name: as_(person).get(held).text for name, person in people.items()}

    offered = {name: [word for word in ("approve", "decline", "withdraw") if f"{held}{word}/" in page] for name, page in pages.items()}  # fmt: skip
    assert offered == {"lena": ["withdraw"], "root": ["approve", "decline"], "mod": [], "vi": [], "ada": []}
    assert not [name for name, page in pages.items() if "/cancel/" in page or "/pause/" in page]
    own = as_(people["lena"]).post(f"{held}approve/", {"digest": "x"})
    assert (own.status_code, "somebody else has to look at it" in own.text) == (409, True)
    as_(people["lena"]).post(f"{held}withdraw/")
    assert "Withdrawn by lena" in as_(people["vi"]).get(held).text
    assert (Work.objects.get().status, quarantined(home)) == ("cancelled", False)


def test_while_the_homeserver_is_away_it_can_be_declined_alone(home, people, held, monkeypatch):
    monkeypatch.setattr("dashboard.planned.plan_again", away)
    monkeypatch.setattr("quarantine.acting.approvals.plan_again", away)
    root = as_(people["root"])

    page = root.get(held)
    assert (page.status_code, f"{held}approve/" in page.text, f"{held}decline/" in page.text) == (200, False, True)
    assert root.post(f"{held}approve/", {"digest": "x"}).status_code == 503
    assert root.post(f"{held}decline/", {"note": "later"}).status_code == 302


def test_what_adds_up_says_so_to_who_asks_and_to_who_rules(home, people, settings):
    settings.TWO_PERSON_LIMIT = 1
    media = [home.upload(File(sha256=f"{number}" * 64), uploader="@m:matrix.example") for number in range(2)]
    for mxc in media:
        home.quarantine(mxc)
    mod, ask = as_(people["mod"]), ASKED | {"verb": "release", "origin": "", "reason": "mistake"}

    def release(mxc):
        page = mod.get("/actions/new/", ask | {"media": str(mxc)})
        posted = ask | {"media": str(mxc), "digest": page.context["plan"].digest}
        return page.text, mod.post("/actions/new/", posted, follow=True).text

    assert "approves it" not in "".join(release(media[0]))
    plan, asked = release(media[1])
    assert "With the 1 released in the hour before by the same person it is more than 1 media items." in plan
    assert "Waits for a second person" in asked
    held = f"/actions/{Action.objects.latest('pk').pk}/"

    assert "Together with what mod did in the hour before" in as_(people["root"]).get(held).text


def test_what_waits_by_itself_speaks_of_nothing_before(home, people, held):
    assert "did in the hour before" not in as_(people["root"]).get(held).text


def test_what_has_expired_says_so(home, people, held, settings):
    settings.TWO_PERSON_HOURS = -1
    lena, root = as_(people["lena"]), as_(people["root"])
    page = lena.get("/actions/new/", ASKED)
    late = lena.post("/actions/new/", ASKED | {"digest": page.context["plan"].digest})["Location"]

    assert "Nobody approved it in time" in root.get(late).text
    assert 'name="digest"' not in root.get(late).text
    assert root.post(f"{late}approve/", {"digest": "x"}).status_code == 409
    assert "Nobody approved it in time" in root.get(late).text


def test_a_terminal_records_it_and_says_where_it_waits(home, people, capsys):
    refused = "name the account that asks"
    with pytest.raises(CommandError, match=refused) as nobody:
        call_command("quarantine", "--origin", "spam.example", "--yes")
    assert (nobody.value.returncode, Action.objects.count()) == (1, 0)

    with pytest.raises(CommandError, match="has to approve it at /actions/") as waits:
        call_command("quarantine", "--origin", "spam.example", "--yes", "--json", "--staff", "lena")

    action = Action.objects.get()
    assert waits.value.returncode == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"action": action.pk, "status": "held", "done": 0}
    assert (action.staff.username, action.work.status, quarantined(home)) == ("lena", "held", False)
