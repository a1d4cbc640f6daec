"""Whatever is imported is declared by name, and whatever is declared is pinned with a hash."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN, DEVELOP = "requirements.in", "requirements-dev.in"
DECLARED_IN = {
    "harness": (RUN,),
    "campaigns": (RUN, DEVELOP),
    "scripts": (RUN, DEVELOP),
    "benchmarks": (RUN, DEVELOP),
    "tests": (RUN, DEVELOP),
    "target/shortener": ("target/shortener/requirements.in",),
    "target/database/recovery": (),
}
OURS = {"harness", "campaigns", "shortener", "pager", "keeper"}
RECOVERY = {path.stem for path in (ROOT / "target/database/recovery").glob("*.py")}
OF_PYTEST = ROOT / "harness" / "pytest_plugin.py"
"""Only pytest loads it, so whoever does has pytest."""


def _plain(name: str) -> str:
    """A name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(paths: Iterable[str]) -> set[str]:
    """The names in requirements*.in, without extras and options."""
    lines = [line for path in paths for line in (ROOT / path).read_text().splitlines()]
    names = (re.match(r"[\w.-]+", line.strip()) for line in lines if not line.startswith("-"))
    return {_plain(found[0]) for found in names if found}


def imported(source: str) -> set[str]:
    """The first names of all absolute imports of a module, wherever they stand in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def undeclared(names: Iterable[str], known: set[str]) -> list[str]:
    """Those of the names whose distribution is not `known`."""
    by_name = packages_distributions()
    return sorted(n for n in names if not {_plain(d) for d in by_name.get(n, [n])} & known)


@pytest.mark.parametrize("folder", DECLARED_IN)
def test_every_import_of_others_is_declared(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*.py") if ".mutants" not in path.parts]
    paths = [p for p in paths if p != OF_PYTEST and not p.is_relative_to(ROOT / "tests/foreign")]
    assert paths
    helpers = {p.stem for place in ("tests", "scripts", folder) for p in (ROOT / place).rglob("*")}
    names = set().union(*(imported(path.read_text()) for path in paths))
    foreign = names - sys.stdlib_module_names - OURS - RECOVERY - helpers
    assert undeclared(foreign, declared(DECLARED_IN[folder])) == []


def test_the_plugin_of_pytest_needs_pytest_and_what_all_else_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [extra] = project["optional-dependencies"]["pytest"]
    foreign = imported(OF_PYTEST.read_text()) - sys.stdlib_module_names - OURS
    assert "pytest" in foreign
    assert extra.startswith("pytest>=")
    assert undeclared(foreign, declared([RUN]) | {"pytest"}) == []


def test_an_import_that_is_not_declared_is_found() -> None:
    source = (
        "def late() -> None:\n    import yaml.nodes\n    from prometheus_client import parser\n"
    )
    assert imported(source) == {"yaml", "prometheus_client"}
    assert undeclared(imported(source), {"prometheus-client"}) == ["yaml"]
    assert undeclared(["not_installed"], set()) == ["not_installed"]
    assert undeclared(["ruamel"], {"ruamel-yaml"}) == []


@pytest.mark.parametrize("path", sorted({path for paths in DECLARED_IN.values() for path in paths}))
def test_whatever_is_declared_is_pinned_with_a_hash(path: str) -> None:
    text = (ROOT / path).with_suffix(".txt").read_text()
    pins = re.findall(r"^([\w.-]+)(?:\[.*?\])?==\S+ \\\n +--hash=sha256:[0-9a-f]{64}", text, re.M)
    assert declared([path]) - {_plain(name) for name in pins} == set()


def test_the_package_says_what_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": [RUN]}
    assert "dependencies" in project["project"]["dynamic"]
