"""What pgBackRest is asked about the repositories, and what it says when it cannot."""

from __future__ import annotations

import configparser
import fcntl
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STANZA, LOCKS, CONFIG = "main", Path("/tmp"), Path("/etc/pgbackrest.conf")
NAMES = {1: "hourly", 2: "daily", 3: "weekly"}
"""Of the repositories, by pgBackRest's number."""
HINTS = (
    (r"\[056\]|DbConnectError", "no database node answers as the primary: harness status"),
    (r"failed with 403|AccessDenied|SignatureDoesNotMatch|AdminUserNotFound|InvalidAccessKeyId",
     "the S3 server refuses the credentials: S3_KEY and S3_KEY_SECRET of target/secrets.env"),
    (r"failed with 404|NoSuchBucket",
     "the bucket `backups` is not there: the S3 server makes it when it starts"),
    (r"certificate|CA file",
     "the S3 server's certificate is not trusted: it makes /etc/s3/ca.pem when it starts; is that "
     "there, and of this server?"),
    (r"cipher|decrypt|unable to flush", "another BACKUP_KEY than the backups were made with"),
    (r"No space left|Insufficient Storage", "the disk of the S3 server is full"),
    (r"unable to find backup set", "no backup is that old; choose a later time"),
    (r"no backup set found", "no backup could be read; is the S3 server running, is there one?"),
    (r"acquire lock", "another backup or restore is going on; wait for its end"),
    (r"HostConnectError|connect to|get address|timeout",
     "the S3 server does not answer; is it running?"),
)  # fmt: skip


class Failed(Exception):
    """What went wrong, in one line, and what to do."""


def reach(within_s: float = 5.0) -> None:
    """Failed if the S3 server cannot be spoken to: a restore tries each repository for 90 s."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(CONFIG.read_text(encoding="utf-8"))
    known = settings["global"]
    host, port = (os.environ[f"PGBACKREST_REPO1_STORAGE_{part}"] for part in ("HOST", "PORT"))
    if not Path(ca := known["repo1-storage-ca-file"]).exists():
        raise Failed(f"no {ca}: the S3 server makes it when it starts; is it running?")
    try:
        context = ssl.create_default_context(cafile=ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # pgBackRest trusts that CA, too
        with socket.create_connection((host, int(port)), within_s) as connection:
            name = known["repo1-s3-endpoint"]
            context.wrap_socket(connection, server_hostname=name).close()
    except OSError as error:
        raise Failed(explain(f"ERROR: [S3] connect to {host}:{port}: {error}")) from None


def pgbackrest(*arguments: str, timeout_s: float = 60.0) -> str:
    """What it prints. Failed with its own error, and what that means here."""
    command = ["pgbackrest", f"--stanza={STANZA}", *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"pgbackrest {arguments[-1]}: no end after {timeout_s:.0f} s"
        raise Failed(f"{what}; does the S3 server answer?") from None
    if done.returncode:
        raise Failed(f"pgbackrest {arguments[-1]}: {explain(done.stdout + done.stderr)}")
    return done.stdout


def explain(output: str) -> str:
    """pgBackRest's first error in one line, with what to do where that is known."""
    whole = _said("ERROR", output) or " ".join(output.split())
    if "no backup set found" in whole:  # why, it only warns of
        whole += f": {warned}" if (warned := _said("WARN: repo1", output)) else ""
    error = whole.partition(" ***")[0][:300]  # what was sent and answered over HTTP is left out
    hint = next((text for pattern, text in HINTS if re.search(pattern, whole)), "")
    return f"{error.rstrip(':')} ({hint})" if hint else error


def _said(level: str, output: str) -> str:
    """The first message that begins so, in one line; "" without one."""
    found = re.search(rf"{level}: (\[.*?)(?=\n\S|\Z)", output, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


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


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Failed if another of that name is going on here; the kernel frees what a dead one held."""
    with (LOCKS / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another {name} is going on here; wait for its end") from None
        yield


def emptied(data: Path) -> None:
    """A folder with nothing in it, and no PostgreSQL of an earlier try running in it."""
    end(data)
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)


def end(data: Path) -> None:
    """Stop the PostgreSQL that runs in it, if one does.

    If the container was started again since, the number in its file may be another process's.
    """
    try:
        number = int((data / "postmaster.pid").read_text().split()[0])
        is_running = Path(f"/proc/{number}/cwd").samefile(data)
    except (OSError, ValueError, IndexError):
        return
    if is_running:
        command = ["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"]
        subprocess.run(command, capture_output=True, timeout=120, check=False)


def apart(data: Path, **more: str) -> str:
    """Options for a PostgreSQL on restored data: nobody meets it but who asks in /tmp."""
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": "/tmp",
        "hba_file": f"{data}/pg_hba.conf",
        "ident_file": f"{data}/pg_ident.conf",
        **more,
    }
    return " ".join(f"-c {name}='{value}'" for name, value in settings.items())


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
