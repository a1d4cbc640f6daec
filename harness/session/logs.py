"""After a run: what its containers logged, kept in its folder without the project's secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.compose_files import read_environment, read_variables
from harness.errors import HarnessError
from harness.load.secret import PREFIX
from harness.logs import Deadline, Span, keep_logs, secrets_in
from harness.record.events import run_start
from harness.record.folder import RunFolder
from harness.record.wall_times import WallTimes
from harness.session.listener import Listener
from harness.session.project import Project
from harness.session.stop import Stop

SECRETS_FILE = Path("target", "secrets.env")
SECRET_MAX_BYTES = 64 << 10


def keep_run_logs(project: Project, folder: RunFolder, listener: Listener, stop: Stop) -> None:
    """Keep them, and say what could not be kept; nothing where the run did not begin."""
    try:
        if (span := _span(folder, project.clock.wall_s())) is None:
            return
        known = known_secrets(project.root, project.compose.known())
        deadline = Deadline(project.clock, lambda: stop.asked)
        found = keep_logs(project.engine, folder, span, deadline, known)
    except Exception as error:  # noqa: BLE001  # nothing that is wrong here may cost the verdict
        why = error.message if isinstance(error, HarnessError) else repr(error)
        listener.say(f"  note: the logs are not kept: {why}")
        return
    for text in (text for part in found for text in part.lacks):
        listener.say(f"  note: logs of {text}")


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


def _span(folder: RunFolder, until_s: float) -> Span | None:
    """From the start of the run until now; None if it did not begin."""
    events = folder.read_events() if folder.has("events.jsonl") else []
    if (started := run_start(events)) is None:
        return None
    begin_s = float(started["wall_s"]) + float(started["t_s"])
    return Span(begin_s, until_s, WallTimes(events, started).since_start_s)


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
