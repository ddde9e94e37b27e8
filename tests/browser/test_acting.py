"""Acting in a real browser, with scripts and without, on the sample homeserver."""

from threading import Event

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from quarantine.follow import follow_once
from quarantine.homeserver.sample import File, SampleHomeserver
from quarantine.models import Action, Change, Role, Work
from quarantine.worker import attempt
from tests.factories import make_categories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
ANN = "@ann:matrix.example"
SCAM = "a" * 64


@pytest.fixture
def home(page):  # after the browser, so that its ledger is bound
    make_categories("spam", "other")
    return SampleHomeserver(user_id=ANN)


@pytest.fixture
def held(home):
    """Three media items that somebody quarantined; two are the same file."""
    files = (("one.png", SCAM), ("two.png", SCAM), ("three.png", "b" * 64))
    media = [home.upload(File(sha256=sha256, upload_name=name), uploader=ANN) for name, sha256 in files]
    home.quarantine(media[0])
    home.quarantine(media[2])
    follow_once(stop=Event())
    return media


def choose(page, category):
    page.locator(f'input[name="category"][value="{category}"]').check()


def axe_is_clean(page):
    found = Axe().run(page).response["violations"]
    return not [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def test_rows_are_selected_by_keyboard_and_in_ranges(signed_in, server, held):
    page = signed_in(role=Role.MODERATOR)
    page.goto(server.url)
    expect(page.locator(".sel-dock")).to_be_hidden()

    page.keyboard.press("j")
    page.keyboard.press("x")
    page.locator("#rows .c-check input").nth(2).click(modifiers=["Shift"])
    expect(page.locator("[data-selected]")).to_have_text("3 selected")
    expect(page.locator(".selbar")).to_contain_text("3 quarantined")
    expect(page.get_by_role("button", name="Release 3…")).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.locator(".sel-dock")).to_be_hidden()
    page.keyboard.press("x")
    expect(page.locator("[data-selected]")).to_have_text("1 selected")


def test_release_with_a_reason_and_undo(signed_in, server, held):
    page = signed_in(role=Role.MODERATOR)
    page.goto(server.url)
    page.keyboard.press("j")
    page.keyboard.press("u")  # one keystroke does nothing but lead to the plan

    expect(page.get_by_role("heading", level=1)).to_have_text("Release 1 media item?")
    assert axe_is_clean(page)
    choose(page, "other")
    page.get_by_label("Note for the history").fill("Appeal #12")
    page.get_by_role("button", name="Release 1").click()
    expect(page.locator("#progress")).to_contain_text("Asked 1 · changed 1")
    assert axe_is_clean(page)
    page.get_by_role("link", name="Undo…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quarantine 1 media item?")
    page.wait_for_load_state("domcontentloaded")  # keys are answered from here on, later than the heading is there
    page.keyboard.press("Enter")  # no reason was chosen: nothing happens
    expect(page.get_by_role("heading", level=1)).to_have_text("Quarantine 1 media item?")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("#progress")).to_contain_text("This undoes")
    page.goto(f"{server.url}/actions/")
    assert axe_is_clean(page)
    assert [action.verb for action in Action.objects.order_by("pk")] == ["release", "quarantine"]
    assert Change.objects.exclude(action=None).count() == 2


def test_copies_are_told_before_from_the_menu_of_a_row(signed_in, server, held):
    page = signed_in(role=Role.MODERATOR)
    page.goto(server.url)

    page.locator(".row", has_text="one.png").locator(".c-act summary").click()
    page.locator(".row", has_text="one.png").get_by_role("link", name="Release…").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Release 2 media items?")
    expect(page.locator("#effect + *, .facts").first).to_contain_text("1 more with the same file")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_way_back_and_a_reload_show_the_plan_again(chromium, signed_in, server, held, scripts):
    cookies = signed_in(role=Role.MODERATOR).context.cookies()
    with chromium.new_context(java_script_enabled=scripts) as context:
        context.add_cookies(cookies)
        page = context.new_page()
        page.goto(f"{server.url}/?state=quarantined")
        page.locator("#rows .c-check input").first.check()
        page.get_by_label("Note", exact=True).fill("Appeal #12")
        page.get_by_role("button", name="Release").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Release 1 media item?")
        page.reload()
        expect(page.get_by_label("Note for the history")).to_have_value("Appeal #12")
        page.get_by_role("button", name="Release 1").click()
        expect(page.locator("#progress")).to_contain_text("Asked 1 · changed 1")

        page.go_back()

        expect(page.get_by_role("heading", level=1)).to_have_text("Release: nothing would change")
        page.go_back()
        expect(page).to_have_url(f"{server.url}/?state=quarantined")


def test_progress_is_shown_while_it_goes_on(signed_in, server, held, home):
    page = signed_in(role=Role.MODERATOR)
    many = [str(home.upload(File(sha256=None), uploader=ANN)) for _ in range(25)]
    page.goto(f"{server.url}/actions/new/")
    page.get_by_label("one a line").fill("\n".join(many))
    page.get_by_role("button", name="Quarantine…").click()
    choose(page, "spam")
    page.get_by_role("button", name="Quarantine 25").click()

    expect(page.locator("#progress")).to_contain_text("It starts when manage.py follow runs")
    work = Work.objects.get()
    Work.objects.filter(pk=work.pk).update(status=Work.Status.RUNNING, done=10, outcome={"asked": 25, "changed": 10})
    expect(page.locator("#progress")).to_contain_text("10 of 25 done")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#progress")).to_contain_text("Pausing")
    Work.objects.filter(pk=work.pk).update(status=Work.Status.WAITING, wish="")
    attempt(Action.objects.get(), stop=Event())
    expect(page.locator("#progress")).to_contain_text("Finished")
    expect(page.locator("#touched tbody tr")).to_have_count(25)  # without a reload


def test_everything_works_without_scripts(chromium, signed_in, server, held, home):
    cookies = signed_in(role=Role.MODERATOR).context.cookies()
    with chromium.new_context(java_script_enabled=False) as context:
        context.add_cookies(cookies)
        page = context.new_page()
        page.goto(server.url)
        page.locator("#rows .c-check input").first.check()
        page.get_by_role("button", name="Release…").click()
        choose(page, "other")
        page.get_by_label("Note for the history").fill("A mistake")
        page.get_by_role("button", name="Release 1").click()
        expect(page.locator("#progress")).to_contain_text("Asked 1 · changed 1")
        page.get_by_role("link", name="Undo…").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Quarantine 1 media item?")
        Work.objects.update(status=Work.Status.RUNNING, total=2)
        page.goto(f"{server.url}/actions/{Action.objects.get().pk}/")
        Work.objects.update(status=Work.Status.FINISHED)
        page.get_by_role("link", name="Look again").click()
        expect(page.locator("#progress")).to_contain_text("Finished")
    assert Action.objects.count() == 1


def test_a_viewer_sees_nothing_to_act_with(signed_in, server, held):
    page = signed_in(role=Role.VIEWER)
    page.goto(server.url)

    expect(page.locator("#rows .row")).to_have_count(2 + 1)
    expect(page.locator("#rows .c-check").first).to_be_hidden()
    expect(page.locator(".c-act").first).to_be_hidden()
