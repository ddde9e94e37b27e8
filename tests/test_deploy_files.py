"""The examples in docs/deploy/ for programs of others, read by what reads them there."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import crossplane
import pytest

from tests.environment import ROOT

FOLDER = ROOT / "docs" / "deploy"
UNITS = ("quarantine-follow.service", "quarantine-web.service")
SAFE = 2.0  # of ten that systemd-analyze counts: "OK" ends there


def locations(tmp_path, text):
    """What nginx.conf says of each location, as nginx understands it; fails on what nginx would not."""
    whole = tmp_path / "nginx.conf"
    (tmp_path / "site.conf").write_text(text)
    whole.write_text(f"events {{}}\nhttp {{ include {tmp_path}/site.conf; }}\n")
    read = crossplane.parse(str(whole), combine=True, strict=True)
    assert read["status"] == "ok", read["errors"]
    [http] = [one for one in read["config"][0]["parsed"] if one["directive"] == "http"]
    [server] = [one for one in http["block"] if one["directive"] == "server"]
    found = [one for one in server["block"] if one["directive"] == "location"]
    return {" ".join(one["args"]): {inner["directive"]: inner["args"] for inner in one["block"]} for one in found}


def test_nginx_holds_back_no_event_and_no_export(tmp_path):
    found = locations(tmp_path, (FOLDER / "nginx.conf").read_text())

    assert {place for place, said in found.items() if said.get("proxy_buffering") == ["off"]} == {
        "= /changes/live",
        r"~ ^/changes\.(csv|json|ndjson)$",
    }
    assert all(said["proxy_pass"] == ["http://quarantine"] for said in found.values())
    assert found["= /metrics"]["deny"] == ["all"]


def test_a_slip_in_it_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="proxy_bufering"):
        locations(tmp_path, (FOLDER / "nginx.conf").read_text().replace("proxy_buffering", "proxy_bufering"))


def test_caddy_takes_its_file_as_it_is():
    caddy = Path(sys.executable).with_name("caddy")
    command = [caddy, "adapt", "--config", FOLDER / "Caddyfile", "--adapter", "caddyfile"]
    read = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    [server] = read["apps"]["http"]["servers"].values()
    assert server["routes"][0]["match"] == [{"host": ["quarantine.example.com"]}]
    assert '"flush_interval": -1' in json.dumps(server)


@pytest.fixture
def units(tmp_path):
    """Copies whose programs are there: this Python, and this checkout."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("There is no systemd-analyze on this machine.")
    for name in UNITS:
        text = (FOLDER / name).read_text().replace("/opt/quarantine/.venv/bin/python", sys.executable)
        (tmp_path / name).write_text(text.replace("/opt/quarantine", str(ROOT)))
    return tmp_path


def analyzed(*words):
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_unit_and_finds_it_shut_in(units, name):
    status, said = analyzed("verify", "--man=no", str(units / name))
    assert (status, [line for line in said.splitlines() if name in line]) == (0, [])

    _, told = analyzed("security", "--offline=true", str(units / name))
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1]) < SAFE


def test_a_slip_in_a_unit_is_seen(units):
    file = units / UNITS[0]
    file.write_text(file.read_text().replace("ProtectSystem=strict", "ProtectSystm=strict"))

    assert "Unknown key" in analyzed("verify", "--man=no", str(file))[1]
