"""One mapping of the file: its fields as typed values in base units, its problems with a line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.experiment_file.problems import Problems, suggest
from harness.experiment_file.wording import in_our_words
from harness.experiment_file.yaml_lines import line_of

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Node:
    """A mapping at `path` ("" for the whole file). What is wrong in it goes to `problems`."""

    tree: Mapping[Any, Any]
    path: str
    problems: Problems

    def __bool__(self) -> bool:
        return bool(self.tree)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tree)

    def __contains__(self, key: object) -> bool:
        return key in self.tree

    def get(self, key: Any, default: Any = None) -> Any:
        """The value as YAML gives it."""
        return self.tree.get(key, default)

    def path_of(self, key: Any) -> str:
        """The path of `key` in the file: `load.rate`."""
        return f"{self.path}.{key}" if self.path else str(key)

    def problem(self, key: Any, wrong: str, right: str = "", path: str = "") -> None:
        """Something wrong with `key`, or with what stands at `path` below it."""
        self.problems.add(line_of(self.tree, key), path or self.path_of(key), wrong, right)

    def check_keys(self, known: Iterable[str]) -> None:
        """Report each key that is not known."""
        for key in self.tree:
            if key not in known:
                self.problem(key, "unknown key", suggest(str(key), known))

    def is_mapping(self, key: Any) -> bool:
        """Whether there is a mapping at `key`, or nothing."""
        return isinstance(self.tree.get(key, {}), Mapping)

    def mapping(self, key: Any) -> Node:
        """The mapping at `key`; an empty one if there is none, or something else."""
        value = self.tree.get(key, {})
        if not self.is_mapping(key):
            self.problem(key, "not a mapping", "write key: value pairs, or leave it out")
        return self.entry(value if isinstance(value, Mapping) else {}, self.path_of(key))

    def entry(self, tree: Mapping[Any, Any], path: str) -> Node:
        """A mapping further down, whose problems are collected with those of this one."""
        return Node(tree, path, self.problems)

    def text(self, key: str, right: str) -> str:
        """The text at `key`, its white space folded; `right` says what to write if it is none."""
        value = self.tree.get(key)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
        self.problem(key, "missing or not a text", right)
        return ""

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts at `key`, empty if there is none."""
        value = self.tree.get(key, [])
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.problem(key, "not a list of texts", "write [a, b]")
        return ()

    def flag(self, key: str) -> bool:
        """Whether `key` is true; false if it is missing."""
        value = self.tree.get(key, False)
        if not isinstance(value, bool):
            self.problem(key, "not true or false", "write true or false")
        return value is True

    def quantity(self, key: Any, parse: Callable[[str], float]) -> float | None:
        """The value at `key` in base units; None if it is missing or wrong."""
        if key not in self.tree:
            return None
        try:
            return parse(str(self.tree[key]))
        except ValueError as error:
            self.problem(key, str(error))
            return None

    def model(
        self,
        model: type[Model],
        values: Mapping[Any, Any] | None = None,
        written: Mapping[str, str] | None = None,
        reported: Collection[str] = (),
    ) -> Model | None:
        """`values` (else the mapping as it stands) as a `model`; None with problems if wrong.

        `written` has the keys of the file by field, where they differ (`expect.json` is in the
        mapping `expect`); what is wrong with the
        fields in `reported` was said already.
        """
        given = self.tree if values is None else values
        try:
            return model.model_validate({str(key): value for key, value in given.items()})
        except ValidationError as error:
            for problem in error.errors():
                field, *rest = *problem["loc"], ""
                if field in reported:
                    continue
                key = (written or {}).get(str(field), field)
                path = self.path + "".join(map(_step, (key, *rest[:-1])))
                at = str(key).partition(".")[0] if key not in self.tree else key
                self.problem(at, *in_our_words(problem, model), path=path)
            return None


def _step(part: str | int) -> str:
    """`.status` into a mapping, `[0]` into a list."""
    return f"[{part}]" if isinstance(part, int) else f".{part}"
