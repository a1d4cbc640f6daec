"""The one way in: from experiment files to outcomes, for the command line, pytest and pages.

    session = Session(Settings(output=Path("reports")))
    jobs = session.read([Path("experiments/cache/redis-outage.yaml")])
    with session.locked(jobs, "my tests"):
        outcome = session.run(jobs[0])

`run` is everything: stack up and healthy, load, faults, healing, analysis, verdict, report.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from harness.adapters.engine_address import hold_engine
from harness.checks import KINDS as CHECKS
from harness.checks.probe import CheckProbe, checks_of, missed_checks, requests_of
from harness.errors import HarnessError, HealError, Interrupted, LoadError, UsageError
from harness.experiment_file.foreseen import Known, moves
from harness.faults import KINDS
from harness.faults.base import Tools
from harness.guard import check_flags, check_host_access
from harness.load.allowed_hosts import check_hosts
from harness.load.driver import LoadConfig, LoadDriver
from harness.load.secret import missing_secrets
from harness.load.workers.launch import Elsewhere, check_elsewhere, check_listen
from harness.lock import run_lock
from harness.logs.hidden import Secrets
from harness.model.experiment import Experiment
from harness.model.http import Address
from harness.model.load import Load, address_of
from harness.model.plan_json import plan_to_json
from harness.model.target import Target
from harness.model.verdict import RunStatus
from harness.outlook import measured_without_canary
from harness.plan import aimed, make_plan
from harness.preflight import preflight
from harness.record.folder import RunFolder, new_folder
from harness.remedies import KINDS as REMEDIES
from harness.rescue import forget_rescue
from harness.runner import Progress, Site, World, run_plan
from harness.session.alerts import check_alerts
from harness.session.canary_keys import CanaryKeys, take_canary_keys
from harness.session.entries import check_places, with_entries
from harness.session.environment import environment_facts
from harness.session.experiment_files import (
    all_at_once,
    check_overrides,
    experiment_files,
)
from harness.session.faults import Faults
from harness.session.known import known_of, read_on
from harness.session.listener import Listener, Silent
from harness.session.load_scale import LoadScale
from harness.session.logs import keep_run_logs
from harness.session.outcome import Outcome, exit_code
from harness.session.project import Project
from harness.session.quiet import look_first
from harness.session.refusal import record_error
from harness.session.stages import (
    analyze_folder,
    judge_folder,
    point_latest,
    render_folder,
    render_list,
)
from harness.session.stop import Stop
from harness.session.targets import AS_FOUND, Choice, find_target
from harness.steady_state import missed
from harness.undo import Journal, boot_id
from harness.watchdog import Watchdog
from harness.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run: what `harness run` takes as flags.

    `scale` is a factor or "auto"; `when_quiet_s` how long to wait for a quiet machine, None: not
    at all; `command` is kept in environment.json and result.json. What `target` says comes before
    what the experiments say. With `recreate` containers that differ from the files are recreated.
    With `ignores_steady_state` every experiment is run as if it said so itself.
    Where `listen` is an address of this machine, `join` of the load's workers (None: all) join
    there from other machines.
    """

    output: Path = Path("reports")
    target: Choice = AS_FOUND
    overrides: tuple[Path, ...] = ()
    seed: int = 1
    scale: float | str = 1.0
    when_quiet_s: float | None = None
    starts_stack: bool = True
    recreate: bool = False
    allow_exec: bool = False
    allow_host_access: bool = False
    ignores_steady_state: bool = False
    listen: Address | None = None
    join: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One planned run: the experiment from the file, with its scale and victims.

    `known` is what its project was known to be when the file was read.
    """

    path: Path
    experiment: Experiment
    project: Project
    known: Known


class Session:
    """Runs experiments one after the other; a fault that cannot be healed ends it."""

    def __init__(
        self, settings: Settings, listener: Listener | None = None, stop: Stop | None = None
    ) -> None:
        self._settings = settings
        self._listener: Listener = listener or Silent()
        self._stop = stop or Stop(self._listener)
        self._scale = LoadScale(settings.scale)
        self._projects: dict[str, Project] = {}
        self._locks: dict[Path, int] = {}

    def read(self, named: Sequence[Path], repeat: int = 1) -> list[Job]:
        """All runs of files, folders or names, in order; UsageError with the problems of all.

        Round after round, so that drift affects all equally; each round with the next victims.
        """
        _check_paths(self._settings)
        jobs = self._read_all(experiment_files(named))
        planned = [replace(job, experiment=self._planned(job.experiment)) for job in jobs]
        return [
            replace(job, experiment=aimed(job.experiment, self._settings.seed, repetition))
            for repetition in range(repeat)
            for job in planned
        ]

    @contextmanager
    def locked(self, jobs: Sequence[Job], holder: str) -> Iterator[None]:
        """Locks the projects of these jobs; others who try get an error that names `holder`.

        What this session has locked already stays locked.
        """
        with ExitStack() as stack:
            for path in sorted({job.project.lock_path for job in jobs}):
                stack.enter_context(self._held(path, holder))
            yield

    def run(self, job: Job) -> Outcome:
        """One experiment from stack to report, in `locked`; an error is an outcome too."""
        experiment, listener, name = job.experiment, self._listener, job.experiment.name
        listener.say(f"{name}: {experiment.title}", "bold")
        for text in measured_without_canary(experiment):
            listener.say(f"  note: {text}")
        folder = RunFolder(new_folder(self._settings.output, name))
        if self._stop.asked:
            return Outcome(name, 130, message="not started: interrupted")
        try:
            self._make_ready(job.project)
            asked = self._preflight(job)
            machine = look_first(job.project, self._settings.when_quiet_s, listener)
            experiment = self._scale.fit(experiment, job.project, listener)
            known = {**machine, "preflight": asked}
            status = self._execute(replace(job, experiment=experiment), folder, known)
            return self._finish(experiment, folder, status)
        except KeyboardInterrupt:
            interrupted = Interrupted("interrupted; no fault is active")
            listener.error(interrupted)
            if folder.path.exists():
                record_error(folder, experiment, interrupted, listener)
            return Outcome(name, 130, message="interrupted")
        except HarnessError as error:
            listener.error(error)
            if folder.has("events.jsonl"):
                listener.say(f"  recorded so far: {folder.path}")
            self._report_error(job, folder, error)
            is_broken = isinstance(error, HealError)
            return Outcome(name, error.exit_code, message=error.message, is_broken=is_broken)
        except Exception as error:
            wrapped = HarnessError(f"{type(error).__name__}: {error}", "see what was printed")
            self._report_error(job, folder, wrapped)
            raise

    @contextmanager
    def faults(self, holder: str) -> Iterator[Faults]:
        """The project found here, healthy, to be broken by the caller's own code; see faults.py.

        Started if it does not run, unless the settings say else. Nobody else works on it meanwhile.
        HarnessError if it cannot be had so, or if something is left broken.
        """
        project = self._project(find_target(self._settings.target))
        check_host_access(project.host_access(), allow=self._settings.allow_host_access)
        with self._held(project.lock_path, holder) as lock:
            self._make_ready(project)
            forget_rescue(project.state_dir)
            folder = new_folder(project.state_dir, "faults")  # never made: there is no load to keep
            with Watchdog(project.state_dir, lock, folder) as watchdog:
                faults = Faults(
                    Site(**_site_of(project), watchdog=watchdog),
                    folder.name,
                    project.compose.services(),
                    project.wait_healthy,
                    allow_exec=self._settings.allow_exec,
                )
                with faults.watched():
                    yield faults

    @contextmanager
    def _held(self, path: Path, holder: str) -> Iterator[int]:
        """The descriptor of a lock, which is taken if this session does not have it yet."""
        if path in self._locks:
            yield self._locks[path]
            return
        with run_lock(path, holder) as lock:
            self._locks[path] = lock
            try:
                yield lock
            finally:
                del self._locks[path]

    def _project(self, target: Target) -> Project:
        """Each project is wired once."""
        key = target.model_dump_json()
        if key not in self._projects:
            self._projects[key] = Project(target, self._settings.overrides)
        return self._projects[key]

    def _read_all(self, files: Sequence[Path]) -> list[Job]:
        """All files as they are, or one error with the problems of all."""
        read: list[Job] = []
        known: dict[Project, Known] = {}  # as each project is now
        problems: list[UsageError] = []
        for path in files:
            try:
                project = self._project(find_target(self._settings.target, path))
                if project not in known:
                    known[project] = known_of(project)
                experiment = read_on(path, project, known[project])
                _check_allowed(experiment, project, self._settings)
                _check_workers(experiment, known[project], self._settings)
                read.append(Job(path, experiment, project, known[project]))
            except UsageError as error:
                problems.append(error)
        if problems:
            raise all_at_once(problems)
        return read

    def _planned(self, experiment: Experiment) -> Experiment:
        """With its scale, and with what the user's flags say of it."""
        planned = self._scale.planned(experiment)
        if not self._settings.ignores_steady_state:
            return planned
        return planned.model_copy(update={"ignores_steady_state": True})

    def _make_ready(self, project: Project) -> None:
        """A stack that runs, is healthy, and has no fault of an earlier run."""
        hold_engine()
        project.check_journal()
        project.check_clock()
        project.remember()
        if self._settings.starts_stack:
            project.start(recreate=self._settings.recreate, say=self._listener.say)
        project.wait_healthy()

    def _preflight(self, job: Job) -> list[dict[str, Any]]:
        """What each operation was answered; nothing where that is ignored.

        TargetError if one fails, if nobody can tell of alerts that are expected, or where users of
        a place are sent.
        """
        experiment, project = job.experiment, job.project
        for text in check_places(experiment, project):
            self._listener.say(f"  {text}")
        check_alerts(experiment, project, job.path)
        if experiment.ignores_steady_state:
            return []
        addresses = project.endpoints(experiment.load)
        others = {name: project.addresses(name) for name in experiment.other_entries}
        return preflight(experiment, addresses, project.clock, self._listener.say, others)

    def _execute(self, job: Job, folder: RunFolder, known: Mapping[str, Any]) -> RunStatus:
        """Everything that can be wrong is asked before the run folder is made.

        `known` goes into environment.json.
        """
        experiment, project, seed = job.experiment, job.project, self._settings.seed
        plan = make_plan(experiment, seed)
        facts = {**environment_facts(project, experiment, self._settings.overrides), **known}
        keys = take_canary_keys(experiment, project.state_dir)
        if keys.read_before:
            self._listener.say(
                "the canary has used all its cold keys: some may be cached; see the report"
            )
        facts |= {"canary_keys": asdict(keys), "seed": seed, "command": self._settings.command}
        forget_rescue(project.state_dir)
        world = self._world(job, folder, keys)
        if elsewhere := _elsewhere(self._settings, experiment.load):
            who = f"{elsewhere.workers} of {experiment.load.workers} workers join from elsewhere"
            self._listener.say(f"  {who}; there: {elsewhere.command}")
        self._stop.is_walking = True
        try:
            _begin_folder(folder, job, plan_to_json(plan, experiment), facts)
            lock = self._locks[project.lock_path]
            try:
                with Watchdog(project.state_dir, lock, folder.path) as watchdog:
                    return run_plan(plan, experiment, replace(world, watchdog=watchdog), folder)
            finally:
                keep_run_logs(project, folder, self._listener, self._stop)
        finally:
            self._stop.is_walking = False

    def _world(self, job: Job, folder: RunFolder, keys: CanaryKeys) -> World:
        project, experiment = job.project, job.experiment
        checks = checks_of(experiment, project.engine, project.clock, project.addresses)
        config = self._load_config(job, folder, keys.offset)
        config, followers = with_entries(config, experiment, project, project.state_dir)
        subjects = {item.aspect for item in experiment.hypothesis}
        return World(
            **_site_of(project),
            probes=(*project.probes(subjects), *checks, *followers),
            driver=LoadDriver(config, folder),
            health=project.health,
            readings=project.readings(),
            missed=self._missed(job, folder, checks),
            show=lambda progress: self._show(progress, project),
            is_stopped=lambda: self._stop.asked,
            hide=_hidden(experiment, project),
        )

    def _missed(
        self, job: Job, folder: RunFolder, checks: Sequence[CheckProbe]
    ) -> Callable[[float], Sequence[str]]:
        """Asked before the first fault, at a time of the run, whether the target is steady."""
        if job.experiment.ignores_steady_state:
            return lambda _: ()

        def look(at_s: float) -> list[str]:
            began_s = job.project.clock.now_s() - at_s
            found = missed(job.experiment, folder, at_s)
            return [*found, *missed_checks(job.experiment, checks, began_s)]

        return look

    def _load_config(self, job: Job, folder: RunFolder, canary_key_offset: int) -> LoadConfig:
        experiment, project = job.experiment, job.project
        return LoadConfig(
            load=experiment.load,
            operations=experiment.operations,
            endpoints=project.endpoints(experiment.load),
            seed=self._settings.seed,
            run_id=folder.run_id,
            duration_s=experiment.end_s,
            canary_key_offset=canary_key_offset,
            samples_dir=folder.samples_dir,
            headers=experiment.target.headers,
            state_file=project.state_dir / "state.json",
            elsewhere=_elsewhere(self._settings, experiment.load),
        )

    def _show(self, progress: Progress, project: Project) -> None:
        """The live line, and the state that Locust's web page shows."""
        self._listener.progress(progress)
        state = {
            "run_id": progress.run_id,
            "phase": progress.phase,
            "faults": list(progress.faults),
            "at_s": round(progress.at_s, 1),
            "end_s": progress.end_s,
        }
        write_whole(project.state_dir / "state.json", json.dumps(state))

    def _finish(self, experiment: Experiment, folder: RunFolder, status: RunStatus) -> Outcome:
        """Analyze, judge, report."""
        analyze_folder(folder)
        result = judge_folder(folder)
        self._listener.summary(folder.read_text("summary.md"))
        page = render_folder(folder)
        point_latest(folder.path)
        render_list(folder.path.parent)
        self._listener.verdict(result, page)
        if status == "error":
            events = [e for e in folder.read_events() if e["event"] == "run.finished"]
            message = events[-1]["message"] if events else "the run ended with an error"
            self._listener.error(HarnessError(message, f"see {folder.path / 'events.jsonl'}"))
        return Outcome(experiment.name, exit_code(status, result["verdict"]), result, folder.path)

    def _report_error(self, job: Job, folder: RunFolder, error: HarnessError) -> None:
        """For CI: what it reads of the latest run may not be an older one's."""
        if record_error(folder, job.experiment, error, self._listener):
            with suppress(HarnessError):
                point_latest(folder.path)


