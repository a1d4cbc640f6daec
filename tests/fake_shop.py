"""A small project in an empty folder, as the command line sees it, on fakes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fakes import (
    PROJECT,
    Cut,
    FakeClock,
    FakeDriver,
    FakeEngine,
    FakeHttp,
    FakeLinks,
    FakeWatchdog,
    container,
)

from harness.faults.base import Tools
from harness.load.driver import LoadConfig
from harness.lock import lock_holder
from harness.model.clock import Clock
from harness.model.experiment import Experiment
from harness.model.http import Address, authority
from harness.model.machine import Look
from harness.model.target import Target
from harness.preflight import Entries, Say
from harness.probes.health import Health
from harness.record.folder import RunFolder
from harness.session.project import Project

COMPOSE_FILE = """
services:
  app-1: {{image: "web:1", ports: ["127.0.0.1:{port}:80"],
          labels: {{harness.role: app, harness.entry: "lb:80"}}}}
  app-2: {{image: "web:1", labels: {{harness.role: app}}}}
"""
EXPERIMENT = """
title: One dead server costs no request
load: {entry: lb, rate: 1/s, canary_rate: 0/s, mix: {redirect: 1},
       operations: {redirect: {path: "/{key}", status: [302]}}}
phases: {warmup: 1s, baseline: 3s, fault: 3s, recovery: 3s}
faults: [{kill: {service: app-1}, at: fault + 0s}]
expect: {run: {redirect: [failed_requests == 0]}}
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The error messages; there is no traceback in any of them."""
        assert "Traceback" not in self.out + self.err
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    @property
    def remedies(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("  try: ")]

    def is_one_clear_error(self, code: int, *words: str) -> None:
        """What happened and where, what to do next, and the right exit code; nothing else."""
        assert self.code == code, self.out + self.err
        assert len(self.errors) == 1, self.err
        assert len(self.remedies) == 1, self.err
        for word in words:
            assert word in self.err


Cli = Callable[..., Done]


QUIET = Look(2.0, 2.0, 0.4, 0.1, 0.1, 0.0, 0.0, 0.0, 3.4)


@dataclass
class FakeProcessor:
    """Each pair of looks takes the next of `looks`; the last one stays."""

    looks: list[Look | None]
    has_begun: bool = False

    def look(self) -> Look | None:
        if not self.has_begun:
            self.has_begun = True
            return None
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


@dataclass
class Shop:
    """The project of `here` on a fake engine and a Compose binary that is a script.

    Tests change what they need: `health` and `looks` (the last one stays), `speed`, `error_rate`,
    hooks of `cut`. `recorded_share` is how much of the main load is recorded.
    """

    root: Path
    cut: Cut = field(default_factory=Cut)
    health: list[Health] = field(default_factory=lambda: [Health((), {})])
    error_rate: float = 0.0
    missing: tuple[str, ...] = ()
    recorded_share: float = 1.0
    looks: list[Look | None] = field(default_factory=lambda: [QUIET])
    speed: float = 20.0
    watchdogs: list[FakeWatchdog] = field(default_factory=list)
    configs: list[LoadConfig] = field(default_factory=list)
    asked_before: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = FakeClock()
        entry = {"harness.role": "app", "harness.entry": "lb:80"}
        members = [
            container("app-1", labels=entry, ports={80: 1}),
            container("app-2"),
            container("redis", "cache"),
        ]
        engine = FakeEngine({c.id: c for c in members}, clock, self.cut)
        self.tools = Tools(engine, FakeLinks(self.cut), clock, FakeHttp())
        self.compose = self.root.parent / "compose"
        self.answers: dict[str, Any] = {
            "config": {
                "name": PROJECT,
                "services": {
                    c.service: {
                        "labels": dict(c.labels),
                        "ports": [
                            {"target": port, "host_ip": "127.0.0.1", "published": "18990-18999"}
                            for port in c.ports
                        ],
                    }
                    for c in members
                },
            },
            "ps": "",
            "up": "",
            "down": "",
        }
        self.write_compose()

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def state(self) -> Path:
        return self.root.parent / "state" / "harness" / PROJECT

    def asked(self) -> str:
        """Every call of the Compose binary so far, a line for each."""
        path = self.root.parent / "asked"
        return path.read_text() if path.exists() else ""

    def publish(self, published: str) -> None:
        """The entry at this port of this machine, in the Compose file."""
        [port] = self.answers["config"]["services"]["app-1"]["ports"]
        port["published"] = published
        self.write_compose()

    def write_compose(self, failing: str = "", error: str = "", events: Sequence[Any] = ()) -> None:
        """The script answers each verb with `answers`; `failing` ends with 1 and `error`.

        `events` are what a dry run says.
        """
        cases = []
        for verb, answer in self.answers.items():
            text = answer if isinstance(answer, str) else json.dumps(answer)
            (self.root.parent / verb).write_text(text)
            cases.append(f'*" {verb} "*) cat {self.root.parent / verb};;')
        (self.root.parent / "error").write_text(error)
        refusal = f'case "$* " in *" {failing} "*) cat {self.root.parent}/error >&2; exit 1;; esac'
        answer = f'case "$* " in {" ".join(cases)} esac'
        (self.root.parent / "events").write_text("".join(f"{json.dumps(e)}\n" for e in events))
        dry = f'case "$* " in *" --dry-run "*) cat {self.root.parent}/events >&2;; esac'
        log = f'echo " $*" >> {self.root.parent}/asked'
        lines = ["#!/bin/sh", log, refusal if failing else "", dry, answer]
        self.compose.write_text("\n".join([*lines, ""]))
        self.compose.chmod(self.compose.stat().st_mode | stat.S_IXUSR)

    def project(self, target: Target | None = None, overrides: Sequence[Path] = ()) -> Project:
        """What `Project(...)` makes, less the engine."""
        project = Project(target, overrides)
        project.clock, project.http = self.tools.clock, self.tools.http  # type: ignore[assignment]
        project.engine = self.tools.engine  # type: ignore[assignment]
        project.tools = lambda: self.tools  # type: ignore[method-assign]
        project.health = self._look  # type: ignore[method-assign]
        project.probes = lambda _: ()  # type: ignore[method-assign]
        project.processor_time = self.processor  # type: ignore[method-assign,assignment]
        project.speed = lambda: self.speed  # type: ignore[method-assign]
        return project

    def _look(self) -> Health:
        self.cut("health")
        return self.health.pop(0) if len(self.health) > 1 else self.health[0]

    def processor(self) -> FakeProcessor:
        return FakeProcessor(self.looks)

    def driver(self, config: LoadConfig, folder: RunFolder) -> FakeDriver:
        self.configs.append(config)
        rate_per_s = config.load.rate_per_s * self.recorded_share
        rates_per_s = (rate_per_s, config.load.canary_rate_per_s)
        made = FakeDriver(self.cut, self.error_rate, samples=folder.samples_dir)
        return replace(made, rates_per_s=rates_per_s, missing=self.missing)

    def preflight(
        self,
        experiment: Experiment,
        addresses: Sequence[Address],
        clock: Clock,
        say: Say,
        others: Entries,
    ) -> list[dict[str, Any]]:
        """All is well, and nothing is sent."""
        self.cut("preflight")
        self.asked_before += [f"{experiment.name} at {authority(each)}" for each in addresses]
        say("preflight: all is well")
        return [{"operation": name} for name in experiment.operations]

    def watchdog(self, state_dir: Path, lock: int, run_folder: Path) -> FakeWatchdog:
        """Made before the run: whoever starts one must hold the project's lock."""
        holder = lock_holder(state_dir / "lock")
        assert holder is not None
        assert os.path.samestat(os.fstat(lock), (state_dir / "lock").stat())
        self.watchdogs.append(FakeWatchdog())
        return self.watchdogs[-1]

    def change(self, service: str, **facts: Any) -> None:
        """Change a container as something else than the harness would."""
        engine = self.tools.engine
        assert isinstance(engine, FakeEngine)
        engine.found[f"id-{service}"] = replace(engine.found[f"id-{service}"], **facts)

    def fail_at(self, effect: str, error: BaseException) -> None:
        """The next effect of that name raises."""

        def fail() -> None:
            del self.cut.hooks[effect]
            raise error

        self.cut.hooks[effect] = fail

    def runs(self) -> list[Path]:
        """The folders of runs that began, and of groups."""
        return [path for path in self._folders() if _has_begun(path)]

    def refused(self) -> list[Path]:
        """The folders of runs that did not begin."""
        return [path for path in self._folders() if not _has_begun(path)]

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.reports.glob("2*") if path.is_dir())


def _has_begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("plan.json", "group.json"))
