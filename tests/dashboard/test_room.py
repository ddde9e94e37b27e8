"""One account, or one program, never holds all of a process's downloads or previews."""

import asyncio
import json
from contextlib import closing

import pytest
from django.conf import settings
from django.test import Client

from dashboard.serving.room import MOST_OF_ACCOUNT
from dashboard.streaming.export_streams import AT_ONCE, Streams
from quarantine import consumers
from quarantine.models import AccessEntry, Reveal, Scope
from tests.factories import make_ledger, make_local_media, make_staff

pytestmark = pytest.mark.django_db(transaction=True)  # they are answered in threads
DOWNLOAD = "/_matrix/client/v1/media/download/matrix.example/abc"
PREVIEW = "/previews/matrix.example/abc/"
CSRF = "x" * 32


class Reader:
    """Somebody who asks for a file and takes nothing of it until `go_on`."""

    def __init__(self, streams, **request):
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.status, self.headers, self.body = 0, {}, b""
        self.task = asyncio.create_task(streams(scope(**request), asyncio.Event().wait, self.send))

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif message.get("more_body"):
            self.begun.set()
            await self.go_on.wait()
        self.body += message.get("body", b"")

    async def wait(self):
        """Until the file begins to come, or the answer is over."""
        begun = asyncio.create_task(self.begun.wait())
        await asyncio.wait([begun, self.task], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        return self

    async def end(self):
        self.go_on.set()
        await self.task


def scope(*, method, path, query=b"", headers):
    told = [(b"host", b"testserver"), *((name.encode(), value.encode()) for name, value in headers.items())]
    address = {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "scheme": "http"}
    ends = {"client": ("127.0.0.1", 1), "server": ("testserver", 80)}
    return {"type": "http", "http_version": "1.1", "method": method, "headers": told} | address | ends


def program(name):
    token = consumers.create(name, scopes=[Scope.MEDIA])
    query = b"admin_unsafely_bypass_quarantine=true"
    return {"method": "GET", "path": DOWNLOAD, "query": query, "headers": {"authorization": f"Bearer {token}"}}


def person(name):
    client = Client()
    client.force_login(make_staff(name))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF}"
    return {"method": "POST", "path": PREVIEW, "headers": {"cookie": cookie, "x-csrftoken": CSRF}}


@pytest.fixture
def media(settings):
    settings.MEDIA_DOWNLOADS = settings.MEDIA_PREVIEWS = True
    make_ledger()
    make_local_media("abc", quarantined_by="x")


async def told(streams, mine, theirs):
    """As many as one may have, one more, one of somebody else's; and one more once the others have ended."""
    held = [await Reader(streams, **mine).wait() for _ in range(MOST_OF_ACCOUNT)]
    refused = await Reader(streams, **mine).wait()
    colleague = await Reader(streams, **theirs).wait()
    for reader in held:
        await reader.end()
    later = await Reader(streams, **mine).wait()
    for reader in (colleague, later):
        await reader.end()
    return held, refused, colleague, later


def statuses(held, colleague, later):
    return [reader.status for reader in (*held, colleague, later)]


@pytest.mark.usefixtures("media")
def test_one_token_leaves_room_for_other_programs():
    with closing(Streams("download")) as streams:
        held, refused, colleague, later = asyncio.run(told(streams, program("hma"), program("other")))

    assert MOST_OF_ACCOUNT < AT_ONCE
    assert statuses(held, colleague, later) == [200] * (MOST_OF_ACCOUNT + 2)
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")
    text = f"{MOST_OF_ACCOUNT} downloads of this token are running already."
    assert json.loads(refused.body) == {"errcode": "M_LIMIT_EXCEEDED", "error": text}
    lines = AccessEntry.objects.filter(what="download").order_by("pk").values_list("who", "target")
    assert list(lines) == [("hma", "mxc://matrix.example/abc"), ("other", "mxc://matrix.example/abc")]


@pytest.mark.usefixtures("media")
def test_one_account_leaves_room_for_other_peoples_previews():
    with closing(Streams("preview")) as streams:
        held, refused, colleague, later = asyncio.run(told(streams, person("anna"), person("ben")))

    assert statuses(held, colleague, later) == [200] * (MOST_OF_ACCOUNT + 2)
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")
    assert refused.body.decode() == "You are looking at 2 files already. Let one go, then try again."
    assert Reveal.objects.count() == MOST_OF_ACCOUNT + 2  # nothing of the one refused
