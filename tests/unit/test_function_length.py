"""A function fits on a screen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 36
"""Of its body, without the docstring."""
FOLDERS = ("harness", "campaigns", "scripts", "benchmarks", "target")


def _lengths(source: str) -> Iterator[tuple[str, int]]:
    """Each function's name, and how long its body is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            first = body[0].lineno if body else node.end_lineno
            yield node.name, (node.end_lineno or 0) - (first or 0) + 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_longer_than_a_screen(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    too_long = {
        f"{path.relative_to(ROOT)} {name}": lines
        for path in paths
        for name, lines in _lengths(path.read_text(encoding="utf-8"))
        if lines > LINES_MAX
    }
    assert too_long == {}


def test_a_docstring_does_not_count_and_a_blank_line_does() -> None:
    source = 'def f():\n    """One.\n\n    Two."""\n    a = 1\n\n    return a\n'
    assert list(_lengths(source)) == [("f", 3)]
