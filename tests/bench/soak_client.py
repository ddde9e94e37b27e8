"""Live readers that are thrown out and come back; a process of its own. Says "ready", then one JSON object.

python -m tests.bench.soak_client COOKIE READERS POSITION PORT...

A line on its input names the head: it ends when every reader has seen that, or after a minute and a half. Each begins after POSITION and goes on
from the last event it had, at the next server; told that it is too far behind, it reads what it missed as an export.
"""

import asyncio
import json
import re
import sys

import uvloop

EVENT = re.compile(rb"id: (\d+)\nevent: (\w+)")
POSITION = re.compile(rb'^\{"stream_id":(\d+)', re.MULTILINE)
PATIENCE, QUIET = 90, 60  # seconds: in the end; without a byte
OPENING = 20  # at once


class Crowd:
    def __init__(self, cookie: str, readers: str, position: str, *ports: str) -> None:
        self.cookie, self.ports = cookie, [int(port) for port in ports]
        self.seen = [int(position)] * int(readers)
        self.thrown_out = self.wrong = 0
        self.opening = asyncio.Semaphore(OPENING)
        self.inside = asyncio.Semaphore(0)

    async def open(self, port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with self.opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\nConnection: close\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            writer.close()
            raise ConnectionError(head)
        return reader, writer

    async def one(self, me: int) -> None:
        first = True
        for turn in range(me, sys.maxsize):
            try:
                reader, writer = await self.open(
                    self.ports[turn % len(self.ports)], f"/changes/live?since={self.seen[me]}"
                )
                if first:
                    first = False
                    self.inside.release()
                try:
                    await self.watch(me, reader)
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pass
            self.thrown_out += 1
            await asyncio.sleep(0.2)

    async def watch(self, me: int, reader: asyncio.StreamReader) -> None:
        """Until the stream ends, or says nothing, not even a heartbeat."""
        rest = b""
        while data := await asyncio.wait_for(reader.read(2**16), QUIET):
            *events, rest = (rest + data).split(b"\n\n")
            for found in filter(None, map(EVENT.search, events)):
                position, name = int(found[1]), found[2]
                if name == b"reset":
                    await self.catch_up(me, position)
                elif name == b"change":
                    self.wrong += position != self.seen[me] + 1
                    self.seen[me] = max(position, self.seen[me])

    async def catch_up(self, me: int, position: int) -> None:
        """What it was too far behind for, and no more: all readers may be, at once. The positions of an export."""
        missed = f"/changes.ndjson?cursor={position + 1}&limit={position - self.seen[me]}"
        reader, writer = await self.open(self.ports[0], missed)
        try:
            body = whole(await asyncio.wait_for(reader.read(), QUIET))
        finally:
            writer.close()
        found = {int(number) for number in POSITION.findall(body)}
        self.wrong += not found >= set(range(self.seen[me] + 1, position + 1))
        self.seen[me] = position

    async def run(self) -> None:
        tasks = [asyncio.create_task(self.one(number)) for number in range(len(self.seen))]
        for _ in tasks:
            await self.inside.acquire()
        print("ready", flush=True)
        head = int(await asyncio.to_thread(sys.stdin.readline))
        try:
            async with asyncio.timeout(PATIENCE):
                while min(self.seen) < head:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass
        print(json.dumps({"seen": self.seen, "thrown_out": self.thrown_out, "wrong": self.wrong}), flush=True)


def whole(body: bytes) -> bytes:
    """What came in chunks. Raises ConnectionError where it broke off before its end, which its reader is to notice."""
    parts, place = [], 0
    while True:
        line, found, _ = body[place : place + 20].partition(b"\r\n")
        if not found:
            raise ConnectionError("broken off")
        size, start = int(line, 16), place + len(line) + 2
        if not size:
            return b"".join(parts)
        parts.append(body[start : start + size])
        place = start + size + 2


async def main() -> None:
    await Crowd(*sys.argv[1:]).run()


if __name__ == "__main__":
    uvloop.run(main())
