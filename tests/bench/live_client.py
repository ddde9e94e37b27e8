"""Many readers who wait for changes; a process of its own. Says "ready", then one JSON object: who saw which position when.

python -m tests.bench.live_client watch|poll PORT COOKIE READERS HEAD LAST

`watch`: event streams. `poll`: the page, every 2 s. It ends when all have seen LAST, or 60 s after "go" on its input.
Times are those of time.monotonic(), which is one clock for all processes of a Linux machine.
"""

import asyncio
import json
import re
import resource
import sys
import time

import uvloop

SEEN = {"watch": re.compile(rb"\nid: (\d+)\n"), "poll": re.compile(rb'data-position="(\d+)"')}
PATHS = {"watch": "/changes/live", "poll": "/"}
OPENING, EVERY, PATIENCE = 20, 2.0, 60  # at once; seconds; seconds


class Crowd:
    def __init__(self, how: str, port: str, cookie: str, *numbers: str) -> None:
        self.how, self.port = how, int(port)
        self.readers, self.head, self.last = map(int, numbers)
        self.request = f"GET {PATHS[how]} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode()
        self.times: dict[int, list[float]] = {}
        self.waiting = self.readers
        self.done = asyncio.Event()
        self.opening = asyncio.Semaphore(OPENING)
        self.open = asyncio.Semaphore(0)
        self.all_there = asyncio.Event()

    def seen(self, before: int, position: int) -> None:
        now = time.monotonic()
        for each in range(before + 1, position + 1):
            self.times.setdefault(each, []).append(now)
        if before < self.last <= position:
            self.waiting -= 1
            if not self.waiting:
                self.done.set()

    async def ask(self, reader, writer) -> int:
        """The length of what comes; 0 where it comes in chunks, without an end."""
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        found = re.search(rb"content-length: (\d+)", head)
        return int(found[1]) if found else 0

    async def one(self, number: int) -> None:
        async with self.opening:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
            if self.how == "watch":
                await self.ask(reader, writer)
        self.open.release()
        await (self.poll(reader, writer, number) if self.how == "poll" else self.watch(reader))

    async def watch(self, reader) -> None:
        position, tail = self.head, b""
        while data := await reader.read(2**16):
            for found in SEEN["watch"].findall(tail + data):
                if int(found) > position:
                    self.seen(position, int(found))
                    position = int(found)
            tail = data[-30:]

    async def poll(self, reader, writer, number: int) -> None:
        position = self.head
        await self.all_there.wait()  # who polls already would leave the others no way in
        await asyncio.sleep(EVERY * number / self.readers)  # not all in the same moment
        while True:
            asked = time.monotonic()
            body = await reader.readexactly(await self.ask(reader, writer))
            found = int(SEEN["poll"].search(body)[1])
            self.seen(position, found)
            position = max(position, found)
            await asyncio.sleep(max(0.0, asked + EVERY - time.monotonic()))

    async def run(self) -> None:
        tasks = [asyncio.create_task(self.one(number)) for number in range(self.readers)]
        for _ in tasks:
            await self.open.acquire()
        self.all_there.set()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.done.wait()
        except TimeoutError:
            pass
        broken = sum(task.done() for task in tasks)
        print(json.dumps({"times": self.times, "broken": broken}), flush=True)


async def main() -> None:
    await Crowd(*sys.argv[1:]).run()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(main())
