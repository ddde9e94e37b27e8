"""docs/deploy.md, followed: from nothing to a sign-in with a second factor and an alert in a Matrix room.

The commands are the guide's own, read from it. DONE names every block of it, and what is done with it here.
"""

import re
import time
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import expect

from tests.browsers import running_chromium
from tests.guides import block, blocks, set_in
from tests.quarantine.followers import eventually
from tests.quarantine.own_cluster import own_cluster
from tests.synapse.conftest import RUNNING
from tests.synapse.deployed import NAME, Machine, commit, repository, require_passwords
from tests.synapse.lab import SERVER_NAME, running_lab
from tests.synapse.test_alerts import messages
from tests.synapse.worlds import SynapseWorld, fresh
from tests.terminals import program_at_terminal

GUIDE = "docs/deploy.md"
PASSWORD = "correct horse battery"
NO_SYSTEMD = "systemd is not what runs this machine; what the units say is started by Machine.service"
CHANGES = "this machine's packages and accounts are not a test's to change"
# Every block of the guide: {} if all of it is run or written as settings; lines that are left out, and why; or why all of it is.
DONE = {
    "1. Install/1": {"apt install": CHANGES, "useradd": CHANGES},
    "2. The ledger's database/1": {},
    "3. Settings/1": {},
    "3. Settings/2": {},
    "3. Settings/3": {},
    "4. The first start/1": {},
    "4. The first start/2": {},
    "4. The first start/3": {},
    "4. The first start/4": {"systemctl": NO_SYSTEMD},
    "6. Watch it/1": {},
    "7. Fail over/1": "it takes a standby: tests/quarantine/test_faults.py runs it",
    "8. Back up and restore/1": {},
    "8. Back up and restore/2": "this machine's ledger is on PostgreSQL: tests/quarantine/test_backup.py runs it",
    "9. Upgrade/1": {"systemctl": NO_SYSTEMD},
    "10. In containers/1": "there is no container engine: tests/test_containers.py goes as far as that allows",
}


def step(name, *but):
    """A block of the guide, without the lines that are left out, or that begin with `but`."""
    return block(GUIDE, name).without(*DONE[name], *but)


def test_of_every_block_it_is_said_what_is_done_with_it():
    assert [one.name for one in blocks(GUIDE)] == list(DONE)
    for one in blocks(GUIDE):
        left_out = DONE[one.name]
        if isinstance(left_out, dict):
            assert [start for start in left_out if not any(line.startswith(start) for line in one.lines)] == []


# --- The machine, step by step ------------------------------------------------------------


