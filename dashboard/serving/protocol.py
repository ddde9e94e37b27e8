"""HTTP/1.1 as uvicorn speaks it, with an end to what may come before a request is whole.

By itself it takes request lines and headers of any length and for any time: without an account, one
client could fill the memory and a few hundred could hold every connection. Proxies have such limits
too; this holds where there is none, or one that is lax.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 256 * 1024  # bytes of request line and headers: an address with a list of five hundred media fits
MOST_HELD = 4096  # bytes, of an answer's head
HEAD_TIMEOUT = 20.0  # seconds from its first byte to its last
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 10\r\n"
    b"x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\nToo large."
)


class Gathering:
    """A transport that sends the head of an answer together with what follows at once: else whoever reads wakes twice."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport, self.loop = transport, loop
        self.held = b""

    def write(self, data: bytes) -> None:
        if self.held:
            held, self.held = self.held, b""
            self.transport.writelines([held, data])
        elif len(data) <= MOST_HELD:
            self.held = data
            self.loop.call_soon(self.flush)
        else:
            self.transport.write(data)

    def flush(self) -> None:
        held, self.held = self.held, b""
        if held and not self.transport.is_closing():
            self.transport.write(held)

    def close(self) -> None:
        self.flush()
        self.transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What follows the head, the body, is bounded where it is read."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.in_head = False
        self.head = 0  # bytes of a head that is not whole yet
        self.head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self.transport = Gathering(transport, self.loop)  # type: ignore[assignment] # all that is used of one
        self.wait_for_head(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.head_timer is None and self.is_idle():
            self.wait_for_head(HEAD_TIMEOUT)  # also where these bytes begin no request
        super().data_received(data)
        if self.in_head and not self.transport.is_closing():
            self.head += len(data)
            if self.head > MOST_HEAD:
                self.refuse()

    def refuse(self) -> None:
        if self.is_idle():
            self.transport.write(TOO_LARGE)
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head, self.head = True, 0
        self.wait_for_head(HEAD_TIMEOUT)

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.stop_waiting()
        super().on_headers_complete()

    def is_idle(self) -> bool:
        """Whether no answer is under way."""
        return self.cycle is None or self.cycle.response_complete

    def wait_for_head(self, seconds: float) -> None:
        self.stop_waiting()
        self.head_timer = self.loop.call_later(seconds, self.transport.close)

    def stop_waiting(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None
