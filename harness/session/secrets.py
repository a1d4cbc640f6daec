"""Which values must not be in what is kept or printed: a project's secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.compose_files import read_environment, read_variables
from harness.load.secret import PREFIX
from harness.logs import secrets_in

SECRETS_FILE = Path("target", "secrets.env")
SECRET_MAX_BYTES = 64 << 10


def known_secrets(root: Path, config: Mapping[str, Any]) -> set[str]:
    """What must not be in a log: the values that this machine, `.env` and Compose call secrets.

    All of HARNESS_SECRET_..., passwords in URLs, and the files of Compose's `secrets`.
    """
    found = {value for name, value in os.environ.items() if name.startswith(PREFIX)}
    services = (config.get("services") or {}).values()
    variables = [_variables(service.get("environment") or {}) for service in services]
    files = [_unquoted(each) for each in (read_environment(root), _file_variables(root))]
    for each in (os.environ, *files, *variables):
        found |= secrets_in(each)
    return {*found, *_of_files(config)}


def _variables(environment: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in environment.items() if value is not None}


def _unquoted(variables: Mapping[str, str]) -> dict[str, str]:
    """As Compose takes them from a file: without quotes around the value."""
    return {name.strip(): value.strip().strip("\"'") for name, value in variables.items()}


def _file_variables(root: Path) -> dict[str, str]:
    """What the bundled stack keeps apart from `.env`."""
    with suppress(OSError):
        return read_variables(root / SECRETS_FILE)
    return {}


def _of_files(config: Mapping[str, Any]) -> Iterator[str]:
    """What Compose mounts as secrets, each whole file and each of its lines."""
    for secret in (config.get("secrets") or {}).values():
        if name := secret.get("environment"):
            yield os.environ.get(name, "")
        if path := secret.get("file"):
            with suppress(OSError), Path(path).open(encoding="utf-8", errors="replace") as file:
                text = file.read(SECRET_MAX_BYTES).strip()
                yield from {text, *(line.strip() for line in text.splitlines())}
