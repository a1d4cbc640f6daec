"""The watchdog: a separate process for each run. It heals when the runner no longer can.

    runner --"." each second, "E" at its end--> watchdog --"T" I take over, "D" done--> runner

The runner is gone when the socket ends, however it died; it stands still when no dot came for
the bound (Ctrl-Z, SIGSTOP). If the journal then names a fault, this process becomes
`harness.rescue`, which heals. It shares the runner's lock, so no other run can start in between.

Only the standard library, and nothing of the harness: it starts in 20 ms and takes 10 MB, while
what heals takes 90 MB and is loaded when it is needed.
"""

import json
import os
import select
import socket
import sys
from pathlib import Path
from time import monotonic
from typing import NoReturn

BEAT, END, TAKEN, DONE = b".", b"E", b"T", b"D"
WATCHDOG_NAME = "watchdog of"
LATE_S = 1.0


def main(arguments: list[str]) -> int:
    """Arguments: descriptors of socket and lock, the bound, state and run folder, and ours."""
    channel_fd, lock_fd, still_s, state_dir, run_folder, package = arguments
    channel = socket.socket(fileno=int(channel_fd))
    reason = watch(channel, float(still_s), Path(state_dir) / "journal.jsonl")
    if reason == "still" and not _say_taken(channel):
        reason = "gone"
    if reason == "gone":
        _say_who(int(lock_fd), Path(run_folder).name)
    if reason:
        _become_rescue([reason, channel_fd, lock_fd, state_dir, run_folder], package)
    return 0


def watch(channel: socket.socket, still_s: float, journal: Path) -> str:
    """Wait until the runner ended well (""), or is "gone" or "still" and something is broken."""
    while True:
        asked_s = monotonic()
        if select.select([channel], [], [], still_s)[0]:
            said = _hear(channel)
            if END in said:
                return ""
            if not said:
                return "gone" if _is_broken(journal) else ""
        elif monotonic() - asked_s > still_s + LATE_S:
            continue  # this process stood still itself, as with a machine that slept
        elif _is_broken(journal):
            return "still"


def _become_rescue(arguments: list[str], package: str) -> NoReturn:
    """With the harness that started us, whatever the working directory; socket and lock stay."""
    for descriptor in arguments[1:3]:
        os.set_inheritable(int(descriptor), True)  # noqa: FBT003  # takes no keyword
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", "harness.rescue", *arguments]
    os.execve(sys.executable, command, environment)


def _say_taken(channel: socket.socket) -> bool:
    try:
        channel.send(TAKEN)
    except OSError:
        return False
    return True


def _hear(channel: socket.socket) -> bytes:
    try:
        return channel.recv(4096)
    except OSError:  # the other end died with words of ours unread
        return b""


def _is_broken(journal: Path) -> bool:
    try:
        return bool(journal.read_bytes().strip())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _say_who(lock: int, run_id: str) -> None:
    """As guard.py writes it: who has the lock from now on."""
    text = json.dumps({"pid": os.getpid(), "holder": f"{WATCHDOG_NAME} {run_id}"}).encode()
    try:
        os.pwrite(lock, text, 0)
        os.ftruncate(lock, len(text))
    except OSError:
        return  # a full disk must not stop the healing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
