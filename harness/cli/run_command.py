"""`harness run`: check all files, then for each: stack, run, analyze, judge, report."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from harness.adapters.click_counts import ClickCounts
from harness.adapters.postgres_readback import PostgresReadback
from harness.adapters.target_settings import TargetSettings
from harness.cli.arguments import AUTO
from harness.cli.console import Screen
from harness.cli.dry_run import dry_run
from harness.cli.environment import environment_facts
from harness.cli.experiment_files import all_at_once, experiment_files
from harness.cli.load_scale import LoadScale
from harness.cli.project import Project
from harness.cli.quiet import look_first
from harness.cli.refusal import record_error
from harness.cli.repeat import Group, show_groups, write_groups
from harness.cli.stage_commands import (
    analyze_folder,
    judge_folder,
    load,
    render_folder,
    render_list,
)
from harness.errors import HarnessError, HealError, Interrupted, LoadError, UsageError
from harness.faults import KINDS
from harness.guard import check_flags, check_host_access, run_lock
from harness.load.allowed_hosts import check_hosts
from harness.load.driver import LoadConfig, LoadDriver
from harness.load.secret import missing_secrets
from harness.model.experiment import Experiment, Target
from harness.model.plan_json import plan_to_json
from harness.model.verdict import RunStatus
from harness.plan import aimed, make_plan
from harness.rescue import forget_rescue
from harness.run_store import RunFolder, new_folder, recorded, write_file
from harness.runner import Progress, World, run_plan
from harness.undo import boot_id
from harness.watchdog import Watchdog

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
    """Ctrl-C, SIGTERM and SIGHUP: while a run walks they ask it to end, elsewhere they interrupt.

    A second one changes nothing: healing is bounded, and nothing shortens it. SIGHUP (the terminal
    was closed) stays ignored where it was, as `nohup` has it.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, screen: Screen) -> None:
        self.is_walking = False
        self.asked = False
        self._screen = screen

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers, and put back what was there."""
        before = {n: signal.getsignal(n) for n in self.NUMBERS}
        if before[signal.SIGHUP] == signal.SIG_IGN:
            del before[signal.SIGHUP]
        try:
            for number in before:
                signal.signal(number, self._take)
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
    _resolve_paths(options)
    projects = _Projects(options.override)
    scale = LoadScale(options.scale)
    experiments = [scale.planned(experiment) for experiment in _load_all(options, projects)]
    if options.dry_run:
        if options.scale == AUTO:
            screen.say("--scale auto: rates are shown as in the files, a run may lower them")
        first = _in_turn(options, experiments)[: len(experiments)]
        aims = [(path, one, projects.of(one.target)) for path, one in first]
        return dry_run(aims, options.output, screen)
    stop, jobs = Stop(screen), _in_turn(options, experiments)
    outcomes: list[Outcome] = []
    holder = f"harness run {' '.join(path.stem for path in options.files)}"
    with ExitStack() as stack:
        paths = sorted({projects.of(e.target).lock_path for e in experiments})
        locks = {path: stack.enter_context(run_lock(path, holder)) for path in paths}
        stack.enter_context(stop.handled())
        for number, (path, experiment) in enumerate(jobs, 1):
            if len(jobs) > 1:
                screen.say(f"run {number} of {len(jobs)}")
            project = projects.of(experiment.target)
            job = Job(path, experiment, project, options, scale, locks[project.lock_path])
            outcomes.append(_run_file(job, screen, stop))
            if outcomes[-1].code == 130 or outcomes[-1].is_broken:
                break
    groups = []
    if options.repeat > 1:
        files = [path for path, _ in jobs]
        groups = write_groups(files, [outcome.folder for outcome in outcomes], screen)
    _print_summary(outcomes, groups, screen)
    show_groups(groups, screen)
    return next(code for code in ORDER if any(o.code == code for o in outcomes))


def _in_turn(
    options: argparse.Namespace, experiments: Sequence[Experiment]
) -> list[tuple[Path, Experiment]]:
    """Round after round, so that drift hits all alike; each round with the next victims."""
    return [
        (path, aimed(experiment, options.seed, repetition))
        for repetition in range(options.repeat)
        for path, experiment in zip(options.files, experiments, strict=True)
    ]


@dataclass(frozen=True)
class Job:
    """One file to run, and where; `lock` is the descriptor of the project's lock."""

    path: Path
    experiment: Experiment
    project: Project
    options: argparse.Namespace
    scale: LoadScale
    lock: int


class _Projects:
    """The projects that the experiments aim at, each wired once."""

    def __init__(self, overrides: Sequence[Path]) -> None:
        self._overrides = overrides
        self._wired: dict[Target, Project] = {}

    def of(self, target: Target) -> Project:
        if target not in self._wired:
            self._wired[target] = Project(target, self._overrides)
        return self._wired[target]


