"""A browser on a running server, signed in; whatever it complains about fails the test."""

import pytest
from django.conf import settings
from django.test import Client

from quarantine import ledger
from quarantine.models import Role
from tests.factories import make_staff

CSP_REPORTS = """
    window.cspReports = [];
    addEventListener("securitypolicyviolation", (report) => cspReports.push(`${report.violatedDirective} ${report.blockedURI}`));
"""


@pytest.fixture
def complaints():
    """Errors in the browser's console; a test that provokes one takes it out of here."""
    return []


def is_complaint(message):
    """An error; but for what htmx says of a request that was given up because its page was left."""
    return message.type == "error" and not message.text.startswith(("htmx:sendAbort,", "htmx:afterRequest,"))


@pytest.fixture
def page(chromium, transactional_db, complaints):
    ledger.bind()
    with chromium.new_context(viewport={"width": 1440, "height": 900}) as context:
        context.add_init_script(CSP_REPORTS)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        assert page.evaluate("window.cspReports ?? []") == []
        assert complaints == []


@pytest.fixture
def signed_in(page, server):
    """Signs `page` in, without the form; a function, so that a test chooses the server and the role."""

    def sign_in(url=server.url, role=Role.VIEWER):
        client = Client()
        client.force_login(make_staff(f"{role}-{url.rpartition(':')[2]}", role=role))
        name = settings.SESSION_COOKIE_NAME
        page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": url}])
        return page

    return sign_in
