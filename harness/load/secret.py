"""Secrets of requests: a file names them, the environment holds them, no file of a run does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from harness.errors import LoadError
from harness.model.load import Operation

PREFIX = "HARNESS_SECRET_"
"""Only variables that begin so: a file must not be able to send whatever else is there."""
_PLACE = re.compile(r"\{secret:(\w+)\}")


def with_secrets(operation: Operation) -> Operation:
    """With HARNESS_SECRET_NAME for each `{secret:NAME}` in path, headers and body.

    LoadError if it is not set.
    """
    if missing := missing_secrets([operation]):
        raise LoadError(f"{missing[0]} is not set", f"export {missing[0]}=...")
    return operation.model_copy(
        update={
            "path": _filled(operation.path),
            "body": _filled(operation.body),
            "headers": {name: _filled(text) for name, text in operation.headers.items()},
        }
    )


def missing_secrets(operations: Iterable[Operation]) -> list[str]:
    """The variables that operations need and that are not set, or hold a line break; sorted."""
    texts = [t for each in operations for t in (each.path, each.body, *each.headers.values())]
    named = {PREFIX + name for text in texts for name in _PLACE.findall(text)}
    return sorted(n for n in named if not os.environ.get(n) or "\n" in os.environ[n])


def _filled(text: str) -> str:
    return _PLACE.sub(lambda match: os.environ[PREFIX + match[1]], text)
