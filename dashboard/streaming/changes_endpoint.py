"""The changes API as native ASGI: no session, no middleware; threads only where the database is SQLite or a replica.

What Django decides before any view, it decides here too: a host that is not ours and plain HTTP go the long way.
"""

import asyncio
import logging
from functools import lru_cache
from urllib.parse import parse_qs

from django.conf import settings
from django.db import DatabaseError
from django.http.request import split_domain_port, validate_host

from dashboard.machines.bearer import uses
from dashboard.machines.changes_api import Question, answer_to
from dashboard.serving.bridge import bridge
from dashboard.serving.wire import Receive, Scope, Send, send_body, start
from dashboard.serving.workers import Workers, with_sound_connections
from dashboard.streaming import lines
from dashboard.streaming.change_reader import ChangeReader

logger = logging.getLogger(__name__)

THREADS = 4
WRITE_EVERY = 3.0  # seconds between two writes of who asked for what
WANTED = {b"authorization": "authorization", b"if-none-match": "if_none_match", b"accept-encoding": "accept_encoding"}


class ChangesEndpoint:
    """That of this process."""

    def __init__(self) -> None:
        self.workers = Workers(threads=THREADS, name="changes", checked=False)
        self.reader = ChangeReader(self.workers) if lines.possible() else None
        self.writing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not admitted(scope):
            await bridge(scope, receive, send)
            return
        question = to_question(scope)
        if self.reader is not None:
            answer = await self.reader.answer_to(question)
        else:
            answer = await self.workers.run(answer_to, question)
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        if settings.SECURE_HSTS_SECONDS:
            headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
        await start(send, status=answer.status, headers=headers.items())
        await send_body(send, answer.body)
        if self.writing is None or self.writing.done():
            self.writing = asyncio.create_task(self.write_soon())

    async def write_soon(self) -> None:
        await asyncio.sleep(WRITE_EVERY)
        await self.write()

    async def write(self) -> None:
        try:
            await self.workers.run(with_sound_connections, uses.write)
        except DatabaseError as error:
            logger.warning("what consumers did was not written: %s", error)

    async def close(self) -> None:
        if self.writing is not None:
            self.writing.cancel()
        if self.reader is not None:
            await self.reader.close()
        await self.write()
        self.workers.close()


def admitted(scope: Scope) -> bool:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return known_host(host.decode("latin-1")) and (scope["scheme"] == "https" or not settings.SECURE_SSL_REDIRECT)


@lru_cache(maxsize=64)
def known_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def to_question(scope: Scope) -> Question:
    found = {WANTED[name]: value.decode("latin-1") for name, value in scope["headers"] if name in WANTED}
    query = scope["query_string"].decode("latin-1")
    return Question(
        method=scope["method"],
        values=parse_qs(query, keep_blank_values=True, encoding="utf-8", errors="replace"),
        **found,
    )
