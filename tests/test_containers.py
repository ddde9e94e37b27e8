"""The Containerfile and compose.yml, as far as they can be tried without a container engine."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.environment import ROOT, process_environ

CONTAINERFILE = (ROOT / "docs" / "deploy" / "Containerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docs" / "deploy" / "compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "quarantine-dashboard"}


def copied():
    """What comes from the checkout: source -> where it goes, below the working directory."""
    lines = re.findall(r"^COPY (?!--from)(.+) (\S+)$", CONTAINERFILE, re.MULTILINE)
    return {source: target for sources, target in lines for source in sources.split()}


def test_what_it_copies_is_there_and_is_all_that_runs(tmp_path):
    """The image's files alone, in a folder: they make their tables and serve, and write below DATA_DIR alone."""
    for source, target in copied().items():
        place = tmp_path / "app" / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    before = sorted(path for path in (tmp_path / "app").rglob("*"))
    given = dict(re.findall(r"(\w+)=(\S+)", re.search(r"^ENV (.*)$", CONTAINERFILE, re.MULTILINE)[1]))
    environ = process_environ(given | {"DATA_DIR": str(tmp_path / "data"), "HTTPS": "on", "ALLOWED_HOSTS": "q.example"})

    for words in (["prepare"], ["check", "--deploy"], ["follow", "--once"]):
        command = [sys.executable, "manage.py", *words]
        run = subprocess.run(command, cwd=tmp_path / "app", env=environ, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr

    assert sorted(path for path in (tmp_path / "app").rglob("*")) == before
    assert (tmp_path / "data" / "ledger.sqlite3").exists()
    assert given["DATA_DIR"] == "/data"


def test_nothing_that_runs_is_left_out():
    wanted = {"manage.py", "dashboard", "quarantine", "static", "templates", "pyproject.toml", "uv.lock"}
    wanted |= {"locale"} if (ROOT / "locale").exists() else set()

    assert copied().keys() == wanted


def test_it_is_nobody_and_starts_what_is_there():
    stages = re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", CONTAINERFILE, re.MULTILINE)[1])

    assert len(set(stages)) == 1  # the environment is built by the Python that runs it
    assert re.search(r"^USER ([1-9]\d*):([1-9]\d*)$", CONTAINERFILE, re.MULTILINE)
    assert entry == [".venv/bin/python", "manage.py"]
    assert (
        re.search(r"uv==(\S+)", CONTAINERFILE)[1]
        == re.search(r"UV_VERSION := (\S+)", (ROOT / "Makefile").read_text())[1]
    )
    assert not re.search(r"SECRET_KEY|PASSWORD|TOKEN", CONTAINERFILE)


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_shut_in(name):
    service = OURS[name]

    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_command_with_options_that_are_there(name):
    command, *options = OURS[name]["command"]
    usage = subprocess.run(
        [sys.executable, "manage.py", command, "--help"],
        cwd=ROOT,
        env=process_environ({}),
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert {option for option in options if option.startswith("--")} <= set(re.findall(r"--[a-z-]+", usage))


def test_what_it_needs_of_others_is_there():
    named = {volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    awaited = {other for service in OURS.values() for other in service.get("depends_on", {})}

    assert named == COMPOSE["volumes"].keys()
    assert awaited <= COMPOSE["services"].keys()
