"""A Compose project's files, found as `docker compose` finds them, and what stands in them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""Of each the first that is there, in Compose's own order."""
ANY_ADDRESS = ("", "0.0.0.0", "::")  # where a port is published; read, not bound


def find_compose_files(folder: Path) -> tuple[Path, ...]:
    """The files of the project that `folder` is in, absolute; empty if there is none.

    $COMPOSE_FILE names them, as seen from the working directory; else the first folder upward that
    has some.
    """
    if named := _listed(os.environ, Path.cwd()):
        return named
    folder = absolute(folder)
    levels = (compose_files_in(level) for level in (folder, *folder.parents))
    return next(filter(None, levels), ())


def compose_files_in(folder: Path) -> tuple[Path, ...]:
    """Those of this folder alone: what its `.env` has as COMPOSE_FILE, or a file and its override.

    A file that `.env` names counts whether it is there or not: its absence is an error to report.
    """
    with suppress(OSError):  # that of a folder further up may not be ours to read
        if named := _listed(read_environment(folder), folder):
            return named
    found = first_of(folder, NAMES)
    return found + first_of(folder, OVERRIDES) if found else ()


def read_environment(folder: Path) -> dict[str, str]:
    """The settings in `.env`; empty if there is none."""
    return read_variables(folder / ".env")


def read_variables(path: Path) -> dict[str, str]:
    """The variables in a file; empty if there is none. Like Compose it takes any encoding."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = text.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def default_profiles(folder: Path) -> tuple[str, ...]:
    """Those that Compose uses where none is named: of $COMPOSE_PROFILES, else of `.env`."""
    known = {**read_environment(folder), **os.environ}
    named = known.get("COMPOSE_PROFILES", "").strip().strip("\"'").split(",")
    return tuple(filter(None, map(str.strip, named)))


def _listed(environment: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """The files that COMPOSE_FILE lists, as seen from `folder`."""
    text = environment.get("COMPOSE_FILE", "").strip().strip("\"'")
    separator = environment.get("COMPOSE_PATH_SEPARATOR", "") or os.pathsep
    return tuple(absolute(folder / name) for name in text.split(separator) if name)


def absolute(path: Path) -> Path:
    """`path` from the root on, without `..`; links are left as they are, as Compose does."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # pathlib's follow links, or keep `..`


def first_of(folder: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The first of these files that is there, or none."""
    with suppress(OSError):
        return next(((folder / name,) for name in names if (folder / name).is_file()), ())
    return ()


def members_of(service: Mapping[str, Any]) -> int:
    """How many containers a service of `docker compose config` has.

    `scale` is the older word for `deploy.replicas`; Compose refuses two that differ.
    """
    found = (service.get("deploy") or {}).get("replicas", service.get("scale"))
    return 1 if found is None else int(found)
