"""Who alerts are sent to: a web server and a mail server on 127.0.0.1, which keep what they were given."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from aiosmtpd.controller import Controller

from tests.postgresql import free_port


@dataclass
class Receiver:
    """A web server that answers with `status`, or as told by `does` with the handler."""

    port: int = 0
    status: int = 200
    does: Callable[[BaseHTTPRequestHandler], None] | None = None
    over: Event = field(default_factory=Event)
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)  # path, headers, body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=hush-hush"


def handler_for(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            receiver.received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if receiver.does is not None:
                receiver.does(self)
                return
            self.send_response(receiver.status)
            self.send_header("Location", receiver.url.replace("/hook", "/elsewhere"))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            self.do_POST()

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def web_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(receiver)) as server:
        receiver.port = server.server_port
        thread = Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield receiver
        finally:
            receiver.over.set()
            server.shutdown()
            thread.join()


def drip(receiver: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    """Headers a byte at a time, for ever: each byte in time, all of it never."""

    def does(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not receiver.over.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    return does


def hold(receiver: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda _: receiver.over.wait(60)


class Mailbox:
    """Keeps mails, or refuses them with `answer`."""

    def __init__(self):
        self.mails: list[bytes] = []
        self.answer = "250 Taken"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - the library's name
        if self.answer.startswith("250"):
            self.mails.append(envelope.content)
        return self.answer


@contextmanager
def mail_receiver() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield box, controller.port
    finally:
        controller.stop()
