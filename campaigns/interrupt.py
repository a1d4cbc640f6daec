"""Interrupts runs on the real stack, in every way, and looks for what is left.

    python -m campaigns.interrupt [--restart-engine "COMMAND"]    some 20 minutes; needs Docker

What is left is looked for without the harness: the engine and Toxiproxy are asked directly. The
last line is one JSON object; the exit code is 0 if nothing was left over in any case.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from campaigns.harness_command import HARNESS, ROOT
from harness.adapters.compose_project import read_environment
from harness.adapters.docker_engine import DockerEngine
from harness.lock import lock_holder
from harness.model.container import Container
from harness.state_folder import JOURNAL, state_root
from harness.watchdog import STILL_S

EVENT_S, END_S, HEALTHY_S, HEAL_LIMIT_S = 60.0, 180.0, 90.0, 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
RESCUED_S = 10.0  # all is healed so long after a SIGKILL, without a person
LOCKED_S = 60.0  # a watchdog looks again whether a call that was in flight took effect
MOMENTS = (
    "run.started", "fault.injecting", "fault.active", "fault.active 4", "fault.healing",
    "fault.healed", "fault.healed 4", "load.summary",
)  # fmt: skip
"""An event of the run, and which one of several."""
LOAD = """\
load: {entry: lb, rate: 50/s, mix: {redirect: 0.9, create: 0.1}, canary_rate: 5/s}
phases: {warmup: 1s, baseline: 2s, fault: 8s, recovery: 1s}
expect: {run: {redirect: [requests > 1]}}
"""
# The breaker of the link that is cut cools down in 1 s: Redis' would take a minute each time.
SMALL = f"""\
title: Four faults of different kinds that overlap
{LOAD}
faults:
  - {{kill: {{service: app-2}}, at: fault + 0s, for: 5s}}
  - {{down: {{link: app-1.db-ro}}, at: fault + 0.5s, for: 5s}}
  - {{latency: {{link: app-3.db-rw, latency: 50}}, at: fault + 1s, for: 5s}}
  - {{disconnect: {{service: lb-1}}, at: fault + 1.5s, for: 5s}}
