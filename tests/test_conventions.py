"""The rules of CONTRIBUTING.md that a machine can check.

A file that must break one is named beside the rule, with the reason.
"""

import re

import pytest
from django.template import engines

from tests.tree import PACKAGES, cycle, every_text, files, import_graph, lines_matching, long_functions, named, sources

# Low to high. A module may import from its own tier and those above it in this list.
TIERS = (
    r"quarantine\.(bulk|fields|mxc|seals|homeserver(\..+)?)",
    r"quarantine\.models(\..+)?",
    r"quarantine\.(entries|fold|inserting|ledger|new_rows|sealing)",
    r"quarantine(\.(?!management\.).+)?",
    r"dashboard(\.(?!views\.|urls$|management\.|asgi$|serving\.bridge$|streaming\.|wsgi$).+)?",
    r"dashboard\.views\..+",
    r"dashboard\.urls",
    r"dashboard\.(asgi|serving\.bridge|streaming\..+|wsgi)",  # the servers' entrances
    r"(quarantine|dashboard)\.management\..+",
)
LIMITS = {"templates": ("*.html", 120), "static/css": ("*.css", 150), "static/js": ("*.js", 80)}
# Who may make HTML without a template, having escaped every part.
MARKUP_MAKERS = {"dashboard/wording/text.py", "dashboard/stencils.py"}
LONG_FILES: dict[str, str] = {"dashboard/settings.py": "one place for every setting, a line each"}
LONG_FUNCTIONS: dict[str, str] = {
    "tests/dashboard/test_live.py::test_nothing_is_lost_or_repeated_in_a_storm": "threads that share what they see",
    "tests/synapse/lab.py::write_config": "a configuration: one line a setting",
}
# CSS names of colours that a hurried hand would type; the tokens are the only place for any.
COLOUR = re.compile(
    r"#[0-9a-f]{3,8}\b|\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch)\(|"
    r"(?<![\w-])(?:white|black|red|green|blue|gr[ae]y|orange|yellow|teal|purple|pink|brown|navy|gold)(?![\w-])",
    re.IGNORECASE,
)


# --- Imports ------------------------------------------------------------------------------


def tier(module: str) -> int:
    return next(number for number, pattern in enumerate(TIERS) if re.fullmatch(pattern, module))


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {target}"
        for module, targets in import_graph().items()
        for target in targets
        if tier(target) > tier(module)
    ]

    assert not wrong


def test_homeserver_knows_nothing_of_the_ledger():
    graph = import_graph()
    inside = {module: targets for module, targets in graph.items() if module.startswith("quarantine.homeserver")}
    wrong = {
        (module, target)
        for module, targets in inside.items()
        for target in targets - inside.keys() - {"quarantine", "quarantine.mxc"}
    }

    assert inside
    assert not wrong


def test_imports_make_no_circle():
    assert not cycle(import_graph())


def test_folders_make_no_circle_either():
    """A folder stands for all that is in it: what is in `dashboard/search/` may use `rows.py`, so `rows.py` uses none of it."""
    graph: dict[str, set[str]] = {}
    for module, targets in import_graph().items():
        if "." in module:
            graph.setdefault(folder_of(module), set()).update(map(folder_of, targets))

    assert not cycle({folder: targets - {folder} for folder, targets in graph.items()})


def folder_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_a_circle_would_be_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c", "b"]


# --- Python -------------------------------------------------------------------------------


def test_suppressions_say_why():
    pattern = r"#\s*(?:noqa|type:\s*ignore)(?!(?:: [A-Z0-9, ]+|\[[\w, -]+\]) +(?:-|#) .{4})"
    wrong = [
        f"{file}:{line}" for file, text, _ in sources(*PACKAGES, "tests") for line in lines_matching(text, pattern)
    ]

    assert not [line for line in wrong if "test_conventions.py" not in line]


def test_nothing_catches_everything():
    pattern = r"except\s*:|except \(?(?:Base)?Exception\b"
    wrong = [f"{file}:{line}" for file, text, _ in sources() for line in lines_matching(text, pattern)]

    assert not wrong


def test_only_the_settings_read_the_environment():
    wrong = [
        f"{file}:{line}"
        for file, text, _ in sources()
        if file
        not in {
            "dashboard/configuration/alert_environment.py",
            "dashboard/configuration/environment.py",
            "dashboard/settings.py",
        }
        for line in lines_matching(text, r"os\.environ|getenv")
        if "DJANGO_SETTINGS_MODULE" not in line
    ]

    assert not wrong


# Who may call other servers, or open a socket to somewhere; the operator names where to, nobody else does.
CALLERS = {
    "quarantine/homeserver/synapse.py",
    "quarantine/homeserver/answers.py",
    "quarantine/alerting/alert_ways.py",  # to where the operator's settings say, never to where a page does
    "dashboard/signing_in/single_sign_on.py",  # only what can go wrong: allauth calls the issuer, whom the operator names
    "dashboard/management/commands/demo.py",  # asks its own server whether it is up
}
# Where Django's gates are opened, for reasons given there.
OPENERS = {
    "csrf_exempt": {"dashboard/machines/changes_api.py", "dashboard/views/machines.py", "dashboard/views/system.py"},
    "csp_override|csp_exempt|_csp_config": {"dashboard/views/media.py", "dashboard/views/previews.py"},
    "xframe_options_": set(),
    "pickle|marshal|shelve|yaml": {"dashboard/serving/shared_cache.py"},
}


