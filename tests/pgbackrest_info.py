"""What `pgbackrest --output=json info` prints."""

from __future__ import annotations

import json
from typing import Any

MIB = 1024 * 1024


def backup(label: str, stop_s: float, repository: int = 1, **more: Any) -> dict[str, Any]:
    """One backup that took 5 s, with all that pgBackRest tells of it."""
    kind = {"F": "full", "D": "diff", "I": "incr"}[label[-1]]
    made = {
        "archive": {"start": "000000010000000000000003", "stop": "000000010000000000000004"},
        "backrest": {"format": 5, "version": "2.55.1"},
        "database": {"id": 1, "repo-key": repository},
        "error": False,
        "info": {
            "delta": 24 * MIB,
            "repository": {"delta": 3 * MIB // 2},
            "size": 31 * MIB,
        },
        "label": label,
        "lsn": {"start": "0/3000028", "stop": "0/4000050"},
        "prior": None,
        "reference": None,
        "timestamp": {"start": int(stop_s) - 5, "stop": int(stop_s)},
        "type": kind,
    }
    return {**made, **more}


def info(*backups: dict[str, Any], **more: Any) -> str:
    """The stanza `main` with these; `more` is told of it, too."""
    stanza = {
        "archive": [],
        "backup": list(backups),
        "cipher": "aes-256-cbc",
        "name": "main",
        "repo": [repository(key) for key in (1, 2, 3)],
        "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"},
    }
    return json.dumps([{**stanza, **more}])


def repository(key: int, code: int = 0, message: str = "ok") -> dict[str, Any]:
    """What it tells of a repository."""
    return {"cipher": "aes-256-cbc", "key": key, "status": {"code": code, "message": message}}
