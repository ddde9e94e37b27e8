"""Pictures of every page, in both themes, wide and narrow: to look at after changing how things look.

    make screenshots [FOLDER=var/screenshots] [LOCALE=de-DE]

To import this sets Django up, on databases of its own.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from django.conf import settings  # noqa: E402 - after the set-up
from django.core.management import call_command  # noqa: E402 - as above
from django.db import connections  # noqa: E402 - as above
from django.test import Client, override_settings  # noqa: E402 - as above
from django.test.utils import setup_test_environment  # noqa: E402 - as above

from quarantine import ledger  # noqa: E402 - as above
from quarantine.models import Role  # noqa: E402 - as above
from tests.browser.showcase import every_page, make_showcase  # noqa: E402 - as above
from tests.browsers import running_chromium  # noqa: E402 - as above
from tests.dashboard.test_errors import ERRORS  # noqa: E402 - as above
from tests.environment import ROOT, process_environ  # noqa: E402 - as above
from tests.factories import make_staff  # noqa: E402 - as above
from tests.servers import Server, running_server  # noqa: E402 - as above

LOCALE = os.environ.get("LOCALE", "en-GB")  # de-DE: in German
WIDTHS, THEMES = (1440, 390), ("light", "dark")
FIRST_RUN = {"first-run": "/", "first-run-insights": "/insights/", "first-run-actions": "/actions/"}
FIRST_RUN |= {"first-run-backfill": "/backfill/", "first-run-consumers": "/consumers/", "first-run-views": "/views/"}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    prepare()
    with (
        running_server(process_environ({"MEDIA_PREVIEWS": "on", "TWO_PERSON_RULE": "on"})) as server,
        running_chromium() as browser,
    ):
        camera = Camera(browser, server, folder)
        camera.take({"login": "/login/"}, Client())
        newcomer = signed_in(make_staff("newcomer", role=Role.ADMIN))
        camera.take(FIRST_RUN, newcomer)
        admin = signed_in(make_showcase())
        camera.take(every_page(admin), admin)
        camera.take({f"error-{kind.replace(' ', '-')}": "/" for kind in ERRORS}, admin, bodies=error_pages())


def prepare() -> None:
    setup_test_environment()
    for alias in ("default", "homeserver"):
        call_command("migrate", database=alias, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    ledger.bind()


def signed_in(staff) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(staff)
    return client


def error_pages() -> dict[str, str]:
    """What no address leads to, as the server would answer it."""
    client = signed_in(make_staff("viewer", role=Role.VIEWER))
    with override_settings(ROOT_URLCONF="tests.dashboard.refusing_urls"):
        return {f"error-{kind.replace(' ', '-')}": ask(client).text for kind, (_, _, ask) in ERRORS.items()}


class Camera:
    def __init__(self, browser, server: Server, folder: Path) -> None:
        self.browser, self.server, self.folder = browser, server, folder

    def take(self, pages: dict[str, str], client: Client, *, bodies: dict[str, str] | None = None) -> None:
        for width in WIDTHS:
            for theme in THEMES:
                with self.looking(client, width, theme) as page:
                    for name, address in pages.items():
                        file = self.folder / f"{name[:60]}-{width}-{theme}.png"
                        self.open(page, address, (bodies or {}).get(name))
                        page.screenshot(path=file, full_page=True)
                        sys.stdout.write(f"{file}\n")

    def open(self, page, address: str, body: str | None) -> None:
        if body:
            page.route(self.server.url + address, lambda route: route.fulfill(body=body, content_type="text/html"))
        page.goto(self.server.url + address)
        if body:
            page.unroute(self.server.url + address)

    @contextmanager
    def looking(self, client: Client, width: int, theme: str) -> Iterator:
        name = settings.SESSION_COOKIE_NAME
        size = {"width": width, "height": 900}
        with self.browser.new_context(viewport=size, color_scheme=theme, locale=LOCALE, timezone_id="UTC") as context:
            if name in client.cookies:
                context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": self.server.url}])
            yield context.new_page()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "var" / "screenshots")
    connections.close_all()
