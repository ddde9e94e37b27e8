"""The whole product as one ASGI application: events and the changes API native, pages as WSGI.

The same views under Django's own ASGI handler gave 144-177 requests a second, as WSGI in here
650-820: each of its middlewares hops between threads.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from http import HTTPMethod, HTTPStatus
from types import FrameType
from typing import Any, cast

from django.conf import settings
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import dashboard.wsgi  # noqa: F401 - first: a worker begins here, and this sets Django up for the rest
from dashboard.exports.exports import CONTENT_TYPES
from dashboard.serving.bridge import bridge
from dashboard.serving.metrics import measured
from dashboard.serving.wire import Application, Receive, Scope, Send, respond
from dashboard.streaming.changes_endpoint import ChangesEndpoint
from dashboard.streaming.export_streams import Streams
from dashboard.streaming.hub import Hub
from dashboard.streaming.live import live


async def healthz(scope: Scope, receive: Receive, send: Send) -> None:
    """This process answers. Touches nothing else: whoever restarts what is unhealthy must not be misled by a database."""
    safe = scope["method"] in {HTTPMethod.GET, HTTPMethod.HEAD}
    status = HTTPStatus.OK if safe else HTTPStatus.METHOD_NOT_ALLOWED
    await respond(
        send,
        status=status,
        text="ok\n" if safe else "Only GET and HEAD.\n",
        extra={} if safe else {"Allow": "GET, HEAD"},
    )


async def export(scope: Scope, receive: Receive, send: Send) -> None:
    exports: Streams = scope["state"]["exports"]
    await exports(scope, receive, send)


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    downloads: Streams = scope["state"]["downloads"]
    await downloads(scope, receive, send)


async def preview(scope: Scope, receive: Receive, send: Send) -> None:
    previews: Streams = scope["state"]["previews"]
    await previews(scope, receive, send)


async def changes(scope: Scope, receive: Receive, send: Send) -> None:
    endpoint: ChangesEndpoint = scope["state"]["changes"]
    await endpoint(scope, receive, send)


ROUTES: dict[str, Application] = {"/changes/live": live, "/healthz": healthz}
ROUTES["/_synapse/admin/v1/media/quarantine_changes"] = measured(changes, "changes")
ROUTES |= {
    f"/{what}.{form}": measured(export, "export") for what in ("changes", "actions", "record") for form in CONTENT_TYPES
}
ROUTES["/evidence.zip"] = ROUTES["/changes.csv"]
DOWNLOADS = "/_matrix/client/v1/media/download/"
PREVIEWS = "/previews/"
measured_page = measured(bridge, "page")
measured_download, measured_preview = measured(download, "download"), measured(preview, "preview")


async def route(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live_and_die(scope, receive, send)
    else:
        await application_at(scope["path"])(scope, receive, send)


def application_at(path: str) -> Application:
    if path.startswith((DOWNLOADS, PREVIEWS)):
        return measured_download if path.startswith(DOWNLOADS) else measured_preview
    return ROUTES.get(path, measured_page)


async def live_and_die(scope: Scope, receive: Receive, send: Send) -> None:
    """From the server's start to its end."""
    await receive()
    hub = scope["state"]["hub"] = Hub()
    exports = scope["state"]["exports"] = Streams("export")
    downloads = scope["state"]["downloads"] = Streams("download")
    previews = scope["state"]["previews"] = Streams("preview")
    endpoint = scope["state"]["changes"] = ChangesEndpoint()
    before_stopping(hub.close_streams)
    end_with_parent()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    hub.close()
    exports.close()
    downloads.close()
    previews.close()
    await endpoint.close()
    await send({"type": "lifespan.shutdown.complete"})


def before_stopping(end_streams: Callable[[], None]) -> None:
    """Call it on the signals that stop the server, which itself waits for open responses and would wait for ever."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        stop_server = signal.getsignal(number)
        if not callable(stop_server):
            continue

        def stop(number: int, frame: FrameType | None, then: Callable[..., object] = stop_server) -> None:
            loop.call_soon_threadsafe(end_streams)
            then(number, frame)

        signal.signal(number, stop)


def end_with_parent() -> None:
    """One of several workers stops when the process that started them is gone, killed perhaps.

    Else it would hold the port, and serve what was installed then, for ever.
    """
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=wait, name="parent", daemon=True).start()


# What these proxies say of the client is believed; of everybody else the address is that of the connection.
trusted = [str(network) for network in settings.TRUSTED_PROXIES]
application = ProxyHeadersMiddleware(cast("Any", route), trusted_hosts=trusted)
