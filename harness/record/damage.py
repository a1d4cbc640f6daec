"""A file of a run that cannot be read or understood: one error that says which, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import RunFolderError

DAMAGED = "copy the run folder again, or run the experiment again"
"""What to do about a file that was written whole once."""
NUMBER_MAX = 1e300


@contextmanager
def understood(path: Path, hint: str) -> Iterator[None]:
    """What goes wrong while `path` is read or understood is a RunFolderError."""
    try:
        yield
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else str(error)
        raise RunFolderError(f"{path}: {what}", hint) from error
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: not JSON: {error}", hint) from error
    except (ValueError, KeyError, TypeError, RecursionError, pa.ArrowException) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunFolderError(f"{path}: invalid content: {text}", hint) from error


def lacking(value: Mapping[str, Any], needed: Mapping[str, type]) -> str:
    """Which needed value is missing or of another type, "" if none is."""
    wrong = [name for name, kind in needed.items() if not _is_a(value.get(name), kind)]
    return f"no {wrong[0]} in it, or a wrong one" if wrong else ""


def check_row(row: Any, needed: Mapping[str, type]) -> None:
    """TypeError or ValueError unless it is an object that has what is needed."""
    if not isinstance(row, dict):
        raise TypeError("not a list of objects")
    if wrong := lacking(row, needed):
        raise ValueError(wrong)


def _is_a(value: Any, kind: type) -> bool:
    if kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) < NUMBER_MAX  # not NaN or infinity
    return isinstance(value, kind)
