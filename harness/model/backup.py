"""Backups of a database, as pgBackRest tells of them: `pgbackrest --output=json info`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

LABEL = "harness.backups"
"""Of a service: the command in its container that prints them."""
RESTORED = "restored"
"""The annotation that a backup gets when it was restored, and was found to be right."""


WELL = (0, 2)
"""pgBackRest's codes for a repository that could be read; 2: there is no backup in it."""


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup; times are seconds since the epoch.

    `kind`: full, diff or incr. `stored_bytes` is what it takes in its repository, `database_bytes`
    what it restores. `wal`: the first and last file of the log that it needs. `restored_s`: when it
    was last restored and found to be right, None for never. `error`: it is known to be bad.
    """

    stanza: str
    repository: int
    label: str
    kind: str
    start_s: float
    stop_s: float
    stored_bytes: int
    database_bytes: int
    wal: tuple[str, str]
    restored_s: float | None = None
    error: bool = False


def read_backups(text: str) -> list[Backup]:
    """All of them, oldest first in each repository.

    ValueError if the text is no such list, or if it says that a repository could not be read: that
    one would look like one without backups.
    """
    try:
        stanzas = json.loads(text)
        unread = [each for stanza in stanzas for each in _unread(stanza)]
        found = [one for stanza in stanzas for one in _of_stanza(stanza)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not what pgBackRest's info prints: {error!r}") from error
    if unread:
        raise ValueError("; ".join(unread))
    return sorted(found, key=lambda one: (one.stanza, one.repository, one.stop_s))


def _unread(stanza: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with each repository that says so."""
    for one in stanza.get("repo", ()):
        if one["status"]["code"] not in WELL:
            message = " ".join(str(one["status"]["message"]).split())
            yield f"{stanza['name']}, repository {one['key']} cannot be read: {message}"


def _of_stanza(stanza: Mapping[str, Any]) -> Iterator[Backup]:
    for one in stanza["backup"]:
        yield Backup(
            stanza=str(stanza["name"]),
            repository=int(one["database"]["repo-key"]),
            label=str(one["label"]),
            kind=str(one["type"]),
            start_s=float(one["timestamp"]["start"]),
            stop_s=float(one["timestamp"]["stop"]),
            stored_bytes=int(one["info"]["repository"]["delta"]),
            database_bytes=int(one["info"]["size"]),
            wal=(str(one["archive"]["start"]), str(one["archive"]["stop"])),
            restored_s=_time((one.get("annotation") or {}).get(RESTORED)),
            error=bool(one.get("error")),
        )


def _time(text: Any) -> float | None:
    """An annotation's time; one that somebody wrote by hand may be none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
