"""/changes/live as native ASGI: an open stream costs a task, not a thread.

Its opening is an ordinary request through Django's middleware, so hosts, cookies, sessions,
redirects to HTTPS and security headers are those of the pages; only what follows is our own.
"""

import asyncio
from http import HTTPStatus

from dashboard.serving.bridge import answer, begin
from dashboard.serving.metrics import READERS
from dashboard.serving.wire import Receive, Scope, Send, respond, send_body, until_gone
from dashboard.streaming.hub import Hub
from dashboard.views.live import Opening

PIECE = 64 * 1024  # bytes that wait at once for a reader who is slow to take them


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    hub: Hub = scope["state"]["hub"]
    if hub.closing:
        await respond(send, status=HTTPStatus.SERVICE_UNAVAILABLE, text="Stopping.")
        return
    response = await hub.opening.run(answer, scope)
    if isinstance(response, Opening):
        if not hub.has_room(query=response.query, admission=response.admission, language=response.language):
            await respond(send, status=HTTPStatus.TOO_MANY_REQUESTS, text="Too many different views at once.")
            return
        del response.headers["Content-Length"]  # of the opening alone
    await begin(response, send)
    if not isinstance(response, Opening):
        await send_body(send, response.content)
    else:
        await send_pieces(send, response.content)
        response.content = b""  # sent: for as long as it watches, each reader would hold all that it missed once
        await go_on(response, hub=hub, receive=receive, send=send)


async def go_on(opening: Opening, *, hub: Hub, receive: Receive, send: Send) -> None:
    """Send what comes, until the client leaves or the hub ends the stream."""
    reader = hub.join(
        query=opening.query, position=opening.position, admission=opening.admission, language=opening.language
    )
    gone = asyncio.create_task(until_gone(receive))
    gone.add_done_callback(lambda _: reader.end())
    READERS.inc()
    try:
        while (chunk := await reader.next_chunk()) is not None:
            await send_pieces(send, chunk)
        await send_body(send, b"")
    except asyncio.CancelledError:
        if not reader.cut_off:
            raise
    finally:
        READERS.dec()
        gone.cancel()
        hub.leave(reader)


async def send_pieces(send: Send, chunk: bytes) -> None:
    """One after the other, each once the one before is on its way: in a burst everybody's copies would be there at once."""
    for begin_at in range(0, len(chunk), PIECE):
        await send_body(send, chunk[begin_at : begin_at + PIECE], more=True)
        if begin_at + PIECE < len(chunk):
            await asyncio.sleep(0)