def test_nobody_else_calls_out():
    pattern = (
        r"^\s*(?:import|from) (?:httpx|requests|aiohttp|urllib3|urllib\.request|http\.client|smtplib|ftplib|imaplib)\b"
    )
    wrong = [
        f"{file}:{line}" for file, text, _ in sources() for line in lines_matching(text, pattern) if file not in CALLERS
    ]

    assert not wrong


@pytest.mark.parametrize("pattern", OPENERS)
def test_gates_are_opened_where_it_is_said(pattern):
    found = {
        file
        for file, text, _ in sources()
        if lines_matching(text, rf"^\s*(?:@|from .* import |import |response\.).*(?:{pattern})")
    }

    assert found == OPENERS[pattern]


# --- Templates, styles, scripts -----------------------------------------------------------


@pytest.mark.parametrize(
    "pattern",
    [
        r"\sstyle\s*=",
        r"<style\b",
        r"<script\b(?![^>]*\ssrc=)",
        r"\son[a-z]+\s*=",
        r"\bhx-on\b|\bjs:|javascript:",
        r"\|\s*safe(?:seq)?\b",
        r"autoescape\s+off",
    ],
)
def test_templates_keep_to_the_policy(pattern):
    templates = files("*.html", "templates")
    wrong = [f"{named(file)}:{line}" for file in templates for line in lines_matching(file.read_text(), pattern)]

    assert templates
    assert not wrong


def test_nothing_is_marked_safe():
    wrong = [
        f"{file}:{line}"
        for file, text, _ in sources()
        if file not in MARKUP_MAKERS
        for line in lines_matching(text, r"mark_safe|SafeString\(")
    ]

    assert not wrong


def test_templates_are_laid_out_alike():
    """Not by a formatter: those that know templates move text between inline elements, which readers see."""
    uneven = r"\t|\s$|^(?:  )* \S|\{%-?\s*end(?:block|partialdef)\s*%\}"
    templates = files("*.html", "templates")
    wrong = [f"{named(file)}:{line}" for file in templates for line in lines_matching(file.read_text(), uneven)]
    wrong += [named(file) for file in templates if not re.search(r"\S\n\Z", file.read_text())]

    assert templates
    assert not wrong


def test_templates_compile():
    names = [named(file).removeprefix("templates/") for file in files("*.html", "templates")]

    assert names
    assert [engines["django"].get_template(name).template.name for name in names] == names


def test_each_page_has_one_heading():
    pages = [file for file in files("*.html", "templates") if is_page(file)]
    wrong = {named(file) for file in pages if file.read_text().count("<h1") != 1}

    assert pages
    assert not wrong


def is_page(file) -> bool:
    text = file.read_text()
    return (
        not file.name.startswith("_")
        and ("{% extends" in text or "<html" in text)
        and file.name not in {"bare.html", "base.html"}
    )


def test_colours_are_written_in_the_tokens_alone():
    sheets = [file for file in files("*.css", "static/css") if file.name != "tokens.css"]
    wrong = [f"{named(file)}: {value}" for file in sheets for value in css_values(file) if COLOUR.search(value)]

    assert sheets
    assert not wrong


def css_values(file) -> list[str]:
    without_comments = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
    return re.findall(r":\s*([^;{}]+)[;}]", without_comments)


def test_every_rule_is_in_a_layer():
    sheets = [file for file in files("*.css", "static/css") if file.name != "tokens.css"]
    wrong = [named(file) for file in sheets if not re.match(r"(?:\s|/\*.*?\*/)*@layer ", file.read_text(), re.DOTALL)]

    assert sheets
    assert not wrong


def test_scripts_build_no_markup_and_no_code():
    pattern = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.on[a-z]+\s*=[^=]"
    scripts = files("*.js", "static/js")
    wrong = [f"{named(file)}:{line}" for file in scripts for line in lines_matching(file.read_text(), pattern)]

    assert scripts
    assert not wrong


# --- Lengths ------------------------------------------------------------------------------


def test_files_are_short():
    long = {named(file): 300 for file in files("*.py", *PACKAGES) if length(file) > 300}
    long |= {named(file): 400 for file in files("*.py", "tests") if length(file) > 400}
    for folder, (pattern, limit) in LIMITS.items():
        long |= {named(file): limit for file in files(pattern, folder) if length(file) > limit}

    assert {name: limit for name, limit in long.items() if name not in LONG_FILES} == {}


def length(file) -> int:
    return len(file.read_text().splitlines())


@pytest.mark.parametrize(("tests", "limit"), [(False, 30), (True, 25)])
def test_functions_are_short(tests, limit):
    long = {
        f"{file}::{name}": lines
        for file, _, tree in sources(*PACKAGES, "tests")
        for name, lines in long_functions(tree, limit, tests=tests)
    }

    assert {name: lines for name, lines in long.items() if name not in LONG_FUNCTIONS} == {}


def test_exceptions_are_still_needed():
    present = {named(file) for file in files("*", *PACKAGES, "tests", "templates", "static")}

    assert {name.partition("::")[0] for name in [*LONG_FILES, *LONG_FUNCTIONS]} <= present


# --- One machine's ways -------------------------------------------------------------------


def test_nothing_names_the_machine_it_was_written_on():
    places = ["/" + "root/", "/" + "work/", r"\." + "library", "farm" + "-", r"\.\./" + "shared"]
    wrong = [f"{file}:{line}" for file, text in every_text() for line in lines_matching(text, "|".join(places))]

    assert not wrong
