"""The pages, a WSGI application, behind ASGI: a thread for each request, taken only once the request is there.

a2wsgi would read a request's body from inside the thread: ten clients that send slowly would stop
every page, for everyone and before anybody has signed in. And it would take a client that
leaves half-way for one that has finished.
"""

import asyncio
import io
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi import build_environ
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from dashboard.serving.wire import Application, Message, Receive, Scope, Send, respond, send_body, start
from dashboard.wsgi import application

THREADS = 8  # as many requests at once; each thread holds a database connection
BODY_TIMEOUT = 30  # seconds in which the whole body must have come
DRAINED = 32 * 1024 * 1024  # bytes read past what is taken: a browser that can't finish sending shows no answer
CHUNKS_AHEAD = 64  # a thread may write so much before it waits for a slow client

# The casts: a2wsgi and uvicorn each have their own types for what ASGI leaves to dictionaries.
pages = cast("Application", WSGIMiddleware(cast("Any", application), workers=THREADS, send_queue_size=CHUNKS_AHEAD))


class TooLargeError(Exception):
    """The body is larger than any form of ours."""


class GoneError(Exception):
    """The client left before it had sent everything."""


async def bridge(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await read_body(receive)
    except TooLargeError:
        await refuse(scope, send)
    except TimeoutError:
        await respond(send, status=HTTPStatus.REQUEST_TIMEOUT, text="Too slow.")
    except GoneError:
        return
    else:
        await pages(tidy(scope), replay(body, receive), send)


async def read_body(receive: Receive) -> bytes:
    body = bytearray()
    read, more = 0, True
    while more and read < DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        chunk = message.get("body", b"")
        read += len(chunk)
        if read <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            body += chunk
        more = message.get("more_body", False)
    if read > len(body):
        raise TooLargeError
    return bytes(body)


async def refuse(scope: Scope, send: Send) -> None:
    """The page for a form that is too large; Django never sees the form."""
    response = await asyncio.to_thread(answer, scope, cut_short=True)
    await begin(response, send)
    await send_body(send, response.content)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body that was read, and then what else there is."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def tidy(scope: Scope) -> Scope:
    """Without headers that WSGI can't tell from others.

    One with an underscore would be taken for the one with a hyphen, and so slip past a proxy that sets that one.
    """
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if b"_" not in name]}


def answer(scope: Scope, *, cut_short: bool = False, room_for: Callable[[int], bool] | None = None) -> HttpResponse:
    """What Django answers to a request without a body, for endpoints that go on by themselves; call it in a thread.

    `cut_short`: there was a body, too large for any form. `room_for`: tells the view whether an account may have this, too.
    """
    environ = build_environ(cast("Any", tidy(scope)), cast("Any", io.BytesIO()))
    request = WSGIRequest(cast("dict[str, Any]", environ))
    request.cut_short = cut_short  # type: ignore[attr-defined] # for PagesMiddleware
    request.room_for = room_for  # type: ignore[attr-defined] # see serving/room.py
    response = application.get_response(request)
    return cast("HttpResponse", response)


async def begin(response: HttpResponse, send: Send) -> None:
    """Send status and headers of what Django answered, cookies included."""
    cookies = [("Set-Cookie", morsel.OutputString()) for morsel in response.cookies.values()]
    await start(send, status=response.status_code, headers=[*response.headers.items(), *cookies])
