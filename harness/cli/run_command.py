"""`harness run`: flags in, a session, what came of each file out."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from harness.cli.console import Screen
from harness.cli.dry_run import dry_run
from harness.cli.repeat import Group, show_groups, write_groups
from harness.cli.target_flags import choice_of
from harness.load.workers.launch import read_address
from harness.model.quantity import AUTO
from harness.session.outcome import GRAVEST_FIRST, Outcome
from harness.session.session import Job, Session, Settings
from harness.session.stop import Stop


def run(options: argparse.Namespace, screen: Screen) -> int:
    """Run all files; the exit code is the first of 4, 130, 5, 1, 3, 0 that occurred."""
    stop = Stop(screen)
    settings = _settings(options)
    session = Session(settings, screen, stop)
    jobs = session.read(options.files, options.repeat)
    if options.dry_run:
        if options.scale == AUTO:
            screen.say("--scale auto: rates are shown as in the files; a run may lower them")
        return dry_run(jobs[: len(jobs) // options.repeat], settings, screen)
    holder = f"harness run {' '.join(dict.fromkeys(job.experiment.name for job in jobs))}"
    with session.locked(jobs, holder), stop.handled():
        outcomes = _run_all(session, jobs, screen)
    groups = []
    if options.repeat > 1:
        files = [job.path for job in jobs]
        groups = write_groups(files, [outcome.folder for outcome in outcomes], screen)
    _print_summary(outcomes, groups, screen)
    show_groups(groups, screen)
    return next(code for code in GRAVEST_FIRST if any(o.code == code for o in outcomes))


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        output=options.output,
        target=choice_of(options),
        overrides=tuple(options.override),
        seed=options.seed,
        scale=options.scale,
        when_quiet_s=options.when_quiet,
        starts_stack=not options.no_up,
        recreate=options.recreate,
        allow_exec=options.allow_exec,
        allow_host_access=options.allow_host_access,
        ignores_steady_state=options.ignore_steady_state,
        listen=None if options.listen is None else read_address(options.listen),
        join=options.join,
        command=shlex.join(["harness", *sys.argv[1:]]),
    )


def _run_all(session: Session, jobs: Sequence[Job], screen: Screen) -> list[Outcome]:
    """One after the other, until one is interrupted or leaves something broken."""
    outcomes: list[Outcome] = []
    for number, job in enumerate(jobs, 1):
        if len(jobs) > 1:
            screen.say(f"run {number} of {len(jobs)}")
        outcomes.append(session.run(job))
        if outcomes[-1].code == 130 or outcomes[-1].is_broken:
            break
    return outcomes


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
