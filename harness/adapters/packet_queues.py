"""The queues of a container's network devices, through `tc` in its network namespace.

The namespace is entered by the engine's own path for it (`nsenter --net=PATH`), never by a process
id: that could be another process's by then, and its network the machine's own. Only root may do so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from harness.errors import TargetError
from harness.faults.base import PacketQueue, PacketQueues

CALL_S = 10.0
TOOLS = ("nsenter", "unshare", "tc")
PROBE = ("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
"""Asks the kernel for netem in a new, empty network, which ends with the command."""
NO_NAMESPACE = ("No such file or directory", "Invalid argument")  # removed, or only its file left

Run = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command: its exit code and all that it printed."""


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """TargetError if it does not end within 10 s."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=CALL_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise TargetError(f"{' '.join(command)}: did not end within {CALL_S:.0f} s") from error
    return done.returncode, done.stdout.strip()


@dataclass(frozen=True, slots=True)
class TcPacketQueues(PacketQueues):
    """`user`: who asks, 0 for root; `which` finds a tool."""

    run: Run = run_command
    user: int = field(default_factory=os.geteuid)
    which: Callable[[str], str | None] = shutil.which

    @override
    def lacks(self) -> str:
        what = "delay and loss need"
        if self.user != 0:
            return f"{what} root: they act in a container's network from outside; use sudo"
        if missing := [tool for tool in TOOLS if not self.which(tool)]:
            packages = "iproute2 and util-linux"
            return f"{what} {' and '.join(missing)} on this machine; install {packages}"
        code, output = self.run(PROBE)
        if code != 0:
            fix = "`modprobe sch_netem`, or a kernel that has it"
            return f"{what} netem, which this kernel does not have ({_last(output)}); {fix}"
        return ""

    @override
    def queues(self, namespace: str) -> Mapping[str, PacketQueue] | None:
        code, output = self.run(_inside(namespace, "show"))
        if code != 0 and output.startswith("nsenter:") and output.endswith(NO_NAMESPACE):
            return None
        _check(code, "list the queues", output)
        lines = (line.split() for line in output.splitlines())
        return dict(_read(words) for words in lines if "root" in words)

    @override
    def add(self, namespace: str, device: str, handle: str, rule: Sequence[str]) -> None:
        what = ("dev", device, "root", "handle", handle, "netem", *rule)
        code, output = self.run(_inside(namespace, "add", *what))
        _check(code, f"delay or drop packets on {device}", output)

    @override
    def remove(self, namespace: str, device: str, handle: str) -> None:
        code, output = self.run(_inside(namespace, "del", "dev", device, "root", "handle", handle))
        _check(code, f"remove the queue of {device}", output)


def _inside(namespace: str, verb: str, *what: str) -> tuple[str, ...]:
    return ("nsenter", f"--net={namespace}", "tc", "qdisc", verb, *what)


def _check(code: int, what: str, output: str) -> None:
    if code != 0:
        raise TargetError(f"could not {what}: {_last(output)}", "see: tc qdisc show")


def _last(output: str) -> str:
    return output.splitlines()[-1].removeprefix("Error: ").rstrip(".") if output else "no output"


def _read(words: Sequence[str]) -> tuple[str, PacketQueue]:
    """`qdisc netem 4a52: dev eth0 root refcnt 2 limit 1000 delay 100ms`."""
    device, rest = words[words.index("dev") + 1], words[words.index("root") + 1 :]
    options = rest[2:] if rest[:1] == ["refcnt"] else rest
    return device, PacketQueue(words[1], words[2], " ".join(options))
