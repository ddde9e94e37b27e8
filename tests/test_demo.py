"""make demo, as a process: it gets ready, moves, lets people in, and leaves nothing running."""

import http.client
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboard.demo.environment import DemoError, arguments, environment
from tests.environment import ROOT, process_environ

PATIENCE = 180  # seconds: a busy machine is slow, not wrong


@dataclass
class Demo:
    process: subprocess.Popen
    data_dir: Path
    output: str

    @property
    def port(self) -> int:
        return int(re.search(r"http://127\.0\.0\.1:(\d+)", self.output)[1])

    def children(self) -> list[int]:
        """Every process it has started."""
        table = subprocess.run(["ps", "-eo", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
        pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
        return [pid for pid, parent in pairs if parent == self.process.pid]

    def head(self) -> int:
        with closing(sqlite3.connect(f"file:{self.data_dir}/ledger.sqlite3?mode=ro", uri=True)) as database:
            return database.execute("SELECT head FROM quarantine_ledger").fetchone()[0]

    def status(self, path="/healthz") -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status


def environ(data_dir, **extra):
    """As a newcomer has it: no setting of ours but where the data goes."""
    bare = process_environ({"DATA_DIR": str(data_dir), "HOST": "", "PORT": "0"} | extra)
    return {name: value for name, value in bare.items() if name not in {"SECRET_KEY", "HTTPS"}}


def command(*options):
    return [sys.executable, "manage.py", "demo", *options]


def beside_it(data_dir, *words):
    """What a command prints in another terminal, as README.md says it."""
    [line] = re.findall(r"`export (SECRET_KEY=.+? HTTPS=off)`", (ROOT / "README.md").read_text())
    typed = f"export {line.replace('var/', f'{data_dir}/')}; {sys.executable} manage.py {' '.join(words)}"
    env = environ(data_dir)
    run = subprocess.run(["sh", "-c", typed], check=False, cwd=ROOT, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@contextmanager
def running(data_dir, **extra):
    process = subprocess.Popen(
        command(), cwd=ROOT, env=environ(data_dir, **extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C ends it" in line:
                break
        assert "Ctrl-C ends it" in lines[-1], "".join(lines)
        yield Demo(process, data_dir, "".join(lines))
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def refused(data_dir, **extra) -> str:
    done = subprocess.run(
        command(),
        check=False,
        cwd=ROOT,
        env=environ(data_dir, **extra),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    return done.stderr


def wait_until(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def sign_in(demo, name, password) -> int:
    """What the server answers to this attempt: a redirect if it is right."""
    with closing(http.client.HTTPConnection("127.0.0.1", demo.port, timeout=30)) as connection:
        connection.request("GET", "/login/")
        page = connection.getresponse()
        cookies = [value.partition(";")[0] for name, value in page.getheaders() if name.lower() == "set-cookie"]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())[1]
        form = f"csrfmiddlewaretoken={token}&username={name}&password={password}"
        headers = {"Cookie": "; ".join(cookies), "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login/", form, headers)
        return connection.getresponse().status


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


# --- The process --------------------------------------------------------------------------


def test_it_gets_ready_moves_lets_people_in_and_ends(data_dir):
    with running(data_dir) as demo:
        children = demo.children()
        first = demo.head()

        assert demo.status() == 200
        assert [sign_in(demo, name, "demo") for name in ("admin", "lead", "moderator", "viewer", "auditor")] == [
            302
        ] * 5
        assert sign_in(demo, "admin", "guess") == 422
        assert first >= 5_000
        wait_until(lambda: demo.head() > first + 1)
        assert len(children) == 3
        assert stat.S_IMODE((data_dir / "demo-secret").stat().st_mode) == 0o600
        assert re.search(r"^ledger: 5,\d+ rows fit\.$", beside_it(data_dir, "verify"), re.MULTILINE)

    assert demo.process.returncode == 0
    assert not any(is_running(pid) for pid in children)


def test_a_second_one_says_who_holds_the_port_and_touches_nothing(data_dir, tmp_path):
    with running(data_dir) as demo:
        said = refused(tmp_path / "other", PORT=str(demo.port))
        same_data = refused(data_dir)

        assert any(f"process {pid} " in said for pid in demo.children())
        assert f"Port {demo.port} is in use" in said
        assert [file.name for file in (tmp_path / "other").iterdir()] == ["demo-secret"]
        assert f"Another demo runs on this data ({data_dir})" in same_data
        assert demo.status() == 200


def test_another_password_is_applied_and_a_killed_parent_takes_its_children_along(data_dir):
    with running(data_dir, DEMO_PASSWORD="correct-horse") as demo:
        children = demo.children()

        assert "as in DEMO_PASSWORD" in demo.output
        assert "correct-horse" not in demo.output
        assert sign_in(demo, "viewer", "demo") == 422
        assert sign_in(demo, "viewer", "correct-horse") == 302

        demo.process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in children))


def test_when_one_child_dies_it_says_so_and_ends_the_others(data_dir):
    with running(data_dir) as demo:
        children = demo.children()
        follower = next(pid for pid in children if b"follow" in Path(f"/proc/{pid}/cmdline").read_bytes())

        os.kill(follower, signal.SIGKILL)
        said = demo.process.communicate(timeout=PATIENCE)[0]

    assert "`follow` has ended by itself (exit code -9)" in said
    assert demo.process.returncode == 1
    assert not any(is_running(pid) for pid in children)


def test_beyond_loopback_it_wants_a_password_of_its_own(tmp_path):
    assert "Set DEMO_PASSWORD" in refused(tmp_path, HOST="0.0.0.0")
    assert "Set DEMO_PASSWORD" in refused(tmp_path, HOST="0.0.0.0", DEMO_PASSWORD="demo")
    assert not (tmp_path / "ledger.sqlite3").exists()


def test_a_port_that_is_none_is_refused(tmp_path):
    assert "--port goes from 0 to 65535" in refused(tmp_path, PORT="70000")


@pytest.mark.parametrize("name", ["HOMESERVER_DATABASE_URL", "HOMESERVER_URL"])
def test_a_real_homeserver_is_refused_before_anything_is_made(tmp_path, name):
    said = refused(tmp_path / "data", **{name: "https://synapse.example"})

    assert f"manage.py: {name} is set, so a real homeserver is meant." in said
    assert not (tmp_path / "data").exists()


# --- The environment it makes -------------------------------------------------------------


def test_the_secret_is_made_once(tmp_path):
    first = environment({"DATA_DIR": str(tmp_path)})
    second = environment({"DATA_DIR": str(tmp_path)})

    assert len(first["SECRET_KEY"]) >= 50
    assert first == second
    assert [file.name for file in tmp_path.iterdir()] == ["demo-secret"]


def test_a_secret_others_could_read_is_closed(tmp_path):
    (tmp_path / "demo-secret").write_text("x" * 60)
    (tmp_path / "demo-secret").chmod(0o644)

    environment({"DATA_DIR": str(tmp_path)})

    assert stat.S_IMODE((tmp_path / "demo-secret").stat().st_mode) == 0o600


def test_what_somebody_set_is_kept(tmp_path):
    chosen = {"DATA_DIR": str(tmp_path / "none"), "SECRET_KEY": "s", "HTTPS": "on", "HOST": "::", "ALLOWED_HOSTS": "a"}

    assert environment(chosen) == {}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("host", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_https_is_off_on_this_machine_alone(host):
    assert environment({"SECRET_KEY": "s", "HOST": host}) == {"HTTPS": "off"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.com"])
def test_https_is_on_beyond(host):
    assert environment({"SECRET_KEY": "s", "HOST": host})["HTTPS"] == "on"


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(DemoError, match="can't be used"):
        environment({"DATA_DIR": str(tmp_path / "file" / "below")})


def test_host_and_port_are_honoured():
    assert arguments({"HOST": "::1", "PORT": " 9000 "}) == ["--host=::1", "--port=9000"]
    assert arguments({"HOST": "", "PATH": "/bin"}) == []
