"""Acting on a real Synapse from a real browser: planned, done, told, undone."""

import re

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from quarantine.models import Change, Source
from tests.factories import make_categories, make_staff
from tests.servers import running_server
from tests.synapse.worlds import fresh

pytestmark = pytest.mark.sqlite


@pytest.fixture
def synapse(synapse_worlds, attach):
    world = synapse_worlds("postgresql")
    attach(world)
    make_categories()
    return world


@pytest.fixture
def page(chromium, synapse, process_env):
    """Signed in as priya, on a server that is attached to this Synapse."""
    client = Client()
    client.force_login(make_staff("priya"))
    name = settings.SESSION_COOKIE_NAME
    with running_server(process_env()) as server, chromium.new_context(base_url=server.url) as context:
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server.url}])
        yield context.new_page()


def decide(page, category, button):
    page.locator(f'input[name="category"][value="{category}"]').check()
    page.get_by_label("Note for the history").fill("case 7")
    page.get_by_role("button", name=button).click()


def told(verb):
    return [(change.mxc, change.changed_by, change.source) for change in Change.objects.filter(action__verb=verb)]


def test_one_of_four_copies_from_the_browser(page, synapse):
    content = fresh()
    media = [synapse.upload(content), synapse.upload(content, by="mallory")]
    media += [synapse.cache_remote(content), synapse.cache_remote(content, origin="other.example")]

    page.goto("/actions/new/")
    page.get_by_label("one a line").fill(str(media[0]))
    page.get_by_role("button", name="Quarantine…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Quarantine 4 media items?")
    assert not [mxc for mxc in media if synapse.admin.media(mxc).quarantined_by]
    decide(page, "spam", "Quarantine 4")

    expect(page.locator("#progress")).to_contain_text("Asked 1 · changed 1 (3 more with the same file)")
    assert not [mxc for mxc in media if synapse.admin.media(mxc).quarantined_by != synapse.admin.user_id]
    page.goto("/?by=priya")
    expect(page.locator("#rows .row")).to_have_count(4)
    assert sorted(told("quarantine")) == sorted((mxc, "priya", Source.ACTION) for mxc in media)

    page.goto("/actions/")
    page.get_by_role("link", name=re.compile("Undo")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Release 4 media items?")
    decide(page, "other", "Release 4")
    expect(page.locator("#progress")).to_contain_text("changed 4")
    assert not [mxc for mxc in media if synapse.admin.media(mxc).quarantined_by]
    assert sorted(told("release")) == sorted((mxc, "priya", Source.ACTION) for mxc in media)
