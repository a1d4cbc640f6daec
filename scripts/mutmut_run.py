"""One group of modules through mutmut, in a process of its own; scripts/mutants.py starts it.

`python mutmut_run.py JOB.json` in an empty folder that has links to the project's files. The job
has `only_mutate` and `tests`. Writes `mutants.json`: each mutant with its file, function, status,
and the lines that differ. SIGINT ends it early; a later run in the same folder goes on.

Three things are different from plain mutmut 3:

- functions with a decorator that only marks or wraps them are mutated too: mutmut leaves out all
  that are decorated, which here are most of what proves a fault on a link, and the project's lock;
- `all`/`any` and `min`/`max` are swapped, calls whose result nobody uses are left out, and a
  condition without a comparison is turned round;
- texts of several words are left alone: they are for people. Protocols have nothing to run, and
  `utf-8` is the same in any case.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libcst as cst
from mutmut import configuration
from mutmut.__main__ import _run
from mutmut.mutation import file_mutation
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.mutators import operator_string
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

WRAPPERS = {"override", "property", "contextmanager"}
SWAPPED = {"all": "any", "any": "all", "min": "max", "max": "min"}
PROFILE = "--hypothesis-profile=mutants"  # of tests/unit/conftest.py: any example will do
KILLED = ("killed", "timeout", "segfault", "suspicious")
SURVIVED = ("survived", "no tests")


def main(arguments: list[str]) -> int:
    """Run the mutants that are not killed yet, and write down what became of all of them."""
    job = json.loads(Path(arguments[0]).read_text())
    given = configuration.config()
    config = dataclasses.replace(
        given,
        only_mutate=job["only_mutate"],
        pytest_add_cli_args=[*given.pytest_add_cli_args, PROFILE],
        pytest_add_cli_args_test_selection=job["tests"],
    )
    configuration._config = config
    _adapt()
    _forget_survivors()
    try:
        _run((), job["workers"])
    finally:
        Path("mutants.json").write_text(json.dumps(list(_results())))
    return 0


def _forget_survivors() -> None:
    """So that they are tried again, with the tests of today."""
    Path("mutants/mutmut-stats.json").unlink(missing_ok=True)
    for data in _data():
        codes = data.exit_code_by_key
        data.exit_code_by_key = {
            key: code if status_by_exit_code[code] in KILLED else None
            for key, code in codes.items()
        }
        if codes:
            data.save()


def _data() -> Iterator[Any]:
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        yield data


def _results() -> Iterator[dict[str, Any]]:
    for data in _data():
        for key, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            name, owner = orig_function_and_class_names_from_key(key)
            row = {"file": str(data.path), "function": f"{owner}.{name}" if owner else name}
            if status in KILLED:
                yield {**row, "status": "killed"}
            elif status in SURVIVED:
                yield {**row, "status": "survived", **_changed(key, data.path)}
            else:
                yield {**row, "status": "left"}


def _changed(key: str, path: Path) -> dict[str, str]:
    """The lines as they were and as they are, without the space before them."""
    lines = get_diff_for_mutant(key, path=path).splitlines()[3:]
    was = " ".join(line[1:].strip() for line in lines if line.startswith("-"))
    now = " ".join(line[1:].strip() for line in lines if line.startswith("+"))
    return {"was": was, "now": now}


# -- what is different from plain mutmut


def _adapt() -> None:
    theirs = file_mutation.mutation_operators
    kept = [(kind, _word if change is operator_string else change) for kind, change in theirs]
    own = [(cst.Call, _swapped), (cst.Expr, _left_out), (cst.If, _turned), (cst.While, _turned)]
    file_mutation.mutation_operators = [*kept, *own]
    skip = file_mutation.MutationVisitor._skip_node_and_children
    arrange = file_mutation.function_trampoline_arrangement

    def skip_node_and_children(visitor: Any, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef) and node.decorators and _only_wraps(node):
            return False
        return _is_protocol(node) or bool(skip(visitor, node))

    def arrange_undecorated(function: cst.FunctionDef, mutants: Any, class_name: Any) -> Any:
        """The copies without the decorators, which go round what chooses between the copies."""
        if not _only_wraps(function):
            return arrange(function, mutants, class_name)
        bare = function.with_changes(decorators=[])
        before, (chooser, *copies), after, names = arrange(bare, mutants, class_name)
        decorators = [*function.decorators, *chooser.decorators]
        return before, [chooser.with_changes(decorators=decorators), *copies], after, names

    file_mutation.MutationVisitor._skip_node_and_children = skip_node_and_children
    file_mutation.function_trampoline_arrangement = arrange_undecorated


def _only_wraps(function: cst.FunctionDef) -> bool:
    names = [one.decorator for one in function.decorators]
    return all(isinstance(name, cst.Name) and name.value in WRAPPERS for name in names)


def _is_protocol(node: cst.CSTNode) -> bool:
    bases = [base.value for base in node.bases] if isinstance(node, cst.ClassDef) else []
    return any(isinstance(base, cst.Name) and base.value == "Protocol" for base in bases)


def _word(node: cst.BaseString) -> Iterator[cst.CSTNode]:
    text = node.value if isinstance(node, cst.SimpleString) else ""
    if " " not in text and text != '"utf-8"':
        yield from operator_string(node)


def _swapped(node: cst.Call) -> Iterator[cst.CSTNode]:
    if isinstance(node.func, cst.Name) and node.func.value in SWAPPED:
        yield node.with_changes(func=cst.Name(SWAPPED[node.func.value]))


def _left_out(node: cst.Expr) -> Iterator[cst.CSTNode]:
    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def _turned(node: cst.If | cst.While) -> Iterator[cst.CSTNode]:
    if isinstance(node.test, cst.Name | cst.Attribute | cst.Call | cst.NamedExpr):
        inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), inner))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
