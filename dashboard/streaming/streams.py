"""A view and its readers: the ring of newest events, and who has got how far in it."""

import asyncio
import time
from collections import deque

from django.conf import settings

from dashboard.events import HEARTBEAT, LIMIT, Event, reset
from dashboard.signing_in.admission import Admission

HEARTBEAT_AFTER = 15.0  # seconds of silence
STUCK_AFTER = 30.0  # a reader that takes nothing for so long is cut off
HEAD_START = 100  # positions below its first reader's that a new view begins at


class View:
    """One distinct query in one language: its newest events, and who watches it."""

    def __init__(self, *, query: str, position: int, language: str = settings.LANGUAGE_CODE) -> None:
        self.query = query
        self.language = language
        # Readers that opened at the same time may have seen a slightly older head: they must find it in the ring.
        self.position = max(0, position - HEAD_START)  # read up to here, inclusive
        self.floor = self.position  # all events above this are in the ring
        self.current_at = time.monotonic()  # when it was last known to be read up to the head
        self.ring: deque[Event] = deque()
        self.joined: tuple[int, bytes] = (-1, b"")  # a position, and all above it
        self.readers: set[Reader] = set()
        self.stirred = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.query, self.language

    @property
    def reached(self) -> int:
        """The highest position that anybody here has seen."""
        return max([self.position, *(reader.position for reader in self.readers)])

    def take(self, found: list[Event], *, upto: int) -> None:
        """Add all there is up to a position (inclusive), and wake who watches."""
        self.joined = (-1, b"")
        self.ring.extend(found)
        while len(self.ring) > LIMIT:
            self.floor = self.ring.popleft().position
        self.position = upto
        if found:
            self.wake()

    def skip(self, *, upto: int) -> None:
        """There is too much up to a position: whoever watches gets a reset."""
        self.joined = (-1, b"")
        self.ring.clear()
        self.floor = self.position = upto
        self.wake()

    def wake(self) -> None:
        for reader in self.readers:
            reader.woken.set()

    def since(self, position: int) -> bytes:
        """The events above a position, or one reset where the ring no longer reaches down to it.

        The same bytes for all who are as far: after a burst they are a few hundred kilobytes.
        """
        if position < self.floor:
            return reset(self.position)
        if self.joined[0] != position:
            self.joined = (position, self.above(position))
        return self.joined[1]

    def above(self, position: int) -> bytes:
        newer: list[bytes] = []
        for event in reversed(self.ring):
            if event.position <= position:
                break
            newer.append(event.data)
        return newer[0] if len(newer) == 1 else b"".join(reversed(newer))

    def stop(self) -> None:
        if self.task:
            self.task.cancel()


class Reader:
    """One open stream: a position in a view. Made by the task that sends."""

    def __init__(self, *, view: View, position: int, admission: Admission) -> None:
        self.view = view
        self.position = position  # everything up to here was handed out
        self.admission = admission
        self.task = asyncio.current_task()
        self.woken = asyncio.Event()
        self.woken.set()
        self.heartbeat_due = False
        self.sending = False
        self.last_sent = time.monotonic()
        self.last_words: bytes | None = None  # once set, the stream ends with them
        self.cut_off = False

    async def next_chunk(self) -> bytes | None:
        """Wait for something to send; None when the stream is to end."""
        self.sending = False
        while self.last_words is None:
            await self.woken.wait()
            self.woken.clear()
            chunk = self.view.since(self.position) or (HEARTBEAT if self.heartbeat_due else b"")
            self.position = max(self.position, self.view.position)
            self.heartbeat_due = False
            if chunk:
                return self.under_way(chunk)
        words, self.last_words = self.last_words, b""
        return self.under_way(words) if words else None

    def under_way(self, chunk: bytes) -> bytes:
        self.sending = True
        self.last_sent = time.monotonic()
        return chunk

    def end(self, last_words: bytes = b"") -> None:
        """End the stream, once what is already under way is sent."""
        if self.last_words is None:
            self.last_words = last_words
            self.woken.set()

    def tend(self, now: float) -> None:
        """Have a heartbeat sent after a long silence; cut off a reader that takes nothing."""
        silence = now - self.last_sent
        if self.sending and silence > STUCK_AFTER and self.task:
            self.cut_off = True
            self.task.cancel()
        elif not self.sending and silence > HEARTBEAT_AFTER:
            self.heartbeat_due = True
            self.woken.set()