def _hidden(experiment: Experiment, project: Project) -> Callable[[str], str]:
    """What takes the project's secrets out of what remedies print."""
    if not experiment.remedies:
        return str
    return Secrets(project.secrets()).without


class _SiteFacts(TypedDict):
    project: str
    boot_id: str
    tools: Tools
    journal: Journal


def _site_of(project: Project) -> _SiteFacts:
    """Where faults act, but for who watches."""
    return {
        "project": project.name,
        "boot_id": boot_id(),
        "tools": project.tools(),
        "journal": project.journal,
    }


def _elsewhere(settings: Settings, load: Load) -> Elsewhere | None:
    if settings.listen is None:
        return None
    return Elsewhere(settings.listen, load.workers if settings.join is None else settings.join)


def _check_workers(experiment: Experiment, known: Known, settings: Settings) -> None:
    """UsageError for what `--listen` and `--join` ask of this load and cannot have."""
    load, elsewhere = experiment.load, _elsewhere(settings, experiment.load)
    if elsewhere is None:
        if settings.join is not None:
            raise UsageError("--join needs --listen", "say at which address of this machine")
        return
    entries = (load.entry, *experiment.other_entries)
    entry_moves = any(moves(made, name) for made in known.made.values() for name in entries)
    check_elsewhere(elsewhere, load, entry_moves=entry_moves)
    check_listen(elsewhere.listen)


