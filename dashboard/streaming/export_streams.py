"""Exports, downloads and previews as native ASGI: a slow reader costs a task and one connection, never a page's thread."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from http import HTTPStatus
from itertools import count

from dashboard.exports.change_json import compact
from dashboard.machines.media_downloads import DownloadOpening
from dashboard.serving.bridge import answer, begin
from dashboard.serving.room import MOST_OF_ACCOUNT, RETRY_AFTER
from dashboard.serving.wire import Receive, Scope, Send, respond, send_body, until_gone
from dashboard.serving.workers import Workers
from dashboard.views.exports import ExportOpening
from quarantine.homeserver.gateway import HomeserverError

logger = logging.getLogger(__name__)

AT_ONCE = 4
ADMISSION_EVERY = 2.0  # seconds
WRITE_TIMEOUT = 30.0  # seconds a reader may take for one piece
PIECE = 256 * 1024  # bytes


class Streams:
    """The exports of this process, its downloads, or its previews."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.workers = Workers(threads=AT_ONCE, name=name)
        self.under_way = 0
        self.accounts: dict[int, int] = {}  # whose they are, programs by their own numbers: by the number of the stream
        self.numbers = count()
        self.lock = threading.Lock()

    def close(self) -> None:
        self.workers.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.under_way >= AT_ONCE:
            text = f"{AT_ONCE} {self.name}s are running already. Try again in a moment."
            headers = {"Retry-After": str(RETRY_AFTER), "Content-Type": "application/json"}
            refused = compact({"errcode": "M_UNKNOWN", "error": text})
            await respond(send, status=HTTPStatus.SERVICE_UNAVAILABLE, text=refused, extra=headers)
            return
        number = next(self.numbers)
        self.under_way += 1
        try:
            await self.answer(scope, receive, send, number=number)
        finally:
            self.under_way -= 1
            self.accounts.pop(number, None)

    def room_for(self, number: int, account: int) -> bool:
        """Whether this stream may be the account's as well; then it is. Called in a thread, before it is on record."""
        with self.lock:
            if list(self.accounts.values()).count(account) >= MOST_OF_ACCOUNT:
                return False
            self.accounts[number] = account
            return True

    async def answer(self, scope: Scope, receive: Receive, send: Send, *, number: int) -> None:
        response = await self.workers.run(answer, scope, room_for=partial(self.room_for, number))
        await begin(response, send)
        if isinstance(response, ExportOpening | DownloadOpening):
            await self.stream(response.chunks, receive, send, may_go_on=response.may_go_on)
        else:
            await send_body(send, response.content)

    async def stream(
        self, chunks: Generator[bytes], receive: Receive, send: Send, *, may_go_on: Callable[[], bool]
    ) -> None:
        """Until the end, or until the client leaves, takes nothing for WRITE_TIMEOUT or may no longer have it.

        Then the connection is freed at once.
        """
        gone = asyncio.create_task(until_gone(receive))
        check_at = time.monotonic() + ADMISSION_EVERY
        try:
            while not gone.done() and (chunk := await self.workers.run(next, chunks, b"")):
                for begin_at in range(0, len(chunk), PIECE):
                    async with asyncio.timeout(WRITE_TIMEOUT):
                        await send_body(send, chunk[begin_at : begin_at + PIECE], more=True)
                if time.monotonic() > check_at:
                    check_at = time.monotonic() + ADMISSION_EVERY
                    if not await self.workers.run(may_go_on):
                        logger.warning("A stream (%s) was broken off: its reader was signed out.", self.name)
                        return
            if not gone.done():
                await send_body(send, b"")
        except TimeoutError:
            # Without its last chunk: the reader must not take what it has for the whole.
            logger.warning("A stream (%s) was broken off: its reader took nothing for %g s.", self.name, WRITE_TIMEOUT)
        except HomeserverError as error:
            logger.warning("A stream (%s) was broken off: %s", self.name, error)
        finally:
            gone.cancel()
            await self.workers.run(chunks.close)
