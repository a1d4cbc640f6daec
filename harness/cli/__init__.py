"""The command line: one subcommand per stage. The only place that wires, prints and exits.

Exit codes: 0 pass · 1 fail · 2 usage or invalid experiment · 3 inconclusive · 4 harness or target
error (a failed heal included) · 5 aborted by a safeguard · 130 interrupted. For several files
the first of 4, 130, 5, 1, 3, 0 that occurred.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.cli import compare_command, repeat, run_command, stack_commands, stage_commands
from harness.cli.console import Screen
from harness.errors import HarnessError

_HOST = "allow a Compose file that asks for mounts, devices or privileges of this machine"
_JSON = "print JSON, and nothing else, to stdout"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code; no error is shown as a traceback."""
    options = make_parser().parse_args(arguments)
    screen = Screen(as_json=getattr(options, "json", False))
    try:
        code: int = options.act(options, screen)
    except HarnessError as error:
        screen.error(error)
        return error.exit_code
    except OSError as error:
        screen.error(_of_os(error))
        return 4
    except KeyboardInterrupt:
        screen.error(HarnessError("interrupted", "harness status says whether a fault is active"))
        return 130
    except Exception as error:  # noqa: BLE001  # everything is healed by now; say where it was
        screen.error(_of_bug(error))
        return 4
    return code


def make_parser() -> argparse.ArgumentParser:
    """All subcommands with their flags."""
    parser = argparse.ArgumentParser(
        prog="harness",
        description="Breaks parts of a service on purpose, and measures what its clients notice.",
        epilog="Exit codes: 0 pass, 1 fail, 2 wrong usage or file, 3 inconclusive, 4 error, "
        "5 aborted by a safeguard, 130 interrupted.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    _add_stages(commands)
    _add_compare(commands)
    _add_stack(commands)
    return parser


Commands = argparse._SubParsersAction  # its only name


def _add_run(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run experiments, judge them, write the reports")
    run.add_argument("files", nargs="+", type=Path, metavar="EXPERIMENT.yaml")
    run.add_argument(
        "--output", type=Path, default=Path("reports"), metavar="DIR", help="default: reports"
    )
    run.add_argument("--seed", type=_seed, default=1, metavar="N", help="of all chance; default: 1")
    run.add_argument(
        "--override",
        type=Path,
        action="append",
        default=[],
        metavar="COMPOSE.yaml",
        help="merged over the Compose file; may be repeated",
    )
    run.add_argument(
        "--repeat",
        type=repeat.repetitions,
        default=1,
        metavar="N",
        help="run all files N times, one round after another, and judge each on its worst figures",
    )
    run.add_argument("--no-up", action="store_true", help="take the stack as it is")
    run.add_argument("--allow-exec", action="store_true", help="allow the fault `exec`")
    run.add_argument("--allow-host-access", action="store_true", help=_HOST)
    run.add_argument(
        "--dry-run", action="store_true", help="show what would be touched, and touch nothing"
    )
    run.add_argument("--json", action="store_true", help=_JSON)
    run.set_defaults(act=run_command.run)


def _add_stages(commands: Commands[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser("list", help="list the experiments")
    listing.add_argument(
        "folder", nargs="?", type=Path, default=Path("experiments"), help="default: experiments"
    )
    listing.add_argument("--json", action="store_true", help=_JSON)
    listing.set_defaults(act=stage_commands.list_experiments)
    for name, act, text in (
        ("validate", stage_commands.validate, "check experiment files"),
        ("plan", stage_commands.plan, "show what a run would do, and touch nothing"),
    ):
        stage = commands.add_parser(name, help=text)
        stage.add_argument("files", nargs="+", type=Path, metavar="EXPERIMENT.yaml")
        stage.add_argument("--seed", type=_seed, default=1, metavar="N", help="default: 1")
        stage.add_argument("--json", action="store_true", help=_JSON)
        stage.set_defaults(act=act)
    for name, act, text in (
        ("analyze", stage_commands.analyze, "run folder -> findings.json"),
        ("judge", stage_commands.judge, "findings.json -> result.json, junit.xml, summary.md"),
        ("report", stage_commands.report, "findings.json, result.json -> index.html"),
    ):
        stage = commands.add_parser(name, help=text)
        stage.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
        stage.set_defaults(act=act)
    schema = commands.add_parser("schema", help="print a JSON Schema")
    schema.add_argument("what", choices=("experiment", "result"), nargs="?", default="experiment")
    schema.set_defaults(act=stage_commands.schema)


def _add_compare(commands: Commands[argparse.ArgumentParser]) -> None:
    compare = commands.add_parser("compare", help="what got worse from A to B, and by how much")
    for side in ("a", "b"):
        what = "a run folder, a group folder, or several joined with commas"
        compare.add_argument(side, metavar=side.upper(), help=what)
    compare.add_argument("--output", type=Path, metavar="DIR", help="default: reports/compare-A-B")
    compare.add_argument("--different", action="store_true", help="allow different experiments")
    for name, parse, default, what in (
        ("relative", compare_command.share, "10%", "of the value in A"),
        ("response-time", compare_command.duration, "5ms", "of response time"),
        ("error-rate", compare_command.share, "0.1%", "percentage points of errors"),
        ("recovery", compare_command.duration, "1s", "of recovery time"),
    ):
        text = f"smallest change that matters, {what}; default: {default}".replace("%", "%%")
        compare.add_argument(f"--min-{name}", type=parse, default=default, metavar="X", help=text)
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")
    compare.set_defaults(act=compare_command.compare)


def _add_stack(commands: Commands[argparse.ArgumentParser]) -> None:
    up = commands.add_parser("up", help="start the stack and wait until it is healthy")
    up.add_argument("--allow-host-access", action="store_true", help=_HOST)
    up.set_defaults(act=stack_commands.up)
    down = commands.add_parser("down", help="stop the stack")
    down.add_argument("--volumes", action="store_true", help="delete its data too")
    down.set_defaults(act=stack_commands.down)
    status = commands.add_parser("status", help="containers, health, faults, who runs")
    status.add_argument("--json", action="store_true", help=_JSON)
    status.set_defaults(act=stack_commands.status)
    heal = commands.add_parser("heal", help="mend everything that a run left broken")
    heal.add_argument("--stop", action="store_true", help="end the run that is going on first")
    heal.set_defaults(act=stack_commands.heal)
    ui = commands.add_parser("ui", help="open Locust's web page on the same arrivals")
    ui.add_argument("file", type=Path, metavar="EXPERIMENT.yaml")
    ui.add_argument(
        "--port", type=_port, metavar="N", help="of the page; default: HARNESS_PORT_LOCUST"
    )
    ui.set_defaults(act=stack_commands.ui)
    doctor = commands.add_parser("doctor", help="what is missing here, and what mends it")
    doctor.add_argument("--json", action="store_true", help=_JSON)
    doctor.set_defaults(act=stack_commands.doctor)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 1 to 65535")
    return int(text)


def _of_os(error: OSError) -> HarnessError:
    where = f"{error.filename}: " if error.filename else ""
    return HarnessError(f"{where}{error.strerror or error}", "free space or mend permissions")


def _of_bug(error: Exception) -> HarnessError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}, in {last.name}"
    return HarnessError(
        f"this is a bug in harness: {type(error).__name__}: {error} ({place})",
        "report that line and the command; harness status says whether a fault is active",
    )


if __name__ == "__main__":
    sys.exit(main())
