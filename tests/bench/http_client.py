"""Readers of a changes API, as cheap as Python has them; a process of its own, prints one JSON object.

python -m tests.bench.http_client pages ORIGIN PATH TOKEN CLIENTS SECONDS LOWEST HIGHEST
python -m tests.bench.http_client catch-up ORIGIN PATH TOKEN HEAD QUERY
"""

import asyncio
import json
import random
import socket
import sys
import time
from urllib.parse import urlsplit

import uvloop


class Connection:
    """One keep-alive connection that asks for pages."""

    def __init__(self, origin: str, path: str, token: str):
        self.host, self.port = urlsplit(origin).hostname, urlsplit(origin).port
        self.path = path
        self.tail = f" HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {token}\r\n\r\n"

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=2**22)
        return self

    async def get(self, query: str) -> bytes:
        self.writer.write(f"GET {self.path}?{query}{self.tail}".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        if b"transfer-encoding: chunked" in head:
            return await self.chunked()
        return await self.reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))

    async def chunked(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return body


async def pages(origin, path, token, *how):
    """Pages from random positions for so long, by so many clients at once."""
    clients, seconds, lowest, highest = map(int, how)
    until = time.perf_counter() + seconds
    taken = []

    async def client():
        connection = await Connection(origin, path, token).open()
        while time.perf_counter() < until:
            began = time.perf_counter()
            body = await connection.get(f"from={random.randint(lowest, highest)}")
            taken.append(time.perf_counter() - began)
            assert body.startswith(b"{")

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = len(taken) / (time.perf_counter() - began)
    taken.sort()
    return {"rate": rate, "p50_ms": taken[len(taken) // 2] * 1000, "p95_ms": taken[int(len(taken) * 0.95)] * 1000}


class Blocking(Connection):
    """The same without an event loop, for a client that waits for nothing else."""

    def open(self):
        self.socket = socket.create_connection((self.host, self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 2**16)
        return self

    def get(self, query: str) -> bytes:
        self.socket.sendall(f"GET {self.path}?{query}{self.tail}".encode())
        status, *head = iter(self.file.readline, b"\r\n")
        assert status.startswith(b"HTTP/1.1 200"), status
        told = dict(line.rstrip().lower().split(b": ", 1) for line in head)
        if told.get(b"transfer-encoding") == b"chunked":
            return b"".join(self.chunks())
        return self.file.read(int(told[b"content-length"]))

    def chunks(self):
        while size := int(self.file.readline(), 16):
            yield self.file.read(size)
            self.file.readline()
        self.file.readline()


def catch_up(origin, path, token, head, query):
    """From 0 to the head, one client, every page read as JSON."""
    connection = Blocking(origin, path, token).open()
    position, rows, requests = 0, 0, 0
    began = time.perf_counter()
    while position < int(head):
        page = json.loads(connection.get(f"from={position}{query}"))
        rows, requests = rows + len(page["changes"]), requests + 1
        assert page["next_batch"] > position
        position = page["next_batch"]
    return {"rate": rows / (time.perf_counter() - began), "rows": rows, "requests": requests}


if __name__ == "__main__":
    job, *arguments = sys.argv[1:]
    print(json.dumps(catch_up(*arguments) if job == "catch-up" else uvloop.run(pages(*arguments))))
