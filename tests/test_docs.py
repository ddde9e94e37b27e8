"""The documents say what the code does."""

import re

from tests.environment import ROOT, declared_variables
from tests.tree import PACKAGES, files

README = ROOT / "README.md"


def documents() -> str:
    return "\n".join(file.read_text() for file in [README, *files("*.md", "docs")])


def test_every_setting_is_in_the_table():
    rows = set(re.findall(r"^\| *`([A-Z_]+)`", README.read_text(), re.MULTILINE))

    assert rows == declared_variables()


def test_every_setting_is_in_the_example():
    lines = re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert sorted(lines) == sorted(declared_variables())


def test_every_command_is_documented():
    commands = {file.stem for package in PACKAGES for file in files("*.py", f"{package}/management/commands")}
    named = set(re.findall(r"manage\.py ([a-z_]+)", documents()))

    assert commands - {"__init__"} - named == set()


def test_no_document_names_a_command_that_is_not_there():
    ours = {file.stem for package in PACKAGES for file in files("*.py", f"{package}/management/commands")}
    django = {"check", "createcachetable", "makemigrations", "migrate", "shell"}

    assert set(re.findall(r"manage\.py ([a-z_]+)", documents())) <= ours | django


def test_links_between_documents_lead_somewhere():
    pages = [file for file in [*ROOT.glob("*.md"), *files("*.md", "docs")] if file.exists()]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert pages
    assert not broken


def test_the_tree_shows_what_is_there():
    block = (ROOT / "CONTRIBUTING.md").read_text().split("## 2. The tree", 1)[1].split("```")[1]
    shown, folders = [], []
    for line in block.splitlines():
        if branch := re.match(r"((?:│   )*)(?:├──|└──) ([^#]*)", line):
            depth, names = len(branch[1]) // 4, branch[2].split()
            shown += ["/".join([*folders[:depth], name.strip("/")]) for name in names]
            folders[depth:] = [names[0].strip("/")]

    assert "quarantine/homeserver/feed.py" in shown
    assert [path for path in shown if not (ROOT / path).exists()] == []
