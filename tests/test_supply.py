"""What a server gets installed, and whether any of it is known to be vulnerable: make sbom, make audit."""

import json
import subprocess
import threading
import tomllib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.environment import ROOT

UV = ROOT / ".uv" / "bin" / "uv"
FLAW = {"id": "GHSA-made-up-0001", "modified": "2026-01-01T00:00:00Z"}


def locked():
    """{name: version} of everything in the lock file, and the names of what only developers need at first hand."""
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return {package["name"]: package.get("version") for package in packages}


def test_the_bill_of_materials_is_the_lock_file(tmp_path):
    file = tmp_path / "sbom.json"

    subprocess.run(["make", "sbom", f"SBOM={file}"], cwd=ROOT, check=True, capture_output=True)

    bill = json.loads(file.read_text())
    parts = {part["name"]: part for part in bill["components"]}
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert {name: part["version"] for name, part in parts.items()}.items() <= locked().items()
    assert {"django", "django-allauth", "psycopg", "sqlparse"} <= parts.keys()
    assert not {"pytest", "ruff", "playwright"} & parts.keys()
    assert parts["django"]["purl"] == f"pkg:pypi/django@{locked()['django']}"


# --- The audit, beside a service that stands in for osv.dev -------------------------------


class Service(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        flawed = self.server.flawed
        self.say({"results": [{"vulns": [FLAW]} if one["package"]["name"] == flawed else {} for one in asked]})

    def do_GET(self):
        self.say(FLAW | {"summary": "A made-up flaw", "affected": []})

    def say(self, told):
        body = json.dumps(told).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def service(*, flawed="", status=200):
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        server.flawed, server.status = flawed, status
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def audit(address):
    command = ["scripts/audit", str(UV), address]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_known_vulnerability_fails_the_audit():
    with service(flawed="django") as address:
        told = audit(address)

    assert told.returncode == 1
    assert FLAW["id"] in told.stdout


def test_without_one_it_says_so():
    with service() as address:
        told = audit(address)

    assert (told.returncode, told.stdout) == (0, f"No known vulnerability in the locked packages ({address}).\n")


@pytest.mark.parametrize("status", [None, 429, 503])
def test_a_service_that_does_not_answer_fails_nothing(status):
    with service(status=status or 200) as address:
        away = "http://127.0.0.1:9/"  # the port that discards: nothing listens
        told = audit(address if status else away)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("Not looked for known vulnerabilities: http://127.0.0.1:")
