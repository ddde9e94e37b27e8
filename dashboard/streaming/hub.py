"""The live view's hub: one per process. However many people watch, each move of the ledger is read
and rendered once for each distinct view and language, and the same bytes go to everyone watching it.

A view keeps a ring of its newest events; a reader is a position in that ring and nothing more. So a
slow reader costs no memory: it catches up from the ring, or is told with one `reset` that it fell out.
Everything here runs in the event loop, but for what `Workers` do.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, connection

from dashboard import heads
from dashboard.events import TooFarBehindError, read_events, signed_out
from dashboard.serving.workers import Workers
from dashboard.signing_in.admission import Admission, still_admitted
from dashboard.streaming.streams import Reader, View

logger = logging.getLogger(__name__)

TICK = 1.0
ADMISSIONS_EVERY = 2.0
BREATH = 0.02  # between two looks at the head: bounds the work in a storm of changes
LONG_BREATH = 2.0  # after a burst too big to show: its readers have been told to load the page again
MOST_VIEWS = 20  # distinct ones of one session: each is read again whenever anything happens
LINGER = 10.0  # watching goes on this long without readers: people go from page to page
BLIND_AFTER = 10.0


class Hub:
    """All views of this process, and the tasks that keep them current while anybody watches."""

    def __init__(self) -> None:
        self.looking = Workers(threads=1, name="live-head")
        self.reading = Workers(threads=2, name="live-view")
        self.opening = Workers(threads=2, name="live-opening")  # a crowd coming back must not delay who is here
        self.views: dict[tuple[str, str], View] = {}  # by query and language
        self.head = 0
        self.stirred = asyncio.Event()
        self.watching: asyncio.Task[None] | None = None
        self.trouble = ""  # what the database said last when it could not be read
        self.closing = False

    @property
    def readers(self) -> list[Reader]:
        return [reader for view in self.views.values() for reader in view.readers]

    # --- Readers come and go --------------------------------------------------------------

    def has_room(self, *, query: str, admission: Admission, language: str = settings.LANGUAGE_CODE) -> bool:
        """Whether this session may open this view too."""
        if (query, language) in self.views:
            return True
        watched = {reader.view.key for reader in self.readers if reader.admission == admission}
        return len(watched) < MOST_VIEWS

    def join(
        self, *, query: str, position: int, admission: Admission, language: str = settings.LANGUAGE_CODE
    ) -> Reader:
        """A new reader of a view, who has everything up to this position, which was the head a moment ago."""
        if self.watching is None:
            self.watching = self.start(self.watch())
        view = self.views.get((query, language))
        if view is None:
            view = self.views[query, language] = View(query=query, position=position, language=language)
            view.task = self.start(self.follow(view))
        reader = Reader(view=view, position=position, admission=admission)
        view.readers.add(reader)
        self.stirred.set()
        return reader

    def leave(self, reader: Reader) -> None:
        view = reader.view
        view.readers.discard(reader)
        if not view.readers:
            self.forget(view)
        if not self.views:
            asyncio.get_running_loop().call_later(LINGER, self.rest)

    def rest(self) -> None:
        """Stop watching, if still nobody is there."""
        if not self.views and self.watching:
            self.watching.cancel()
            self.watching = None

    def forget(self, view: View) -> None:
        """End its streams, and have whoever comes next begin anew."""
        for reader in view.readers:
            reader.end()
        if self.views.get(view.key) is view:
            del self.views[view.key]
        view.stop()

    def forget_views(self) -> None:
        for view in list(self.views.values()):
            self.forget(view)

    def close_streams(self) -> None:
        """End every stream and open no more: the process is about to stop."""
        self.closing = True
        self.forget_views()

    def close(self) -> None:
        """Let go of threads and database connections; the last thing done to a hub."""
        self.close_streams()
        if self.watching:
            self.watching.cancel()
        for workers in (self.looking, self.reading, self.opening):
            workers.close()

    # --- What runs while anybody watches --------------------------------------------------

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task[None]) -> None:
        """A task that fails takes the streams along: no page may look live when nobody watches for it."""
        if task.cancelled() or not (error := task.exception()):
            return
        logger.error("The live view failed; its streams end, and are opened again by the pages.", exc_info=error)
        self.forget_views()
        if task is self.watching:
            self.watching = None

    async def watch(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.look_out())
            group.create_task(self.tend())
            group.create_task(self.guard())
            if connection.vendor == "postgresql":
                group.create_task(heads.listen(self.stirred.set))

    async def look_out(self) -> None:
        """Read the head whenever something stirs, and now and then anyway."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(heads.poll_interval()):
                    await self.stirred.wait()
            self.stirred.clear()
            reached = {view: view.reached for view in self.views.values()}
            try:
                self.moved(await self.looking.run(heads.read_head), reached=reached)
            except DatabaseError as error:
                self.trouble = str(error).strip()
            await asyncio.sleep(BREATH)

    def moved(self, head: int, *, reached: dict[View, int]) -> None:
        """Note the head. Below what had been reached before it was read, the ledger was restored from a backup."""
        self.head = head
        for view, position in reached.items():
            if position > head:
                logger.warning("The ledger went back from %d to %d; a live view begins anew.", position, head)
                self.forget(view)
        for view in self.views.values():
            view.stirred.set()

    async def follow(self, view: View) -> None:
        """Keep one view's ring up to the head."""
        while True:
            await view.stirred.wait()
            view.stirred.clear()
            head = self.head
            try:
                if head > view.position:
                    reading = self.reading.run(
                        read_events, view.query, after=view.position, upto=head, language=view.language
                    )
                    view.take(await reading, upto=head)
            except TooFarBehindError:
                view.skip(upto=head)
                await asyncio.sleep(LONG_BREATH)
            except DatabaseError as error:
                self.trouble = str(error).strip()
                await asyncio.sleep(TICK)
                continue
            view.current_at = time.monotonic()

    async def tend(self) -> None:
        """Heartbeats; and no page may look live when its view could not be read for long, whatever the reason."""
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            for view in list(self.views.values()):
                if now - view.current_at > BLIND_AFTER:
                    why = self.trouble or "no answer"
                    logger.warning("The ledger could not be read for %d s, a live view ends: %s", BLIND_AFTER, why)
                    self.forget(view)
            for reader in self.readers:
                reader.tend(now)

    async def guard(self) -> None:
        """End the streams of those who may no longer read."""
        while True:
            await asyncio.sleep(ADMISSIONS_EVERY)
            readers = self.readers
            try:
                admitted = await self.looking.run(still_admitted, {reader.admission for reader in readers})
            except DatabaseError as error:
                self.trouble = str(error).strip()
                continue
            for reader in readers:
                if reader.admission not in admitted:
                    reader.end(signed_out(reader.position))
