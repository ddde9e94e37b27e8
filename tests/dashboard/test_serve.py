"""manage.py serve: what it refuses, whom it believes, and how it ends."""

import gzip
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from quarantine import ledger
from quarantine.models import Ledger, Role
from tests.dashboard.test_live import append, cookie_of, ids
from tests.environment import ROOT
from tests.factories import make_staff
from tests.quarantine.followers import eventually
from tests.servers import PATIENCE, running_server

FAILED = "failed sign-in as 'nobody'"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


@pytest.fixture(autouse=True)
def _bound(transactional_db):
    ledger.bind()


def refusal(env, *options):
    """What the command says when it does not start."""
    command = [sys.executable, "manage.py", "serve", "--port", "0", *options]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.removeprefix("CommandError: ").strip()


# --- What it refuses ----------------------------------------------------------------------


def test_a_port_that_is_taken_is_named_with_its_holder(process_env):
    with running_server(process_env()) as server:
        said = refusal(process_env(), "--port", str(server.port))

        assert re.match(rf"Port {server.port} is in use, by process {server.process.pid} \(.*manage.py serve", said)


def test_a_database_without_its_migrations_is_refused(process_env, tmp_path):
    env = process_env(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert refusal(env) == "The database is not up to date. Run: manage.py prepare"


def test_a_ledger_that_is_not_bound_is_refused(process_env):
    Ledger.objects.all().delete()

    assert "Run: manage.py prepare" in refusal(process_env())


@pytest.mark.postgresql
def test_a_database_that_is_away_is_refused_in_a_sentence(process_env, free_port):
    env = process_env(DATABASE_URL=f"postgresql://nobody:secret@127.0.0.1:{free_port}/none")

    said = refusal(env)

    assert said.startswith("The database can't be reached: ")
    assert "secret" not in said


def test_static_files_that_are_not_collected_are_refused(process_env, tmp_path):
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--database", "homeserver", "-v0"],
        cwd=ROOT, env=process_env(DATA_DIR=str(tmp_path)), check=True,
    )  # fmt: skip

    said = refusal(process_env(DATA_DIR=str(tmp_path)))

    assert said == "The static files are not collected, or have changed since. Run: manage.py prepare"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_without_https_it_listens_on_loopback_alone(process_env, host):
    said = refusal(process_env(HTTPS="off"), "--host", host)

    assert said.startswith(f"HTTPS is off, so this listens on loopback addresses only, not on {host}")


def test_an_address_of_another_machine_is_refused(process_env):
    said = refusal(process_env(HTTPS="on"), "--host", "192.0.2.1")

    assert said == "Can't listen on 192.0.2.1, port 0: Cannot assign requested address."


@pytest.fixture
def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


# --- How it ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "workers"), [(signal.SIGTERM, "1"), (signal.SIGINT, "1"), (signal.SIGTERM, "2")], ids=str
)
def test_it_ends_in_order_with_open_streams(process_env, how, workers):
    cookie = cookie_of(make_staff("anna"))
    with running_server(process_env(), "--workers", workers) as server:
        streams = [server.stream(cookie=cookie) for _ in range(4)]
        append()
        assert [ids(stream.take(1)) for stream in streams] == [[1]] * 4
        began = time.monotonic()

        status = server.stop(how)

        assert status == 0
        assert time.monotonic() - began < 5
        assert [list(stream) for stream in streams] == [[]] * 4  # ended by the server, not torn
        for stream in streams:
            stream.close()
    assert server.logged("Traceback") == []
    assert server.logged("Exception") == []


def test_it_ends_at_once_when_it_has_hardly_begun(process_env):
    command = [sys.executable, "manage.py", "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=process_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)

        assert process.wait(PATIENCE) == 0


# --- Whom it believes ---------------------------------------------------------------------


def address_seen(server, forwarded):
    """The client's address as the log of failed sign-ins has it."""
    form = server.request("GET", "/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.body.decode())[1]
    cookie = form.getheader("Set-Cookie").partition(";")[0]
    before = len(server.logged(FAILED))
    server.request(
        "POST", "/login/",
        headers={"Cookie": cookie, "X-Forwarded-For": forwarded, "Content-Type": "application/x-www-form-urlencoded"},
        body=f"csrfmiddlewaretoken={token}&username=nobody&password=nothing",
    )  # fmt: skip
    eventually(lambda: len(server.logged(FAILED)) > before)  # the log is read by a thread, which may be late
    return server.logged(FAILED)[-1].rpartition(" from ")[2]


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),  # what comes first is whatever the client made up
        ("6.6.6.6, 203.0.113.9, 127.0.0.2", "203.0.113.9"),
        ("2001:db8::7", "2001:db8::7"),
    ],
)
def test_a_proxy_here_is_believed(server, forwarded, seen):
    assert address_seen(server, forwarded) == seen


