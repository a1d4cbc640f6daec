"""Secrets of requests: a file names them, the environment holds them, no file of a run does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from harness.errors import LoadError
from harness.model.answer import SECRET_PREFIX, Auth
from harness.model.load import Operation

PREFIX = SECRET_PREFIX
_PLACE = re.compile(r"\{secret:(\w+)\}")


def with_secrets(operation: Operation) -> Operation:
    """With HARNESS_SECRET_NAME for each `{secret:NAME}` in path, headers and body, and in `auth`.

    LoadError if it is not set.
    """
    if missing := missing_secrets([operation]):
        raise LoadError(f"{missing[0]} is not set", f"export {missing[0]}=...")
    return operation.model_copy(
        update={
            "path": _filled(operation.path),
            "body": _filled(operation.body),
            "headers": {name: _filled(text) for name, text in operation.headers.items()},
            "auth": _with_secret(operation.auth) if operation.auth else None,
        }
    )


def missing_secrets(operations: Iterable[Operation]) -> list[str]:
    """The variables that operations need and that are not set, or hold a line break; sorted."""
    needed = needed_secrets(operations)
    return [n for n in needed if not os.environ.get(n) or "\n" in os.environ[n]]


def needed_secrets(operations: Iterable[Operation]) -> list[str]:
    """The variables that operations need; sorted."""
    texts = [text for each in operations for text in _texts(each)]
    return sorted({PREFIX + name for text in texts for name in _PLACE.findall(text)})


def _texts(operation: Operation) -> list[str]:
    """Where secrets are filled in."""
    of_auth = operation.auth.texts if operation.auth else ()
    return [operation.path, operation.body, *operation.headers.values(), *of_auth]


def _with_secret(auth: Auth) -> Auth:
    secret = os.environ[PREFIX + auth.secret_from] if auth.secret_from else _filled(auth.secret)
    return auth.model_copy(update={"user": _filled(auth.user), "secret": secret})


def _filled(text: str) -> str:
    return _PLACE.sub(lambda match: os.environ[PREFIX + match[1]], text)
