"""Bytes of YAML to a tree that knows the line of each key."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from harness.errors import InvalidExperiment, UsageError

LIST = "harness list"
SIZE_MAX, ALIASES_MAX = 100_000, 50


def read_yaml(data: bytes, path: Path) -> Any:
    """The tree of a file; InvalidExperiment if it is not YAML, or too much of it."""
    if len(data) > SIZE_MAX:
        raise InvalidExperiment(str(path), [f"the file is larger than {SIZE_MAX} bytes"])
    if data.count(b"*") > ALIASES_MAX:  # an alias may be repeated into billions of nodes
        raise InvalidExperiment(str(path), [f"more than {ALIASES_MAX} aliases or asterisks (*)"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as an anchor that is defined twice
            return YAML(typ="rt").load(data.decode("utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InvalidExperiment(str(path), [f"{where}not YAML: {error.problem}"]) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"line {line}: byte {data[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        raise InvalidExperiment(str(path), [text]) from error
    except (YAMLError, ValueError, RecursionError, TypeError) as error:
        raise InvalidExperiment(str(path), [f"not YAML: {error}"]) from error
    except Exception as error:  # the parser leaks KeyError and others on bad tags
        raise InvalidExperiment(str(path), [f"not YAML: {type(error).__name__}"]) from error


def read_bytes(path: Path, hint: str) -> bytes:
    """What is in a file; UsageError with `hint` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint) from error


def line_of(node: Any, key: Any) -> int:
    """The line, from 1, of `key` in a node of the tree, or of the node itself."""
    position = getattr(node, "lc", None)
    if position is None:
        return 1
    try:
        return int(position.key(key)[0]) + 1
    except (KeyError, TypeError, AttributeError):
        return int(position.line or 0) + 1