@pytest.mark.parametrize(
    ("trusted", "forwarded", "seen"),
    [
        ("127.0.0.1, 10.0.0.0/8", "6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("192.0.2.0/24", "6.6.6.6", "127.0.0.1"),
    ],
)
def test_the_address_is_the_last_one_no_trusted_proxy_has(process_env, trusted, forwarded, seen):
    with running_server(process_env(TRUSTED_PROXIES=trusted)) as server:
        assert address_seen(server, forwarded) == seen


@pytest.mark.parametrize(("trusted", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 301)])
def test_only_a_trusted_proxy_says_that_it_was_https(process_env, trusted, status):
    with running_server(process_env(HTTPS="on", TRUSTED_PROXIES=trusted)) as server:
        answers = {
            path: server.request("GET", path, headers={"X-Forwarded-Proto": "https"})
            for path in ("/login/", "/changes/live")
        }
        plain = server.request("GET", "/login/")
        health = server.request("GET", "/healthz"), server.request("GET", "/readyz")

    assert answers["/login/"].status == status
    assert answers["/changes/live"].status == (401 if status == 200 else 301)
    assert plain.status == 301
    assert [answer.status for answer in health] == [200, 200]


# --- Requests -----------------------------------------------------------------------------


def test_clients_that_send_slowly_stop_nobody_else(server):
    head = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nusername="
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(30)]
    for client in slow:
        client.sendall(head)

    assert server.request("GET", "/login/").status == 200
    for client in slow:
        client.close()


def test_a_body_larger_than_any_form_is_refused_in_a_sentence(server):
    """Once it was all sent: a browser listens no sooner."""
    answer = server.request("POST", "/login/", body=b"x" * 8_000_000)

    assert answer.status == 413
    assert b"This is more than one form can carry" in answer.body
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert server.request("POST", "/login/", body=b"x" * 1_000_000).status == 403  # read, and no form of ours


def test_a_header_with_underscores_is_not_taken_for_another(server):
    answer = server.request("GET", "/", headers={"HX_Request": "true"})

    assert answer.status == 302  # to the sign-in page, by a redirect for people


def test_pages_are_packed_and_streams_are_not(server):
    staff = make_staff("anna", role=Role.ADMIN)
    asked = {"Accept-Encoding": "gzip, br", "Cookie": cookie_of(staff)}
    append(3)

    page, export = server.request("GET", "/", headers=asked), server.request("GET", "/changes.csv", headers=asked)

    assert (page.headers["Content-Encoding"], page.headers["Vary"].count("Accept-Encoding")) == ("gzip", 1)
    assert gzip.decompress(page.body).decode().count('class="row"') == 3
    assert len(page.body) < len(gzip.decompress(page.body)) / 4
    assert (export.status, export.headers["Content-Encoding"], export.body.count(b"\n")) == (200, None, 4)
    with server.stream(cookie=cookie_of(staff), headers={"Accept-Encoding": "gzip"}) as stream:
        append()
        assert ids(stream.take(1)) == [4]
    assert "Content-Encoding" not in server.request("GET", "/", headers={"Cookie": cookie_of(staff)}).headers


# --- Health -------------------------------------------------------------------------------


def test_without_its_database_it_is_healthy_but_not_ready(process_env, tmp_path):
    file = tmp_path / "ledger.sqlite3"
    env = process_env(DATABASE_URL=f"sqlite:///{file}")
    subprocess.run([sys.executable, "manage.py", "prepare"], cwd=ROOT, env=env, check=True, capture_output=True)
    with running_server(env) as server:
        assert server.request("GET", "/readyz").body == b"ready\n"
        file.rename(tmp_path / "gone")

        unready = server.request("GET", "/readyz", headers={"Cookie": "quarantine_session=whoever"})
        healthy = server.request("GET", "/healthz", headers={"Host": "10.0.0.7"})

    assert (unready.status, unready.body) == (503, b"not ready\n")
    assert (healthy.status, healthy.body) == (200, b"ok\n")


def test_a_ledger_of_another_homeserver_is_not_ready(client):
    Ledger.objects.update(homeserver_name="elsewhere.example")

    assert client.get("/readyz").status_code == 503


@pytest.mark.postgresql
def test_how_far_the_ledger_is_only_staff_are_told(client):
    append(3)
    Ledger.objects.update(feed_position=17, feed_read_at=timezone.now() - timedelta(seconds=90))
    stranger = client.get("/readyz")
    client.force_login(make_staff("anna", role=Role.VIEWER))
    staff = client.get("/readyz").json()

    assert stranger.content == b"ready\n"
    assert 90 <= staff.pop("feed_lag_seconds") < 120
    assert staff.pop("feed_read_at").endswith("Z")
    assert staff == {"ready": True, "head": 3, "feed_position": 17}
