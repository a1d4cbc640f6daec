"""`harness run`: check all files, then for each: stack, run, analyze, judge, report."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from harness.adapters.postgres_readback import PostgresReadback
from harness.cli.console import Screen
from harness.cli.environment import environment_facts
from harness.cli.project import Project
from harness.cli.stage_commands import analyze_folder, judge_folder, load, render_folder
from harness.errors import HarnessError, HealError, InvalidExperiment, UsageError
from harness.faults import KINDS
from harness.faults.target import pick_container
from harness.guard import check_flags, run_lock
from harness.load.driver import LoadConfig, LoadDriver
from harness.model.experiment import Experiment, Target
from harness.model.plan_json import plan_to_json
from harness.model.verdict import RunStatus
from harness.plan import make_plan
from harness.report.index import render_index
from harness.run_store import RunFolder
from harness.runner import Progress, World, run_plan
from harness.undo import boot_id

CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
ORDER = (4, 130, 5, 1, 3, 0)
STATUS_CODES = {"error": 4, "interrupted": 130, "aborted": 5}


@dataclass
class Outcome:
    """How one file ended."""

    name: str
    code: int
    result: dict[str, Any] | None = None
    folder: Path | None = None
    message: str = ""
    is_broken: bool = False  # something could not be healed: nothing else may start


class Stop:
    """Ctrl-C and SIGTERM: while a run walks they ask it to end, elsewhere they interrupt."""

    def __init__(self, screen: Screen) -> None:
        self.is_walking = False
        self.asked = False
        self._screen = screen

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers, and put back what was there."""
        before = {n: signal.signal(n, self._take) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if not self.is_walking:
            raise KeyboardInterrupt
        if not self.asked:
            self._screen.say("interrupted: healing every fault, then the report; please wait")
        self.asked = True


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run all files; the exit code is the first of 4, 130, 5, 1, 3, 0 that occurred."""
    project = Project(overrides=options.override)
    experiments = _load_all(options.files, project, allow_exec=options.allow_exec)
    stop = Stop(screen)
    outcomes: list[Outcome] = []
    holder = f"harness run {' '.join(path.stem for path in options.files)}"
    with run_lock(project.lock_path, holder), stop.handled():
        for path, experiment in zip(options.files, experiments, strict=True):
            outcomes.append(_run_file(path, experiment, options, (screen, stop)))
            if outcomes[-1].code == 130 or outcomes[-1].is_broken:
                break
    _print_summary(outcomes, screen)
    return next(code for code in ORDER if any(o.code == code for o in outcomes))


def _load_all(paths: Sequence[Path], project: Project, *, allow_exec: bool) -> list[Experiment]:
    """All files, or one error with the problems of all."""
    loaded, problems = [], []
    services = project.compose.services()
    for path in paths:
        try:
            experiment = load(path, services)
            needing = [f.id for f in experiment.faults if KINDS[f.kind].needs_flag]
            check_flags(experiment, needing, allow_exec=allow_exec)
            loaded.append(experiment)
        except InvalidExperiment as error:
            problems.append(error.message)
    if problems:
        raise UsageError("\n".join(problems), "mend the files, then: harness validate")
    return loaded


def _run_file(
    path: Path,
    experiment: Experiment,
    options: argparse.Namespace,
    hands: tuple[Screen, Stop],
) -> Outcome:
    """One file from stack to report; an error ends this file, not the others."""
    screen, stop = hands
    screen.say(f"{experiment.name}: {experiment.title}", "bold")
    try:
        project = _ready_project(experiment.target, options)
        folder = RunFolder(
            options.output / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{experiment.name}"
        )
        status = _execute(path, experiment, project, (options, screen, stop, folder))
        return _finish(experiment, folder, status, screen)
    except KeyboardInterrupt:
        return Outcome(experiment.name, 130, message="interrupted; no fault is active")
    except HarnessError as error:
        screen.error(error)
        is_broken = isinstance(error, HealError)
        code = error.exit_code
        return Outcome(experiment.name, code, message=error.message, is_broken=is_broken)


def _ready_project(target: Target, options: argparse.Namespace) -> Project:
    project = Project(target, options.override)
    project.check_journal()
    if not options.no_up:
        project.compose.up()
    project.wait_healthy()
    return project


def _execute(
    path: Path,
    experiment: Experiment,
    project: Project,
    rest: tuple[argparse.Namespace, Screen, Stop, RunFolder],
) -> RunStatus:
    options, screen, stop, folder = rest
    plan = make_plan(experiment, options.seed)
    folder.create()
    folder.write_text("experiment.yaml", path.read_text(encoding="utf-8"))
    folder.write_json("plan.json", plan_to_json(plan, experiment))
    command = shlex.join(["harness", *sys.argv[1:]])
    facts = environment_facts(project, experiment, options.override)
    folder.write_json("environment.json", {**facts, "seed": options.seed, "command": command})
    driver = _driver(experiment, project, options.seed, folder)
    world = World(
        project=project.name,
        boot_id=boot_id(),
        tools=project.tools(),
        journal=project.journal,
        probes=project.probes(),
        driver=driver,
        health=project.health,
        readback=PostgresReadback(project.engine, project.clock).read,
        show=lambda progress: _show(progress, project, screen),
        is_stopped=lambda: stop.asked,
    )
    stop.is_walking = True
    try:
        return run_plan(plan, experiment, world, folder)
    finally:
        stop.is_walking = False


def _driver(experiment: Experiment, project: Project, seed: int, folder: RunFolder) -> LoadDriver:
    config = LoadConfig(
        load=experiment.load,
        operations=experiment.operations,
        endpoints=project.endpoints(experiment.load.entry),
        seed=seed,
        run_id=folder.run_id,
        duration_s=experiment.end_s,
        canary_key_offset=_canary_offset(experiment, project),
        samples_dir=folder.samples_dir,
        state_file=project.state_dir / "state.json",
    )
    return LoadDriver(config, folder)


def _canary_offset(experiment: Experiment, project: Project) -> int:
    """Where the cold keys begin that no run has read since the caches were empty.

    When they are used up the shared cache is flushed, so that all are cold again.
    """
    path = project.state_dir / "canary_offset"
    population = experiment.load.keys.cold_population
    needed = int(experiment.load.canary_rate_per_s * (experiment.end_s + 30)) + 1
    offset = int(path.read_text()) if path.exists() else 0
    if offset + needed > population:
        offset = 0
        cache = pick_container({"role": "cache"}, project.tools())
        project.engine.execute(
            cache.id, ["sh", "-c", 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli FLUSHDB']
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(offset + needed))
    return offset


def _show(progress: Progress, project: Project, screen: Screen) -> None:
    """The live line, and the state that Locust's web page shows."""
    screen.progress(progress)
    state = {
        "run_id": progress.run_id,
        "phase": progress.phase,
        "faults": list(progress.faults),
        "at_s": round(progress.at_s, 1),
        "end_s": progress.end_s,
    }
    temporary = project.state_dir / ".state.json.part"
    temporary.write_text(json.dumps(state))
    temporary.replace(project.state_dir / "state.json")


def _finish(
    experiment: Experiment, folder: RunFolder, status: RunStatus, screen: Screen
) -> Outcome:
    """Analyze, judge, report; the verdict decides the code where the status does not."""
    analyze_folder(folder)
    result = judge_folder(folder, screen)
    page = render_folder(folder)
    _point_latest(folder.path)
    render_index(folder.path.parent)
    screen.verdict(result, page)
    code = STATUS_CODES.get(status, CODES[result["verdict"]])
    if status == "error":
        events = [e for e in folder.read_events() if e["event"] == "run.finished"]
        message = events[-1]["message"] if events else "the run ended with an error"
        screen.error(HarnessError(message, f"see {folder.path / 'events.jsonl'}"))
    return Outcome(experiment.name, code, result, folder.path)


def _point_latest(folder: Path) -> None:
    link = folder.parent / "latest"
    temporary = folder.parent / ".latest.part"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(link)


def _print_summary(outcomes: Sequence[Outcome], screen: Screen) -> None:
    if screen.as_json:
        screen.value(
            [{"experiment": o.name, "exit_code": o.code, **(o.result or {})} for o in outcomes]
        )
        return
    rows = []
    for outcome in outcomes:
        verdict = str(outcome.result["verdict"]).upper() if outcome.result else "ERROR"
        codes = [reason["code"] for reason in (outcome.result or {}).get("reasons", [])]
        where = str(outcome.folder / "index.html") if outcome.folder else outcome.message
        rows.append([outcome.name, verdict, ", ".join(codes) or "-", where])
    screen.table("Runs", ("experiment", "verdict", "reasons", "report"), rows)
