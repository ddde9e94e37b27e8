"""The project's own files, as the conventions look at them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.environment import ROOT

PACKAGES = ("dashboard", "quarantine")
GENERATED = {"migrations", "__pycache__", "vendor"}
LEFT_OUT = {"uv.lock", ".git"}  # in a linked work tree .git is a file


def files(pattern: str, *folders: str) -> list[Path]:
    """The files of these folders that match, in order; what is generated or not ours is left out."""
    found = (file for folder in folders for file in (ROOT / folder).rglob(pattern) if file.is_file())
    return sorted(file for file in found if not GENERATED.intersection(file.relative_to(ROOT).parts))


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def every_text() -> Iterator[tuple[str, str]]:
    """Name and content of each text file a clone would have, but for lock files."""
    here = ("*", ".ci/*", ".env.example", ".gitignore", "scripts/*")
    top = [file for pattern in here for file in ROOT.glob(pattern) if file.is_file() and file.name not in LEFT_OUT]
    for file in sorted({*top, *files("*", *PACKAGES, "docs", "locale", "static", "templates", "tests")}):
        try:
            yield named(file), file.read_text()
        except UnicodeDecodeError:
            continue  # a picture


def sources(*folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    for file in files("*.py", *(folders or PACKAGES)):
        yield named(file), *parsed(file)


@cache
def parsed(file: Path) -> tuple[str, ast.Module]:
    text = file.read_text()
    return text, ast.parse(text)


def lines_matching(text: str, pattern: str) -> list[str]:
    return [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if re.search(pattern, line)]


# --- Imports ------------------------------------------------------------------------------


def module_name(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def import_graph() -> dict[str, set[str]]:
    """Each module of the two packages, with those it imports anywhere in it."""
    trees = {module_name(file): tree for file, _, tree in sources()}
    return {module: {name for name in imported(tree) if name in trees} - {module} for module, tree in trees.items()}


def imported(tree: ast.Module) -> Iterator[str]:
    """`from a import b` may mean the module `a.b` or a name in `a`: both are told."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from [module, *(f"{module}.{alias.name}" for alias in node.names)]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports, or nothing."""
    left = {module: set(targets) for module, targets in graph.items()}
    while free := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in free:
            del left[module]
    path = [min(left)] if left else []
    while path and path[-1] not in path[:-1]:
        path.append(min(left[path[-1]] & left.keys()))
    return path


# --- Lengths ------------------------------------------------------------------------------


def long_functions(tree: ast.Module, limit: int, *, tests: bool) -> Iterator[tuple[str, int]]:
    """Functions of more lines than `limit`, the docstring not counted. `tests`: the test functions, or the others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_") == tests:
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = node.end_lineno - first.lineno + 1 + (node.body[0].lineno - node.lineno)
            if length > limit:
                yield node.name, length
