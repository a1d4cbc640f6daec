"""The other machines that may be spoken to: a list that the user writes, never an experiment.

Load may go there, a worker may join a run there, and an engine there may have the target.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from harness.errors import LoadError


def check_hosts(hosts: Iterable[str]) -> None:
    """LoadError unless each is a loopback address or stands in the list.

    Addresses only: what a name means may change between this look and the connection.
    """
    for host in hosts:
        if not is_allowed(host):
            raise LoadError(
                f"{host} is not an address of this machine: load goes to 127.0.0.1 only",
                f"if the machine is yours, write its IP address on a line of {list_path()}",
            )


def is_allowed(host: str) -> bool:
    """Whether it is a loopback address or stands in the list; LoadError if that cannot be read."""
    return _is_loopback(host) or host in _allowed()


def list_path() -> Path:
    """Where the list is: in the user's own configuration, outside of any project."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "harness" / "allowed-hosts"


def _allowed() -> frozenset[str]:
    """One IP address a line, `#` begins a comment; none if there is no list."""
    path = list_path()
    try:
        with path.open(encoding="utf-8") as file:
            _check_owner(path, os.fstat(file.fileno()))
            lines = [line.partition("#")[0].strip() for line in file]
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"{path}: cannot be read: {error}", "fix it, or remove it") from error
    for number, line in enumerate(lines, 1):
        if line and not _is_address(line):
            raise LoadError(f"{path}: line {number}: {line!r} is no IP address", "write 192.0.2.7")
    return frozenset(filter(None, lines))


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Nobody but the user, or root, may have written it."""
    is_open = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if found.st_uid not in (0, os.geteuid()) or is_open:
        raise LoadError(
            f"{path}: others can write to it, so it allows nothing",
            f"chown it to yourself, and: chmod 600 {path}",
        )


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
