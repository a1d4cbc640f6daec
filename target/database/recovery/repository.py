"""What pgBackRest is asked about the repositories, and what it says when it cannot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

STANZA = "main"
NAMES = {1: "hourly", 2: "daily", 3: "weekly"}
"""Of the repositories, by pgBackRest's number."""
HINTS = (
    (r"403|Forbidden|AccessDenied|SignatureDoesNotMatch",
     "the S3 server refuses the credentials: S3_KEY and S3_KEY_SECRET of target/secrets.env"),
    (r"NoSuchBucket|404",
     "the bucket `backups` is not there: the S3 server makes it when it starts"),
    (r"CA file|unable to load|certificate",
     "the S3 server's certificate is not trusted: /etc/s3/ca.pem, made at its first start"),
    (r"cipher|decrypt|unable to flush", "another BACKUP_KEY than the backups were made with"),
    (r"No space left|507|disk full", "the disk of the S3 server is full"),
    (r"lock file|another pgBackRest", "another backup or restore is going on; wait for its end"),
    (r"connect to|timeout|resolve|host", "the S3 server does not answer; is it running?"),
)  # fmt: skip


class Failed(Exception):
    """What went wrong, in one line, and what to do."""


def pgbackrest(*arguments: str, timeout_s: float = 60.0) -> str:
    """What it prints. Failed with its own error, and what that means here."""
    command = ["pgbackrest", f"--stanza={STANZA}", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"pgbackrest {arguments[-1]}: no end after {timeout_s:.0f} s"
        raise Failed(f"{what}; does the S3 server answer?") from None
    if done.returncode:
        raise Failed(f"pgbackrest {arguments[-1]}: {explain(done.stdout + done.stderr)}")
    return done.stdout


def explain(output: str) -> str:
    """pgBackRest's first error, with what to do where that is known."""
    found = re.search(r"ERROR: (\[\d+\]: .*)", output)
    error = found[1].strip() if found else output.strip()[-300:]
    hint = next((text for pattern, text in HINTS if re.search(pattern, error)), "")
    return f"{error} ({hint})" if hint else error


def info() -> dict[str, Any]:
    """The stanza's part of `pgbackrest info`. Failed if a repository cannot be read."""
    [stanza] = json.loads(pgbackrest("--output=json", "info", timeout_s=30))
    for repository in stanza.get("repo", []):
        status = repository["status"]
        if status["code"] not in (0, 2):  # ok; no backup yet
            raise Failed(f"repository {NAMES[repository['key']]}: {explain(status['message'])}")
    return stanza


def backups(stanza: Mapping[str, Any], repository: int) -> list[dict[str, Any]]:
    """Those of one repository, oldest first, without those that are known to be damaged."""
    return [
        one
        for one in stanza.get("backup", [])
        if one["database"]["repo-key"] == repository and not one.get("error")
    ]


def say(level: str, message: str, **facts: Any) -> None:
    """One line of JSON, as the other parts of the stack write them."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": level, "part": "backup", "message": message, **facts}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def wait_for(what: str, holds: Any, within_s: float, every_s: float = 0.2) -> None:
    """Return as soon as `holds()`; Failed after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise Failed(f"{what}: not after {within_s:.0f} s")
        time.sleep(every_s)