def _check_paths(settings: Settings) -> None:
    """UsageError for paths that can never do, before anything is started."""
    check_overrides(settings.overrides)
    output = settings.output
    while not output.exists() and output != output.parent:
        output = output.parent
    if not output.is_dir() or not os.access(output, os.W_OK):
        what = "is not writable" if output.is_dir() else "is not a folder"
        raise UsageError(f"--output {settings.output}: {output} {what}", "choose another folder")


def _check_allowed(experiment: Experiment, project: Project, settings: Settings) -> None:
    """UsageError for what needs the user's word: flags, and a list of hosts that load may go to."""
    needing = [f.id for f in experiment.faults if KINDS[f.kind].needs_flag]
    needing += [r.id for r in experiment.remedies if REMEDIES[r.kind].part.needs_flag]
    needing += [f"check {c.name}" for c in experiment.checks if CHECKS[c.kind].needs_flag]
    check_flags(experiment, needing, allow_exec=settings.allow_exec)
    check_host_access(project.host_access(), allow=settings.allow_host_access)
    sent = [experiment.operations[name] for name in experiment.load.shares]
    if missing := missing_secrets([*sent, *requests_of(experiment.checks)]):
        raise UsageError(f"{experiment.name}: {missing[0]} is not set", f"export {missing[0]}=...")
    for address in filter(
        None, map(address_of, (experiment.load.entry, *experiment.other_entries))
    ):
        try:
            check_hosts([address[0]])
        except LoadError as error:
            raise UsageError(f"{experiment.name}: {error.message}", error.hint) from error


def _begin_folder(
    folder: RunFolder, job: Job, plan: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """What is known before the run; where that cannot be written, nothing is left behind."""
    text = job.path.read_text(encoding="utf-8")
    folder.create()
    try:
        folder.write_text("experiment.yaml", text)
        folder.write_json("plan.json", plan)
        folder.write_json("environment.json", facts)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