@pytest.fixture
def machine(tmp_path):
    """With PostgreSQL and the packages of the first line, and nothing of ours."""
    (tmp_path / "etc" / "systemd" / "system").mkdir(parents=True)
    (tmp_path / "from").mkdir()
    with own_cluster() as database:
        require_passwords(database)
        with database.cluster.connect() as db:
            db.execute("CREATE DATABASE synapse TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        machine = Machine(tmp_path, database)
        source = repository(tmp_path / "from")
        machine.given |= {"https://git.example.com/quarantine-dashboard.git": str(source), "192.0.2.10": "127.0.0.1"}
        yield machine


@pytest.fixture
def synapse(machine, tmp_path, synapse_python):
    (tmp_path / "synapse").mkdir()
    with running_lab(tmp_path / "synapse", machine.database.cluster.url_of("synapse"), synapse_python) as lab:
        RUNNING.append(lab)
        with closing(SynapseWorld(lab)) as world:
            world.admin.quarantine(world.upload(fresh()))  # before there was a dashboard
            yield world
        RUNNING.remove(lab)


def make_databases(machine):
    """The guide's, by an administrator; in Synapse's the role of docs/attach.md, to which it leads."""
    reader = block("docs/attach.md", "1. A role that can only read (PostgreSQL)/1")
    for database, sql in (("postgres", step("2. The ledger's database/1")), ("synapse", reader)):
        with machine.database.cluster.connect(database) as db:
            for statement in filter(str.strip, sql.text.split(";\n")):
                db.execute(statement)


def write_settings(machine, *, room, tokens):
    [make_key] = re.findall(r"SECRET_KEY=…\s+# (.*)", step("3. Settings/1").text)
    machine.given |= {"SECRET_KEY=…": f"SECRET_KEY={machine.shell(make_key).strip()}", ":…@": ":a%20long%20password@"}
    machine.given |= {"NAME=example.com": f"NAME={SERVER_NAME}", "!abcdefghijklmnop:example.com": room}
    for number in (1, 2):
        set_in(machine.settings, machine.here(step(f"3. Settings/{number}").text))
    machine.run(step("3. Settings/3"))
    for name, token in tokens.items():
        file = machine.settings.with_name(name)
        assert file.stat().st_mode & 0o777 == 0o640
        file.write_text(token)


def add_admin(machine):
    """By the guide's line, at a terminal, the password typed."""
    [line] = step("4. The first start/3").lines
    script = f"{machine.functions}\n{machine.here(line)}"
    with program_at_terminal("/bin/bash", "-c", script, env=machine.environ) as terminal:
        for question in ("Password: ", "Once more: "):
            terminal.wait_for(question)
            terminal.type(f"{PASSWORD}\n")
        assert terminal.end() == 0, terminal.shown


def install(machine, synapse):
    """Sections 1 to 4, up to the services; what the first start said."""
    bot = synapse.lab.register("alert-bot")
    room = synapse.lab.post_in_room([], by=bot)
    machine.synapse = f"127.0.0.1:{synapse.lab.port}"
    machine.run(step("1. Install/1"))
    make_databases(machine)
    write_settings(machine, room=room, tokens={"homeserver-token": synapse.owner.token, "alert-token": bot.token})
    machine.functions = machine.here(step("4. The first start/1").text)
    said = machine.run(step("4. The first start/2"))
    add_admin(machine)
    machine.run(step("4. The first start/4"))
    return said, lambda: messages(synapse.lab, room, by=bot)


@contextmanager
def services(machine):
    with ExitStack() as stack:
        for name in ("quarantine-web", "quarantine-follow"):
            stack.enter_context(machine.service(name))
        stack.enter_context(machine.caddy())
        eventually(lambda: answered(machine, "/healthz") == "ok\n")
        yield


def answered(machine, path, *, token=""):
    """What is at this address, by the proxy; the status where it isn't 200, None where nobody answers."""
    headers = {"Host": f"{NAME}:{machine.https}"} | ({"Authorization": f"Bearer {token}"} if token else {})
    address = f"https://127.0.0.1:{machine.https}{path}"
    with httpx.Client(verify=False, timeout=30) as client:
        try:
            answer = client.get(address, headers=headers, extensions={"sni_hostname": NAME})
        except httpx.HTTPError:
            return None
    return answer.text if answer.status_code == 200 else answer.status_code


# --- In the browser -----------------------------------------------------------------------


def code_of(secret):
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def type_password(page, machine):
    page.goto(f"{machine.url}/login/")
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_in_with_code(page, machine):
    """Set an authenticator app up, as is asked for, sign out, and in again with the password and its next code."""
    type_password(page, machine)
    expect(page.get_by_text("A second factor is required here")).to_be_visible()
    page.get_by_role("link", name="Authenticator app").click()
    secret = page.get_by_label("Key", exact=True).inner_text()
    used = code_of(secret)
    page.get_by_label("Code that the app shows").fill(used)
    page.get_by_role("button", name="Set it up").click()
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_label("Account: anna").click()
    page.get_by_role("button", name="Sign out").click()
    eventually(lambda: code_of(secret) != used)  # each works once
    type_password(page, machine)
    page.get_by_label("recovery code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_label("Account: anna")).to_be_visible()
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["__Host-session"]["secure"], cookies


# --- The guide, from its beginning to its end ---------------------------------------------


def test_the_guide_leads_to_a_sign_in_with_a_code_and_an_alert_in_a_room(machine, synapse):
    said, in_room = install(machine, synapse)
    assert "Ledger (dashboard on 127.0.0.1): migrated." in said
    assert f"The ledger records {SERVER_NAME} (synapse)" in said
    assert "System check identified no issues" in said
    assert "Matrix room: sent." in said
    assert "This is a test" in in_room()[-1]["body"]

    with services(machine), running_chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as chromium:
        page = chromium.new_context(ignore_https_errors=True).new_page()
        sign_in_with_code(page, machine)
        expect(page.locator("#rows .row")).to_have_count(1)
        media = [synapse.cache_remote(fresh(), origin="evil.example") for _ in range(20)]
        for mxc in media:
            synapse.admin.quarantine(mxc)
        eventually(lambda: len(in_room()) == 2)
        posted = in_room()[0]["body"]
        assert posted.startswith(f"[{SERVER_NAME}] Files of evil.example quarantined in a burst: 20\n")
        page.goto(re.search(rf"{machine.url}/\S+", posted)[0])
        expect(page.locator("#rows .row")).to_have_count(20)
        watched(machine)
        machine.run(step("8. Back up and restore/1", "pg_restore"))

    restored_and_upgraded(machine)


def watched(machine):
    """Section 6: what Prometheus would be given."""
    token = machine.run(step("6. Watch it/1")).split()[-1]
    assert answered(machine, "/metrics") == 401
    assert "\nquarantine_changes_total 21.0\n" in answered(machine, "/metrics", token=token)


def restored_and_upgraded(machine):
    """Sections 8 and 9: the backup over what is there, then a newer version."""
    machine.run(step("8. Back up and restore/1", "pg_dump"))
    newer = machine.folder / "from" / "CHANGELOG.md"
    newer.write_text(f"{newer.read_text()}\nNewer.\n")
    commit(newer.parent, "After")
    machine.run(step("9. Upgrade/1"))
    assert (machine.app / "CHANGELOG.md").read_text().endswith("Newer.\n")
    with services(machine):
        assert "ledger: 21 rows fit" in machine.shell(f"{machine.functions}\nmanage audit\nmanage verify")
