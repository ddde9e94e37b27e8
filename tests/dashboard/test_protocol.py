"""What a client may send, and how slowly, before its request is whole. Over real sockets; no Django behind them."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from uvicorn.server import ServerState

from dashboard.serving import protocol
from dashboard.serving.protocol import MOST_HELD, BoundedProtocol, Gathering

SOON = 0.3  # what stands for HEAD_TIMEOUT here
PATIENCE = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def answer(scope, receive, send):
    """Waits for the body, then a little longer than a head may take."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(2 * SOON)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def connected(*, keep_alive=PATIENCE):
    config = uvicorn.Config(answer, lifespan="off", log_config=None, timeout_keep_alive=keep_alive)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: BoundedProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.close()
        server.close()


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", SOON)


@pytest.mark.parametrize(
    "endless", [b"GET /" + b"a" * 4096, REQUEST + b"X: " + b"a" * 4096, REQUEST + b"X: y\r\n" * 999]
)
def test_a_head_without_end_is_refused(endless, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT", PATIENCE)
    piece = endless[-2048:] if endless.endswith(b"a") else b"X: y\r\n" * 340

    async def ask():
        async with connected() as (reader, writer):
            # The connection may be gone before all is sent, and its answer with it.
            with suppress(ConnectionError):
                writer.write(endless)
                for _ in range(protocol.MOST_HEAD // len(piece) + 1):
                    writer.write(piece)
                    await writer.drain()
                return await reader.read()
            return b""

    told = asyncio.run(ask())  # it ends, long before its time is up

    assert not told or told.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("sent", [b"GET /", REQUEST])
def test_a_head_that_does_not_come_ends_the_connection(sent):
    async def ask():
        async with connected() as (reader, writer):
            writer.write(sent)
            return await reader.read()

    assert asyncio.run(ask()) == b""


def test_a_connection_without_a_request_ends():
    async def ask():
        async with connected(keep_alive=SOON) as (reader, _):
            return await reader.read()

    assert asyncio.run(ask()) == b""


def test_after_an_answer_blanks_do_not_hold_the_connection():
    async def ask():
        async with connected() as (reader, writer):
            writer.write(REQUEST + b"\r\n")
            first = await reader.readuntil(b"ok")
            writer.write(b"\r\n")
            return first, await reader.read()

    first, rest = asyncio.run(ask())

    assert first.startswith(b"HTTP/1.1 200 ")
    assert rest == b""


@pytest.mark.parametrize("second", [b"Transfer-Encoding: chunked", b"Content-Length: 6"])
def test_a_body_of_two_lengths_is_refused(second):
    """Else a proxy and this server might each see another request."""

    async def ask():
        async with connected() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + second + b"\r\n\r\n0\r\n\r\n")
            return await reader.read()

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 400 ")


def test_bodies_and_answers_may_take_longer():
    async def ask():
        async with connected() as (reader, writer):
            answers = []
            for _ in range(2):  # on one connection
                writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
                await asyncio.sleep(1.5 * SOON)
                writer.write(b"b")
                answers.append(await reader.readuntil(b"ok"))
            return answers

    assert all(one.startswith(b"HTTP/1.1 200 ") for one in asyncio.run(ask()))


class Written(asyncio.Transport):
    """What was sent, each time."""

    def __init__(self):
        super().__init__()
        self.times = []
        self.closed = False

    def write(self, data):
        self.times.append([data])

    def writelines(self, pieces):
        self.times.append(list(pieces))

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


def test_an_answers_head_goes_with_what_follows_at_once_and_else_by_itself():
    sent = Written()

    async def answer():
        transport = Gathering(sent, asyncio.get_running_loop())
        transport.write(b"head")
        transport.write(b"body")
        transport.write(b"of a stream")
        await asyncio.sleep(0)
        transport.write(b"x" * (MOST_HELD + 1))
        transport.write(b"last")
        transport.close()

    asyncio.run(answer())

    assert sent.times == [[b"head", b"body"], [b"of a stream"], [b"x" * (MOST_HELD + 1)], [b"last"]]
    assert sent.closed
