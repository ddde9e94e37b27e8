"""What goes on after an action was begun, and what admins decide: each way with scripts and without."""

from threading import Event

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from quarantine.acting import actions
from quarantine.acting.aims import Aim
from quarantine.acting.plans import plan
from quarantine.follow import follow_once
from quarantine.homeserver.connect import gateway
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, Change, Fate, Return, Role, Verb, Work
from quarantine.worker import attempt
from tests.factories import make_categories, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
ANN = "@ann:matrix.example"


@pytest.fixture
def home(page):  # after the browser, so that its ledger is bound
    make_categories("spam", "other")
    return SampleHomeserver(user_id=ANN)


@pytest.fixture(params=["with scripts", "without"])
def browse(request, chromium, signed_in, server):
    """A function: a page of somebody with this role."""
    contexts = []

    def as_somebody(role):
        cookies = signed_in(role=role).context.cookies()
        scripts = request.param == "with scripts"
        contexts.append(chromium.new_context(java_script_enabled=scripts, base_url=server.url))
        contexts[-1].add_cookies(cookies)
        return contexts[-1].new_page()

    yield as_somebody
    for context in contexts:
        context.close()


@pytest.fixture
def stopped(home):
    """An action over thirty media items that the homeserver refused after one had failed."""
    media = [home.upload(File(sha256=None), uploader=ANN) for _ in range(30)]
    found = plan(verb=Verb.QUARANTINE, aim=Aim(media=tuple(media)), homeserver=gateway())
    action = actions.start(found, staff=make_staff("priya"), category="spam", reason="case 7")
    failed = action.intents.order_by("pk").first()
    action.intents.filter(pk=failed.pk).update(fate=Fate.FAILED, error="The homeserver is in trouble.")
    fields = {"status": Work.Status.STOPPED, "message": "Set a new HOMESERVER_TOKEN.", "done": 1}
    Work.objects.update(**fields, outcome={"asked": 30, "failed": 1})
    return action


def axe_is_clean(page):
    found = Axe().run(page).response["violations"]
    return not [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def decide(page, category, button):
    page.locator(f'input[name="category"][value="{category}"]').check()
    page.get_by_label("Note for the history").fill("case 7")
    page.get_by_role("button", name=button).click()


def test_what_stopped_says_why_and_is_resumed_paused_and_cancelled(browse, stopped):
    page = browse(Role.MODERATOR)
    page.goto(f"/actions/{stopped.pk}/")
    progress = page.locator("#progress")
    expect(progress).to_contain_text("Stopped")
    expect(progress.locator(".banner-bad")).to_have_text("Set a new HOMESERVER_TOKEN.")
    expect(page.locator("#others")).to_have_text("Not changed")
    expect(page.locator("#touched")).to_contain_text("The homeserver is in trouble.")

    page.get_by_role("button", name="Resume").click()
    expect(progress).to_contain_text("Waiting")
    page.get_by_role("button", name="Pause").click()
    expect(progress).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    attempt(stopped, stop=Event(), turn=1)  # one batch of twenty, by the process that follows
    page.goto(f"/actions/{stopped.pk}/")
    expect(progress).to_contain_text("21 of 30 done")
    page.get_by_role("button", name="Cancel the rest").click()

    expect(progress).to_contain_text("Cancelled")
    expect(progress).to_contain_text("Asked 30 · changed 20 · 1 failed")
    page.get_by_role("link", name="Undo…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Release 20 media items?")


def test_admins_say_what_becomes_of_files_that_are_back(browse, home):
    gone = home.upload(File(sha256="a" * 64), uploader=ANN)
    home.quarantine(gone)
    follow_once(stop=Event())
    home.delete(gone)
    follow_once(stop=Event())
    back = home.upload(File(sha256="a" * 64), uploader=ANN)
    follow_once(stop=Event())
    assert [one.mxc for one in Return.objects.all()] == [back]

    page = browse(Role.ADMIN)
    page.goto("/reasons/")
    page.get_by_label("Name of another kind").fill("Known file")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("Name of known-file")).to_have_value("Known file")
    page.get_by_label("Quarantine such files at once").check()
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_label("Quarantine such files at once")).to_be_checked()
    page.goto("/actions/")
    page.get_by_role("button", name="Quarantine 1…").click()
    decide(page, "known-file", "Quarantine 1")

    expect(page.locator("#progress")).to_contain_text("Asked 1 · changed 1")
    assert Action.objects.get().category == "known-file"
    assert Change.objects.filter(action=Action.objects.get()).count() == 1


def test_what_was_touched_since_is_left_alone_by_undo(browse, home):
    media = [home.upload(File(sha256=None), uploader=ANN) for _ in range(2)]
    page = browse(Role.MODERATOR)
    page.goto("/actions/new/")
    page.get_by_label("one a line").fill("\n".join(map(str, media)))
    page.get_by_role("button", name="Quarantine…").click()
    decide(page, "spam", "Quarantine 2")
    expect(page.locator("#progress")).to_contain_text("Asked 2 · changed 2")
    home.release(media[0])
    follow_once(stop=Event())

    page.get_by_role("link", name="Undo…").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Release 1 media item?")
    expect(page.locator(".plan-effect")).to_contain_text("Left alone")
    expect(page.locator(".plan-listing")).to_contain_text("Something happened to it since")
    page.locator('input[name="category"][value="other"]').check()
    page.get_by_role("button", name="Release 1").click()  # without a note: it is required
    expect(page.get_by_role("heading", level=1)).to_have_text("Release 1 media item?")
    decide(page, "other", "Release 1")
    expect(page.locator("#progress")).to_contain_text("This undoes")
    assert not home.media(media[1]).quarantined_by


def test_a_list_that_is_too_long_for_a_form_is_refused_in_a_sentence(signed_in, server, home, complaints):
    page = signed_in(role=Role.MODERATOR)
    page.goto(f"{server.url}/actions/new/")
    page.get_by_label("one a line").evaluate("field => field.value = 'mxc://matrix.example/abc\\n'.repeat(60_000)")
    page.get_by_role("button", name="Quarantine…").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("This is more than one form can carry")
    assert axe_is_clean(page)
    assert "413" in complaints.pop()  # the browser's own remark


@pytest.mark.parametrize("address", ["/reasons/", "/actions/new/"])
def test_pages_to_act_from_are_accessible(signed_in, server, home, address):
    page = signed_in(role=Role.ADMIN)
    page.goto(server.url + address)

    assert axe_is_clean(page)
