"""What a Synapse in trouble answers, and what is made of it. A small HTTP server plays the part; the client is real."""

import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import trustme

from quarantine.homeserver.gateway import HomeserverError, SetupError, UnavailableError
from quarantine.homeserver.synapse import SynapseHomeserver
from quarantine.mxc import Mxc

MEDIA = Mxc("remote.example", "abc")


class Script(BaseHTTPRequestHandler):
    """Gives the server's answers in turn, the last one for ever; None breaks the connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {self.path}")
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            self.close_connection = True
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name http.server looks for

    def log_message(self, *_):
        pass


def says(status, told=None, **headers):
    body = told if isinstance(told, bytes) else json.dumps({} if told is None else told).encode()
    return status, body, headers


@contextmanager
def synapse(*answers, tls=None):
    """A client of such a server; `asked` and `pauses` say what happened."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # the client hangs up, and should
    server.asked, server.answers = [], list(answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    pauses = []
    url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    client = SynapseHomeserver(url, "secret", pause=pauses.append, timeout=httpx.Timeout(0.5))
    client.asked, client.pauses = server.asked, pauses
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


def refusal(client, call=lambda client: client.quarantine(MEDIA)):
    with pytest.raises(HomeserverError) as caught:
        call(client)
    return caught.value


def test_a_busy_synapse_is_asked_again_after_the_pause_it_wants():
    busy = says(429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 4000})
    with synapse(busy, says(503, **{"Retry-After": "3"}), says(200)) as client:
        client.quarantine(MEDIA)

    assert len(client.asked) == 3
    assert client.pauses == [4.0, 3.0]


def test_without_a_wish_the_pauses_grow_and_differ():
    with synapse(says(503)) as client:
        assert refusal(client).retry

    assert len(client.asked) == 4
    assert [0.15 <= client.pauses[0] <= 0.3, 0.3 <= client.pauses[1] <= 0.6, 0.6 <= client.pauses[2] <= 1.2] == [
        True
    ] * 3
    assert len(set(client.pauses)) == 3


def test_who_is_asked_to_wait_long_lets_go():
    with synapse(says(429, **{"Retry-After": "120"})) as client:
        assert refusal(client).after == 120

    assert len(client.asked) == 1


@pytest.mark.parametrize(
    "answer", [None, says(502, b"<html>"), says(504, b""), says(500, {"error": "Internal server error"})]
)
def test_what_may_have_been_done_is_not_repeated(answer):
    with synapse(answer) as client:
        assert isinstance(refusal(client), UnavailableError)
        assert len(client.asked) == 1
        refusal(client, lambda client: client.media(MEDIA))  # a question may be

    assert len(client.asked) == 5


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (says(401, {"errcode": "M_UNKNOWN_TOKEN"}), "Set a new HOMESERVER_TOKEN"),
        (says(403, {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}), "not of a server admin"),
        (says(404, {"errcode": "M_UNRECOGNIZED", "error": "Unrecognized request"}), "main process"),
        (says(404, b"<html>nginx</html>"), "main process"),
        (says(301, b"", Location="https://elsewhere.example/"), "main process"),
        (says(200, b"<html>Welcome!</html>"), "main process"),
        (says(200, b"[" * 100_000), "main process"),
        (says(200, b"[]"), "main process"),
        (says(400, {"error": "x\u202e\n" * 999}), "The homeserver refused: 'x\\u202e\\n"),
    ],
)
def test_a_refusal_is_a_sentence_that_says_what_to_do(answer, sentence):
    with synapse(answer) as client:
        error = refusal(client)

    assert sentence in str(error)
    assert str(error).isprintable()
    assert not error.retry
    assert len(client.asked) == 1


def test_a_server_that_is_not_there_and_one_that_is_slow_are_waited_for():
    gone = SynapseHomeserver("http://127.0.0.1:9", "secret", pause=lambda _: None)
    assert "can't be reached" in str(refusal(gone))
    with synapse(says(200, b"", **{"Content-Length": "9"})) as client:
        error = refusal(client)
    assert (error.retry, "too long" in str(error), len(client.asked)) == (True, True, 1)


def test_a_certificate_nobody_vouches_for_is_refused():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    with synapse(says(200), tls=context) as client:
        error = refusal(client)

    assert "is not valid" in str(error)
    assert error.fatal
    assert client.asked == []  # the token was never sent


def test_a_server_without_tls_is_told_from_one_that_is_away():
    with synapse(says(200)) as client:
        client.url = client.url.replace("http:", "https:")
        error = refusal(client)

    assert "Is it http://?" in str(error)
    assert error.fatal


def test_strangers_names_stay_in_their_place_in_the_address():
    odd = Mxc("evil.example", "../../users/@x?y#z%2f\r\nHost: a b\u202e")
    with synapse(says(200)) as client:
        client.quarantine(odd)
        client.quarantine_user("@a/b?c:matrix.example")
        client.quarantine_room("!r/../x#:matrix.example")
        for media_id in ("", ".", "..", "\ufffd"):
            refusal(client, lambda client, media_id=media_id: client.release(Mxc("evil.example", media_id)))

    assert [line.count("/") for line in client.asked] == [7, 7, 7]
    assert client.asked[0].startswith(
        "POST /_synapse/admin/v1/media/quarantine/evil.example/..%2F..%2Fusers%2F%40x%3Fy"
    )


@pytest.mark.parametrize("told", [{"num_quarantined": "many"}, {"num_quarantined": None}, {}])
def test_nonsense_in_an_answer_is_no_crash(told):
    with synapse(
        says(200, told | {"local": ["nonsense", 7, "mxc://a.example/b"], "remote": 5, "media_info": []})
    ) as client:
        assert client.quarantine_user("@a:b.example") == 0
        assert client.room_media("!r:b.example") == [Mxc("a.example", "b")]
        assert isinstance(refusal(client, lambda client: client.media(MEDIA)), SetupError)
        assert isinstance(refusal(client, lambda client: client.user_id), SetupError)


def test_one_is_true_for_a_synapse_on_sqlite():
    info = {"media_origin": None, "safe_from_quarantine": 1, "quarantined_by": None}
    with synapse(says(200, {"media_info": info})) as client:
        assert client.media(MEDIA).protected is True
