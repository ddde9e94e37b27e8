"""A quarantined picture of a real Synapse, looked at in a real browser; and what is never fetched."""

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import expect

from quarantine.homeserver.sample import picture
from quarantine.models import Reveal
from quarantine.mxc import Mxc
from tests.factories import make_staff
from tests.servers import running_server
from tests.synapse.worlds import fresh

pytestmark = pytest.mark.sqlite


@pytest.fixture
def synapse(synapse_worlds, attach):
    world = synapse_worlds("postgresql")
    attach(world)
    return world


@pytest.fixture
def page(chromium, synapse, process_env):
    client = Client()
    client.force_login(make_staff("priya"))
    name = settings.SESSION_COOKIE_NAME
    env = process_env(MEDIA_PREVIEWS="on")
    with running_server(env) as server, chromium.new_context(base_url=server.url) as context:
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": server.url}])
        yield context.new_page()


def answer_to(page, mxc):
    """Status and type of what our endpoint sends for it, asked as the page would."""
    return page.evaluate(
        """async (path) => {
          const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
          const answer = await fetch(path, { method: "POST", headers: { "X-CSRFToken": token } });
          return [answer.status, answer.headers.get("Content-Type")];
        }""",
        f"/previews/{mxc.origin}/{mxc.media_id}/",
    )


def test_a_quarantined_picture_is_shown_and_nothing_else_is(page, synapse):
    shown = synapse.upload(picture(fresh().hex()))  # which its uploader calls a film
    evicted = synapse.cache_remote(fresh())
    synapse.purge_remote_cache()
    cached = synapse.cache_remote(picture(fresh().hex()))
    drawing = synapse.upload(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    synapse.admin.quarantine(shown)

    page.goto(f"/media/{shown.origin}/{shown.media_id}/")
    page.get_by_role("button", name="Show for 5 s").click()

    drawn = page.locator("[data-preview-box] img")
    expect(drawn).to_have_count(1)
    assert drawn.evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 128
    assert [(told.staff.username, told.mxc) for told in Reveal.objects.all()] == [("priya", shown)]
    assert answer_to(page, cached) == [200, "image/png"]
    assert answer_to(page, drawing) == [415, "text/plain; charset=utf-8"]
    never = Mxc("remote.example", "never-seen")  # asked for it, Synapse would go out and fetch it
    assert [answer_to(page, mxc)[0] for mxc in (evicted, never)] == [404, 404]
    assert [told.mxc for told in Reveal.objects.order_by("pk")] == [shown, cached]
