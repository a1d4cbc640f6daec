"""All subcommands with their flags; a command's own code is imported when it is called."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from harness.cli.arguments import (
    WHEN_QUIET,
    count,
    duration,
    port,
    repetitions,
    scale,
    seed,
    share,
    trace,
)
from harness.cli.console import Screen
from harness.model.log_line import LEVELS

_HOST = "allow a Compose file that asks for host mounts, devices or privileges"
_FILES = "a file, a folder of files, or the name of an experiment in experiments/"
_OUTPUT = "where to write run folders; default: reports"
_RECREATE = "allow existing containers that differ from the files to be recreated"
_TARGET = "default: what the experiment says, else target.yaml or a Compose file here or above"
_JSON = "print only JSON to stdout"


def make_parser() -> argparse.ArgumentParser:
    """All subcommands with their flags."""
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Break parts of a service on purpose and measure what its clients notice.",
        epilog="Exit codes: 0 pass, 1 fail, 2 wrong usage or invalid file, 3 inconclusive, "
        "4 error, 5 aborted by a safeguard, 130 interrupted.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        *(_add_init, _add_run, _add_worker, _add_list, _add_files, _add_folders, _add_logs),
        *(_add_annotate, _add_schema, _add_compare),
        *(_add_stack, _add_backups, _add_heal, _add_ui, _add_doctor),
    ):
        add(commands)
    return parser


Commands = argparse._SubParsersAction  # its only name


def _add_init(commands: Commands[argparse.ArgumentParser]) -> None:
    init = commands.add_parser(
        "init", help="write target.yaml and first experiments for your Compose project"
    )
    init.add_argument(
        "--explain", action="store_true", help="show what was found and why; write nothing"
    )
    init.add_argument(
        "--entry", default="", metavar="SERVICE[:PORT]", help="where clients send their requests"
    )
    init.add_argument(
        "--path",
        action="append",
        default=[],
        dest="paths",
        metavar="/PATH",
        help="what clients ask for; may be repeated; default: /",
    )
    init.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write; default: harness, else chaos"
    )
    init.add_argument(
        "--links", action="store_true", help="let faults slow down or cut connections"
    )
    init.add_argument(
        "--ci", action="store_true", help="write the workflow to .github/workflows/harness.yml"
    )
    init.add_argument("--yes", action="store_true", help="ask nothing: take what is proposed")
    init.add_argument("--json", action="store_true", help=_JSON)
    _add_target(init, has_file=False)
    init.set_defaults(act=_later("init_command", "init"))


def _add_run(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run experiments, judge them, write the reports")
    run.add_argument("files", nargs="+", type=Path, metavar="EXPERIMENT", help=_FILES)
    run.add_argument("--output", type=Path, default=Path("reports"), metavar="DIR", help=_OUTPUT)
    run.add_argument("--seed", type=seed, default=1, metavar="N", help="random seed; default: 1")
    _add_override(run)
    _add_load(run)
    run.add_argument(
        "--no-up", action="store_true", help="use the running stack; do not start or update it"
    )
    run.add_argument("--recreate", action="store_true", help=_RECREATE)
    _add_permissions(run)
    run.add_argument(
        "--dry-run", action="store_true", help="show what a run would touch; change nothing"
    )
    run.add_argument("--json", action="store_true", help=_JSON)
    _add_target(run)
    run.set_defaults(act=_later("run_command", "run"))


def _add_load(run: argparse.ArgumentParser) -> None:
    """How often, how much, when and from where."""
    run.add_argument(
        "--repeat",
        type=repetitions,
        default=1,
        metavar="N",
        help="run each experiment N times, in rounds, and judge it on its worst figures",
    )
    run.add_argument(
        "--scale",
        type=scale,
        default=1.0,
        metavar="auto|X",
        help="multiply all rates by X; auto: measure before the run what this machine can handle",
    )
    run.add_argument(
        "--when-quiet",
        type=duration,
        metavar="[=DURATION]",
        help=f"wait until other programs leave the CPU alone, at most {WHEN_QUIET}; "
        "if they do not, exit with 3",
    )
    run.add_argument(
        "--listen",
        metavar="ADDRESS[:PORT]",
        help="let workers of other machines join there (`harness worker`); default port: 5557",
    )
    run.add_argument(
        "--join",
        type=count,
        metavar="K",
        help="so many of load.workers join from other machines; default with --listen: all",
    )


def _add_permissions(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--allow-exec",
        action="store_true",
        help="allow faults and checks that run commands inside containers",
    )
    run.add_argument("--allow-host-access", action="store_true", help=_HOST)
    run.add_argument(
        "--ignore-steady-state",
        action="store_true",
        help="break things also where operations fail, or limits are missed, before any fault",
    )


def _add_worker(commands: Commands[argparse.ArgumentParser]) -> None:
    worker = commands.add_parser("worker", help="send a share of the load of another machine's run")
    what = "where `harness run --listen` runs: an IP address in your list of allowed hosts"
    worker.add_argument("--master", required=True, metavar="HOST[:PORT]", help=what)
    worker.add_argument(
        "--wait",
        type=duration,
        default="10m",
        metavar="DURATION",
        help="give up if no run has begun by then; default: 10m, at most 1h",
    )
    worker.set_defaults(act=_later("worker_command", "worker"))


def _add_override(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--override",
        type=Path,
        action="append",
        default=[],
        metavar="COMPOSE.yaml",
        help="merge this file over the Compose file; may be repeated",
    )


def _add_target(command: argparse.ArgumentParser, *, has_file: bool = True) -> None:
    """Which project is meant: the same flags for every command that needs one.

    Without `has_file` there is no target file yet that could be named.
    """
    group = command.add_argument_group("target", _TARGET)
    one = group.add_mutually_exclusive_group()
    if has_file:
        one.add_argument("--target", type=Path, metavar="FILE", help="a file such as target.yaml")
    command.set_defaults(target=None)
    one.add_argument(
        "-f",
        "--file",
        type=Path,
        action="append",
        default=[],
        dest="compose_files",
        metavar="COMPOSE.yaml",
        help="a Compose file; may be repeated",
    )
    group.add_argument("--project-directory", type=Path, metavar="DIR", help="as Compose has it")
    group.add_argument("-p", "--project-name", default="", metavar="NAME", help="as Compose has it")
    group.add_argument(
        "--profile",
        action="append",
        default=[],
        dest="profiles",
        metavar="NAME",
        help="as Compose has it; may be repeated",
    )


def _add_list(commands: Commands[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser("list", help="list the experiments")
    listing.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("experiments"),
        help="folder to list; default: experiments",
    )
    listing.add_argument("--json", action="store_true", help=_JSON)
    listing.set_defaults(act=_later("stage_commands", "list_experiments"))


def _add_files(commands: Commands[argparse.ArgumentParser]) -> None:
    """What reads experiment files, and changes nothing."""
    for name, text in (
        ("validate", "check experiment files"),
        ("plan", "show the steps of a run; change nothing"),
    ):
        stage = commands.add_parser(name, help=text)
        stage.add_argument("files", nargs="+", type=Path, metavar="EXPERIMENT", help=_FILES)
        stage.add_argument(
            "--seed", type=seed, default=1, metavar="N", help="random seed; default: 1"
        )
        stage.add_argument("--json", action="store_true", help=_JSON)
        _add_override(stage)
        _add_target(stage)
        stage.set_defaults(act=_later("stage_commands", name))


def _add_folders(commands: Commands[argparse.ArgumentParser]) -> None:
    """The stages after a run, each by itself."""
    for name, text in (
        ("analyze", "compute a run's figures: findings.json"),
        ("judge", "judge the figures: result.json, junit.xml, summary.md"),
        ("report", "write the report: index.html"),
    ):
        stage = commands.add_parser(name, help=text)
        stage.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
        stage.set_defaults(act=_later("stage_commands", name))


def _add_annotate(commands: Commands[argparse.ArgumentParser]) -> None:
    annotate = commands.add_parser("annotate", help="report to GitHub why runs are not green")
    what = "run folders; or experiment files, whose problems are shown at their lines"
    annotate.add_argument("paths", nargs="+", type=Path, metavar="PATH", help=what)
    annotate.set_defaults(act=_later("annotate_command", "annotate"))


def _add_schema(commands: Commands[argparse.ArgumentParser]) -> None:
    schema = commands.add_parser(
        "schema", help="print the JSON Schema of an experiment file or a result"
    )
    schema.add_argument("what", choices=("experiment", "result"), nargs="?", default="experiment")
    schema.set_defaults(act=_later("stage_commands", "schema"))


def _add_logs(commands: Commands[argparse.ArgumentParser]) -> None:
    logs = commands.add_parser("logs", help="show what the target's parts logged during a run")
    logs.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    logs.add_argument(
        "--part",
        action="append",
        default=[],
        dest="parts",
        metavar="NAME",
        help="only this part, such as app-2; may be repeated; default: all",
    )
    logs.add_argument(
        "--around",
        default="",
        metavar="MOMENT",
        help="only from 5 s before until 10 s after a moment: an outage (outage-1), a fault "
        "by its id, or a time of the run (42s)",
    )
    logs.add_argument(
        "--trace",
        type=trace,
        metavar="ID",
        help="only lines of this request: a trace id or a traceparent",
    )
    logs.add_argument(
        "--level",
        choices=LEVELS,
        default=LEVELS[0],
        help=f"only lines at least as serious; default: {LEVELS[0]}",
    )
    logs.add_argument("--json", action="store_true", help=_JSON)
    logs.set_defaults(act=_later("logs_command", "logs"))


def _add_compare(commands: Commands[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser(
        "compare", help="show what got worse from A to B, and by how much"
    )
    for side in ("a", "b"):
        what = "a run folder, a group folder, or several run folders separated by commas"
        compare.add_argument(side, metavar=side.upper(), help=what)
    compare.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write it; default: reports/compare-A-B"
    )
    compare.add_argument(
        "--different", action="store_true", help="compare different experiments too"
    )
    for name, parse, default, what in (
        ("relative", share, "10%", "relative to A"),
        ("response-time", duration, "5ms", "in response time"),
        ("error-rate", share, "0.1%", "in error rate, in percentage points"),
        ("recovery", duration, "1s", "in recovery time"),
    ):
        text = f"smallest change that matters {what}; default: {default}".replace("%", "%%")
        compare.add_argument(f"--min-{name}", type=parse, default=default, metavar="X", help=text)
    compare.add_argument("--json", action="store_true", help=_JSON)
    compare.set_defaults(act=_later("compare_command", "compare"))


def _add_stack(commands: Commands[argparse.ArgumentParser]) -> None:
    up = commands.add_parser("up", help="start the stack and wait until it is healthy")
    up.add_argument("--allow-host-access", action="store_true", help=_HOST)
    up.add_argument("--recreate", action="store_true", help=_RECREATE)
    up.set_defaults(act=_later("stack_commands", "up"))
    down = commands.add_parser("down", help="stop the stack")
    down.add_argument("--volumes", action="store_true", help="also delete its data")
    down.set_defaults(act=_later("stack_commands", "down"))
    status = commands.add_parser(
        "status", help="show containers, health, faults and the current run"
    )
    status.add_argument("--json", action="store_true", help=_JSON)
    status.set_defaults(act=_later("stack_commands", "status"))
    for command in (up, down, status):
        _add_target(command)


def _add_backups(commands: Commands[argparse.ArgumentParser]) -> None:
    backups = commands.add_parser(
        "backups", help="show the backups of the database, and which were proven by restoring"
    )
    backups.add_argument("--json", action="store_true", help=_JSON)
    backups.set_defaults(act=_later("backups_command", "backups"))
    drill = commands.add_parser("drill", help="restore the newest backup beside the database")
    drill.add_argument(
        "--within", type=duration, default="10m", metavar="DURATION", help="default: 10m"
    )
    drill.set_defaults(act=_later("backups_command", "drill"))
    for command in (backups, drill):
        _add_target(command)


def _add_heal(commands: Commands[argparse.ArgumentParser]) -> None:
    heal = commands.add_parser("heal", help="undo every fault that a run left behind")
    heal.add_argument(
        "projects",
        nargs="*",
        metavar="PROJECT",
        help="Compose projects; default: all your projects",
    )
    heal.add_argument("--stop", action="store_true", help="first stop current runs")
    _add_target(heal)
    heal.set_defaults(act=_later("stack_commands", "heal"))


def _add_ui(commands: Commands[argparse.ArgumentParser]) -> None:
    ui = commands.add_parser("ui", help="start Locust's web page with an experiment's load")
    ui.add_argument(
        "file",
        type=Path,
        metavar="EXPERIMENT",
        help="a file, or the name of an experiment in experiments/",
    )
    ui.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="port of the page; default: HARNESS_PORT_LOCUST in .env",
    )
    _add_target(ui)
    ui.set_defaults(act=_later("ui_command", "ui"))


def _add_doctor(commands: Commands[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="show what this machine lacks, and how to fix it")
    doctor.add_argument("--json", action="store_true", help=_JSON)
    _add_target(doctor)
    doctor.set_defaults(act=_later("stack_commands", "doctor"))


Act = Callable[[argparse.Namespace, Screen], int]


def _later(module: str, name: str) -> Act:
    """The command `name`, imported when it is called: `--help` need not load the chart library."""
    return partial(_call, module, name)


def _call(module: str, name: str, options: argparse.Namespace, screen: Screen) -> int:
    act: Act = getattr(import_module(f"harness.cli.{module}"), name)
    return act(options, screen)