"""
KILLED = (
    "edge", "lb-1", "lb-2", "app-1", "app-2", "app-3", "worker", "redis", "db-lb", "db-1", "db-2",
    "db-3", "etcd-1", "etcd-2", "etcd-3",
)  # fmt: skip
CUT = ("edge.*", "lb-*.*", "app-*.redis", "app-*.db-*")
EVERYTHING = f"""\
title: Everything is broken at once
allow_total_loss: true
{LOAD}
faults:
""" + "".join(
    [f"  - {{down: {{link: '{link}'}}, at: fault + 0s}}\n" for link in CUT]
    + [f"  - {{kill: {{service: {name}}}, at: fault + 1s}}\n" for name in KILLED]
)


ONE = {
    "kill": "{kill: {service: app-2}}",
    "stop": "{stop: {service: app-2, grace_s: 2}}",
    "pause": "{pause: {service: app-2}}",
    "disconnect": "{disconnect: {service: lb-1}}",
    "limit_cpu": "{limit_cpu: {service: app-2, cpus: 0.1}}",
    "limit_memory": "{limit_memory: {service: app-2, mib: 100}}",
    "wipe": "{wipe: {service: db-3}}",
    "start": "{start: {service: app-4}}",
    "down": "{down: {link: app-1.redis}}",
    "latency": "{latency: {link: app-1.redis, latency: 50}}",
    "bandwidth": "{bandwidth: {link: app-1.redis, rate: 100}}",
    "timeout": "{timeout: {link: app-1.redis, timeout: 500}}",
}
KINDS = {
    kind: f"title: One fault of kind {kind}\n{LOAD}\nfaults: [{fault}]\n"
    for kind, fault in ONE.items()
}
"""An experiment for each kind whose effect lasts."""


class Stack:
    """The stack of this clone, seen from beside the harness."""

    def __init__(self) -> None:
        settings = read_environment(ROOT)
        self.engine = DockerEngine(settings["COMPOSE_PROJECT_NAME"])
        self.toxiproxy = f"http://127.0.0.1:{settings['HARNESS_PORT_TOXIPROXY']}/proxies"
        self.state = state_root() / self.engine.project
        self.networks = {c.service: set(c.networks) for c in self._members()}
        self.limits = {c.service: _limits(c) for c in self._members()}

    def leftovers(self) -> list[str]:
        """Everything that is not as it was, and what the journal holds."""
        journal = self.state / JOURNAL
        lines = journal.read_text().splitlines() if journal.exists() else []
        return self.broken() + [f"in the journal: {line[:80]}" for line in lines]

    def broken(self) -> list[str]:
        """Everything that is not as it was."""
        found = [f"{c.service} is {c.status}" for c in self._members() if not c.is_running]
        found += [
            f"{c.service} is off {', '.join(self.networks[c.service] - set(c.networks))}"
            for c in self._members()
            if self.networks[c.service] - set(c.networks)
        ]
        with urllib.request.urlopen(self.toxiproxy, timeout=10) as answer:
            links = json.load(answer)
        spares = [c for c in self.engine.containers() if c.is_standby]
        found += [f"{c.service} runs" for c in spares if c.is_running]
        found += [f"{name} is cut" for name, link in links.items() if not link["enabled"]]
        found += [f"{name} suffers" for name, link in links.items() if link["toxics"]]
        return found + [
            f"the limits of {c.service} are {_limits(c)}"
            for c in self._members()
            if _limits(c) != self.limits[c.service]
        ]

    def container(self, service: str) -> Container:
        """The container of a service."""
        return next(c for c in self.engine.containers() if c.service == service)

    def _members(self) -> list[Container]:
        return [c for c in self.engine.containers() if c.role and not c.is_standby]


def _limits(container: Container) -> tuple[int, int]:
    return container.memory_bytes, container.nano_cpus


class Run:
    """One `harness run` as a process of its own."""

    def __init__(self, text: str, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        file = output / "interrupted.yaml"
        file.write_text(text)
        self.output = output
        self.log = (output / "log").open("w+")
        command = [str(HARNESS), "run", str(file), "--no-up", "--output", str(output)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=self.log, stderr=self.log, process_group=0
        )

    @property
    def folder(self) -> Path | None:
        """The run folder, None before there is one."""
        return next((path.parent for path in self.output.glob("2*/events.jsonl")), None)

    def wait_for(self, moment: str) -> None:
        """Return as soon as the event is in the log."""
        name, _, number = moment.partition(" ")
        deadline_s = time.monotonic() + EVENT_S
        while self.count(name) < int(number or 1):
            if self.process.poll() is not None or time.monotonic() > deadline_s:
                self.process.terminate()
                self.end()
                raise RuntimeError(f"{moment} did not come: {self.text()[-500:]}")
            time.sleep(0.002)

    def count(self, event: str) -> int:
        """How often the event is in the log."""
        if self.folder is None:
            return 0
        return (self.folder / "events.jsonl").read_text().count(f'"event": "{event}"')

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(END_S)

    def text(self) -> str:
        """What it printed."""
        self.log.flush()
        return (self.output / "log").read_text()

    def samples(self) -> int:
        """How many requests were recorded."""
        parts = self.folder.glob("samples/*.parquet") if self.folder else ()
        return sum(pq.read_metadata(part).num_rows for part in parts)

    def status(self) -> str:
        """What a later stage reads out of the folder."""
        command = [str(HARNESS), "analyze", str(self.folder)]
        subprocess.run(command, cwd=ROOT, timeout=60, check=True, stdout=subprocess.DEVNULL)
        assert self.folder is not None
        return str(json.loads((self.folder / "findings.json").read_text())["status"])

    def children(self) -> list[str]:
        """Processes of the run that are still there: load and watchdog name its folder."""
        name = self.folder.name if self.folder else "no folder"
        listed = subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        )
        return [line.strip() for line in listed.stdout.splitlines() if name in line]

    def watchdogs(self) -> list[int]:
        """Their process ids: of this run only."""
        return [int(line.split()[0]) for line in self.children() if "watchdog" in line]


def harness(*arguments: str) -> tuple[int, str]:
    """One command, to its end."""
    command = [str(HARNESS), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr


def healthy_after_s() -> float:
    """How long it takes from now until `harness status` calls the stack healthy."""
    started_s, text = time.monotonic(), ""
    while time.monotonic() < started_s + HEALTHY_S:
        code, text = harness("status", "--json")
        if code == 0 and json.loads(text)["healthy"]:
            return time.monotonic() - started_s
        time.sleep(0.5)
    raise RuntimeError(f"not healthy after {HEALTHY_S:.0f} s: {text[-500:]}")


def interrupted(stack: Stack, number: signal.Signals, moment: str, output: Path) -> list[str]:
    """What is wrong after a signal at that moment; after SIGKILL the watchdog ends it."""
    run = Run(SMALL, output)
    run.wait_for(moment)
    run.process.send_signal(number)
    code, wrong = run.end(), []
    if number == signal.SIGKILL:
        wrong += _rescued(stack, RESCUED_S)
    elif code != 130 and moment != "load.summary":  # it may be over before the signal comes
        wrong.append(f"exit code {code}")
    wrong += stack.leftovers()
    if (status := run.status()) != "interrupted" and moment != "load.summary":
        wrong.append(f"the run folder says {status}")
    if moment not in ("run.started", "fault.injecting", "fault.active") and run.samples() < 50:
        wrong.append(f"{run.samples()} samples kept")
    wrong += _gone(run)
    healthy_after_s()
    return wrong


def _rescued(stack: Stack, within_s: float) -> list[str]:
    """What is still broken so long after the runner was gone; then the lock must be free again."""
    deadline_s = time.monotonic() + within_s
    while (wrong := stack.broken()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    deadline_s = time.monotonic() + LOCKED_S
    while (holder := lock_holder(stack.state / "lock")) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return wrong + ([f"the lock is still held: {holder.text}"] if holder else [])


def killed(stack: Stack, kind: str, victim: str, output: Path) -> list[str]:
    """The runner, or its whole process group, is killed while a fault of that kind is active."""
    run = Run(KINDS[kind], output)
    run.wait_for("fault.active")
    (os.killpg if victim == "group" else os.kill)(run.process.pid, signal.SIGKILL)
    run.end()
    wrong = _rescued(stack, RESCUED_S) + stack.leftovers()
    if (status := run.status()) != "interrupted":
        wrong.append(f"the run folder says {status}")
    wrong += _gone(run)
    healthy_after_s()
    return wrong


def both_killed(stack: Stack, output: Path) -> list[str]:
    """Runner and watchdog: nothing heals by itself, `harness heal` does."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    for pid in run.watchdogs():
        os.kill(pid, signal.SIGKILL)
    run.process.kill()
    run.end()
    wrong = [] if stack.broken() else ["nothing was left to heal"]
    code, text = harness("heal")
    wrong += [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    wrong += stack.leftovers() + _gone(run)
    healthy_after_s()
    return wrong


def _gone(run: Run) -> list[str]:
    """The processes that are still there after 5 s."""
    deadline_s = time.monotonic() + 5
    while (left := run.children()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    return [f"still runs: {line[:80]}" for line in left]


def stopped_from_a_second_terminal(stack: Stack, output: Path) -> list[str]:
    """`harness heal --stop` while all faults are active."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    code, text = harness("heal", "--stop")
    wrong = [] if code == 0 else [f"heal --stop ended with {code}: {text[-300:]}"]
    wrong += [] if run.end() == 130 else ["the run did not end as interrupted"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


def asleep_for_a_while(stack: Stack, number: signal.Signals, output: Path) -> list[str]:
    """The runner stands still while faults are active, the watchdog heals, and it goes on."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    run.process.send_signal(number)
    deadline_s = time.monotonic() + STILL_S + RESCUED_S
    while (wrong := stack.broken()) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    run.process.send_signal(signal.SIGCONT)
    code = run.end()
    wrong += [] if code == 130 else [f"exit code {code}: {run.text()[-300:]}"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


def toxiproxy_killed(stack: Stack, output: Path) -> list[str]:
    """A clear error that names what is left; `harness up`, then `harness heal` fix it."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    subprocess.run(
        ["docker", "kill", stack.container("toxiproxy").id],
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
    )
    code, wrong = run.end(), []
    if code != 4 or "is not healed" not in run.text() or "harness heal" not in run.text():
        wrong.append(f"exit code {code}: {run.text()[-500:]}")
    harness("up")  # refuses to go on, but starts what does not run
    code, text = harness("heal")
    wrong += [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    healthy_after_s()
    return wrong + stack.leftovers()


def engine_restarted(stack: Stack, command: str, output: Path) -> list[str]:
    """Healed by the run itself, or by `harness heal` where it names what is left."""
    run = Run(SMALL, output)
    run.wait_for("fault.active 4")
    subprocess.run(shlex.split(command), check=True, timeout=120)
    code, wrong = run.end(), []
    if code == 4 and "is not healed" in run.text() and "harness heal" not in run.text():
        wrong.append(f"no command that fixes it: {run.text()[-500:]}")
    healed, text = harness("heal")
    wrong += [] if healed == 0 else [f"heal ended with {healed}: {text[-300:]}"]
    harness("up")
    healthy_after_s()
    return wrong + stack.leftovers()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 2 MB; needs root."""
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True, timeout=10
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


def disk_full(stack: Stack, output: Path) -> list[str]:
    """The disk of the run folder fills up while a fault is active."""
    with small_disk(output) as folder:
        run = Run(SMALL, folder)
        run.wait_for("fault.active")
        with (folder / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass  # it is full now
        code = run.end()
        wrong = [] if code == 4 else [f"exit code {code}"]
    wrong += stack.leftovers()
    healthy_after_s()
    return wrong


def heal_of_everything(stack: Stack, output: Path) -> tuple[list[str], dict[str, float]]:
    """All links cut, all servers killed, and then the harness too."""
    run = Run(EVERYTHING, output)
    run.wait_for(f"fault.active {len(CUT) + len(KILLED)}")
    run.process.send_signal(signal.SIGKILL)
    run.end()
    started_s = time.monotonic()
    code, text = harness("heal")  # waits for the watchdog, which heals
    heal_s = time.monotonic() - started_s
    wrong = [] if code == 0 else [f"heal ended with {code}: {text[-300:]}"]
    wrong += stack.leftovers()
    total_s = heal_s + healthy_after_s()
    if total_s > HEAL_LIMIT_S:
        wrong.append(f"healthy after {total_s:.1f} s, more than {HEAL_LIMIT_S:.0f} s")
    return wrong, {"heal_s": round(heal_s, 1), "healthy_s": round(total_s, 1)}


def main() -> int:
    """All cases, one after another; each begins with a healthy stack."""
    parser = argparse.ArgumentParser(description="Interrupt runs on the real stack.")
    parser.add_argument("--restart-engine", metavar="COMMAND", help="also restart the engine so")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has TEXT")
    options = parser.parse_args()
    code, text = harness("up")
    if code:
        sys.exit(text)
    stack, facts = Stack(), dict[str, float]()

    def everything(output: Path) -> list[str]:
        wrong, times = heal_of_everything(stack, output)
        facts.update(times)
        return wrong

    cases = _cases(stack, options.restart_engine)
    cases["everything broken"] = everything
    chosen = {name: case for name, case in cases.items() if options.only in name}
    try:
        rows = [_tried(name, case) for name, case in chosen.items()]
    except KeyboardInterrupt:
        sys.stderr.write(f"interrupted; healing: {harness('heal', '--stop')[1]}")
        return 130
    left = sum(bool(row["wrong"]) for row in rows)
    print(json.dumps({"cases": len(rows), "with_leftovers": left, **facts, "rows": rows}))  # noqa: T201
    return 1 if left else 0


def _cases(stack: Stack, restart_engine: str | None) -> dict[str, Callable[[Path], list[str]]]:
    """By name, in their order; each takes the folder for its reports."""
    cases: dict[str, Callable[[Path], list[str]]] = {
        f"{number.name} at {moment}": partial(interrupted, stack, number, moment)
        for moment in MOMENTS
        for number in SIGNALS
    }
    cases["heal --stop"] = partial(stopped_from_a_second_terminal, stack)
    for number in (signal.SIGSTOP, signal.SIGTSTP):
        cases[f"asleep by {number.name}"] = partial(asleep_for_a_while, stack, number)
    for kind in KINDS:
        for victim in ("runner", "group"):
            cases[f"{victim} killed, {kind}"] = partial(killed, stack, kind, victim)
    cases["runner and watchdog killed"] = partial(both_killed, stack)
    cases["Toxiproxy killed"] = partial(toxiproxy_killed, stack)
    if os.geteuid() == 0:
        cases["disk full"] = partial(disk_full, stack)
    if restart_engine:
        cases["engine restarted"] = partial(engine_restarted, stack, restart_engine)
    return cases


def _tried(name: str, case: Callable[[Path], list[str]]) -> dict[str, Any]:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            wrong = case(Path(folder) / "reports")
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
    if wrong:  # the next case begins with a whole stack
        harness("heal")
        harness("up")
    seconds = time.monotonic() - started_s
    print(f"{name}: {'; '.join(wrong) or 'nothing left'} ({seconds:.0f} s)", flush=True)  # noqa: T201
    return {"case": name, "wrong": wrong, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    sys.exit(main())