def _resolve_paths(options: argparse.Namespace) -> None:
    """Make files of names and folders; UsageError for paths that can never do, before all else."""
    options.files = experiment_files(options.files)
    for path in options.override:
        if not path.is_file():
            raise UsageError(f"--override {path}: no such file", "ls tests/defects")
    output = options.output
    while not output.exists() and output != output.parent:
        output = output.parent
    if not output.is_dir() or not os.access(output, os.W_OK):
        what = "cannot be written to" if output.is_dir() else "is not a folder"
        raise UsageError(f"--output {options.output}: {output} {what}", "choose another folder")


def _load_all(options: argparse.Namespace, projects: _Projects) -> list[Experiment]:
    """All files, or one error with the problems of all."""
    loaded: list[Experiment] = []
    problems: list[UsageError] = []
    for path in options.files:
        try:
            project = projects.of(load(path, None).target)
            experiment = load(path, project.compose.services())
            _check_allowed(experiment, project, options)
            loaded.append(experiment)
        except UsageError as error:
            problems.append(error)
    if problems:
        raise all_at_once(problems)
    return loaded


def _check_allowed(experiment: Experiment, project: Project, options: argparse.Namespace) -> None:
    """UsageError for what needs the user's word: flags, and a list of hosts that load may go to."""
    needing = [f.id for f in experiment.faults if KINDS[f.kind].needs_flag]
    check_flags(experiment, needing, allow_exec=options.allow_exec)
    check_host_access(project.host_access(), allow=options.allow_host_access)
    if missing := missing_secrets(experiment.operations[name] for name in experiment.load.mix):
        raise UsageError(f"{experiment.name}: {missing[0]} is not set", f"export {missing[0]}=...")
    if experiment.load.address is not None:
        try:
            check_hosts([experiment.load.address[0]])
        except LoadError as error:
            raise UsageError(f"{experiment.name}: {error.message}", error.hint) from error


def _run_file(job: Job, screen: Screen, stop: Stop) -> Outcome:
    """One file from stack to report; an error ends this file, not the others."""
    experiment, name = job.experiment, job.experiment.name
    screen.say(f"{name}: {experiment.title}", "bold")
    folder = RunFolder(new_folder(job.options.output, name))
    if stop.asked:
        return Outcome(name, 130, message="not started: interrupted")
    try:
        _make_ready(job)
        machine = look_first(job.project, job.options.when_quiet, screen)
        experiment = job.scale.fit(experiment, job.project, screen)
        status = _execute(replace(job, experiment=experiment), folder, machine, screen, stop)
        return _finish(experiment, folder, status, screen)
    except KeyboardInterrupt:
        interrupted = Interrupted("interrupted; no fault is active")
        screen.error(interrupted)
        if folder.path.exists():
            record_error(folder, experiment, interrupted, screen)
        return Outcome(name, 130, message="interrupted")
    except HarnessError as error:
        screen.error(error)
        if folder.has("events.jsonl"):
            screen.say(f"  recorded so far: {folder.path}")
        _report_error(job, folder, error, screen)
        is_broken = isinstance(error, HealError)
        return Outcome(name, error.exit_code, message=error.message, is_broken=is_broken)
    except Exception as error:
        wrapped = HarnessError(f"{type(error).__name__}: {error}", "see what harness run printed")
        _report_error(job, folder, wrapped, screen)
        raise


def _report_error(job: Job, folder: RunFolder, error: HarnessError, screen: Screen) -> None:
    """For CI: what it reads of the latest run may not be an older one's."""
    if record_error(folder, job.experiment, error, screen):
        with suppress(HarnessError):
            _point_latest(folder.path)


def _make_ready(job: Job) -> None:
    """A stack that runs, is healthy, and has no fault of an earlier run."""
    job.project.check_journal()
    if not job.options.no_up:
        job.project.compose.up()
    job.project.wait_healthy()


def _execute(
    job: Job, folder: RunFolder, machine: Mapping[str, Any], screen: Screen, stop: Stop
) -> RunStatus:
    """Everything that can be wrong is asked before the run folder is made."""
    experiment, project = job.experiment, job.project
    plan = make_plan(experiment, job.options.seed)
    facts = {**environment_facts(project, experiment, job.options.override), **machine}
    keys = _canary_keys(experiment, project)
    if keys.read_before:
        screen.say("the canary's cold keys were all read before: a cache may know some; see report")
    facts["canary_keys"] = asdict(keys)
    forget_rescue(project.state_dir)
    world = World(
        project=project.name,
        boot_id=boot_id(),
        tools=project.tools(),
        journal=project.journal,
        probes=project.probes(),
        driver=_driver(job, folder, keys.offset),
        health=project.health,
        readback=PostgresReadback(project.engine, project.clock).read,
        clicks=ClickCounts(project.engine, project.http, project.clock).read,
        settings=TargetSettings(project.engine, project.http).read,
        show=lambda progress: _show(progress, project, screen),
        is_stopped=lambda: stop.asked,
    )
    stop.is_walking = True
    try:
        _begin_folder(folder, job, plan_to_json(plan, experiment), facts)
        with Watchdog(project.state_dir, job.lock, folder.path) as watchdog:
            return run_plan(plan, experiment, replace(world, watchdog=watchdog), folder)
    finally:
        stop.is_walking = False


