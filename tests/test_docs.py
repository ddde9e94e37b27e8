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


# --- What docs/security.md claims ---------------------------------------------------------

SECTIONS = "1.5 2.4 3.7 4.4 5.4 6.8 7.6 8.4 9.2 10.7 11.7 12.3 13.4 14.3 15.4 16.5"  # the last of each chapter
ONLY_LEVEL_3 = {"3.1", "3.6", "11.7", "15.4"}


def claims() -> list[tuple[str, str]]:
    """(what, state) of each row of the checklist."""
    text = (ROOT / "docs" / "security.md").read_text()
    return re.findall(r"^\| ([0-9.]+(?: to [0-9.]+)?)[^|]*\| ([^|]+?) \|", text, re.MULTILINE)


def test_each_section_of_the_standard_has_a_state():
    ends = [tuple(map(int, last.split("."))) for last in SECTIONS.split()]
    wanted = {f"{chapter}.{number}" for chapter, last in ends for number in range(1, last + 1)} - ONLY_LEVEL_3
    rows = [what for what, _ in claims()]
    several = {
        f"{what.split('.')[0]}.{n}" for what in rows if " to " in what for n in range(1, int(what.split(".")[-1]) + 1)
    }

    assert len(rows) == len(set(rows))
    assert {what for what in rows if " to " not in what} | several == wanted
    assert {state for _, state in claims()} <= {"met", "partly", "not met", "n/a"}


def test_what_is_said_to_prove_it_is_there():
    named = re.findall(
        r"`([\w./-]+\.\w+|docs/deploy/Caddyfile)(?:::(\w+))?`", (ROOT / "docs" / "security.md").read_text()
    )
    named = [(file, test) for file, test in named if "/" in file]
    missing = [file for file, _ in named if not (ROOT / file).is_file()]
    missing += [test for file, test in named if test and f"\ndef {test}(" not in (ROOT / file).read_text()]

    assert len(named) > 60
    assert not missing