def _begin_folder(
    folder: RunFolder, job: Job, plan: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """What is known before the run; where that cannot be written, nothing is left behind."""
    command = shlex.join(["harness", *sys.argv[1:]])
    text = job.path.read_text(encoding="utf-8")
    folder.create()
    try:
        folder.write_text("experiment.yaml", text)
        folder.write_json("plan.json", plan)
        folder.write_json(
            "environment.json", {**facts, "seed": job.options.seed, "command": command}
        )
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _driver(job: Job, folder: RunFolder, canary_key_offset: int) -> LoadDriver:
    experiment, project = job.experiment, job.project
    config = LoadConfig(
        load=experiment.load,
        operations=experiment.operations,
        endpoints=project.endpoints(experiment.load),
        seed=job.options.seed,
        run_id=folder.run_id,
        duration_s=experiment.end_s,
        canary_key_offset=canary_key_offset,
        samples_dir=folder.samples_dir,
        state_file=project.state_dir / "state.json",
    )
    return LoadDriver(config, folder)


@dataclass(frozen=True)
class CanaryKeys:
    """Where the canary's keys begin, and whether some were `read_before`, so that caches know them.

    Each run reads those that were read the longest ago. Nothing is emptied when all were read
    once; `db_reached` in the findings says of how many answers no cache knew.
    """

    offset: int
    read_before: bool


def _canary_keys(experiment: Experiment, project: Project) -> CanaryKeys:
    path = project.state_dir / "canary_offset"
    keys = experiment.load.keys
    population = keys.cold_population or keys.population
    needed = int(experiment.load.canary_rate_per_s * (experiment.end_s + 30)) + 1
    used = _used_keys(path)
    write_file(path, str(used + needed))
    draws = any(experiment.operations[name].draws_key for name in experiment.load.mix)
    return CanaryKeys(used % population, read_before=draws and used + needed > population)


def _used_keys(path: Path) -> int:
    """How many keys the canaries of all runs have read; 0 where that is not known."""
    try:
        return max(0, int(path.read_text()))
    except (OSError, ValueError):
        return 0


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
    write_file(project.state_dir / "state.json", json.dumps(state))


def _finish(
    experiment: Experiment, folder: RunFolder, status: RunStatus, screen: Screen
) -> Outcome:
    """Analyze, judge, report; the verdict decides the code where the status does not."""
    analyze_folder(folder)
    result = judge_folder(folder, screen)
    page = render_folder(folder)
    _point_latest(folder.path)
    render_list(folder.path.parent)
    screen.verdict(result, page)
    code = STATUS_CODES.get(status, CODES[result["verdict"]])
    if status == "error":
        events = [e for e in folder.read_events() if e["event"] == "run.finished"]
        message = events[-1]["message"] if events else "the run ended with an error"
        screen.error(HarnessError(message, f"see {folder.path / 'events.jsonl'}"))
    return Outcome(experiment.name, code, result, folder.path)


def _point_latest(folder: Path) -> None:
    link, temporary = folder.parent / "latest", folder.parent / ".latest.part"
    with recorded(link):
        try:
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(folder.name)
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)


def _print_summary(outcomes: Sequence[Outcome], groups: Sequence[Group], screen: Screen) -> None:
    if screen.as_json:
        runs = [{"experiment": o.name, "exit_code": o.code, **(o.result or {})} for o in outcomes]
        screen.value({"runs": runs, "groups": [g.facts for g in groups]} if groups else runs)
        return
    if len(outcomes) == 1 and outcomes[0].result is None:
        return  # its error says it all
    rows = []
    for outcome in outcomes:
        verdict = str(outcome.result["verdict"]).upper() if outcome.result else "ERROR"
        reasons = (outcome.result or {}).get("reasons", [])
        codes = dict.fromkeys(reason["code"] for reason in reasons)
        rows.append([outcome.name, verdict, ", ".join(codes) or "-"])
    screen.table("Runs", ("experiment", "verdict", "reasons"), rows)
    for outcome in outcomes:  # below the table: a path is to be copied in one piece
        where = str(outcome.folder / "index.html") if outcome.folder else outcome.message
        screen.say(f"  {outcome.name}: {where}")
