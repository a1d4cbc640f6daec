"""Changes the code a little and sees whether a test notices: mutation testing, by mutmut.

`python scripts/mutants.py [GROUP ...] [--only GLOB ...] [--workers N] [--resume] [--seconds N]`;
the groups, their modules and the unit tests that must notice are in pyproject.toml
(`tool.mutants`). No other test runs, so nothing touches Docker. Mutants that do no harm are listed
in tests/mutants.yaml, each with a reason.

`--only shares` takes of each group just the modules whose path or name fits; what it finds is kept
apart from that of the whole group. `--workers` bounds the processes. `--resume` keeps what was
killed and tries the rest again; `--seconds` stops after that time. Prints the survivors that are
not listed, a table, and as its last line one JSON object. Exit codes: 0 all groups are good, 1 one
has less than 90 % killed of those not listed, or was not finished, 2 wrong usage, 4 the tests fail
without any mutant.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".mutants"
LISTED = ROOT / "tests" / "mutants.yaml"
SAMPLE = Path("reports/sample")
LEAST_SHARE = 0.9
STOP_S = 30.0


@dataclass(frozen=True)
class Group:
    """Modules (globs below the root) and the unit tests that must notice a change in them."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Mutant:
    """One change; `was` and `now` are the lines that differ, joined, of a survivor only."""

    file: str
    function: str
    status: str  # killed, survived, or left: not tried yet
    was: str = ""
    now: str = ""


@dataclass(frozen=True)
class Accepted:
    """A survivor that does no harm, and why."""

    file: str
    function: str
    was: str
    now: str
    reason: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether it is this mutant."""
        mine = (self.file, self.function, self.was, self.now)
        return mine == (mutant.file, mutant.function, mutant.was, mutant.now)


@dataclass(frozen=True)
class Row:
    """What became of a group's mutants; `share`: killed, of those tried and not accepted."""

    module: str
    mutants: int
    killed: int
    survived: int
    accepted: int
    left: int

    @property
    def share(self) -> float:
        """From 0 to 1; 0 where nothing was tried."""
        tried = self.killed + self.survived
        return self.killed / tried if tried else 0.0

    @property
    def is_good(self) -> bool:
        """Whether all were tried, and enough were killed."""
        return self.left == 0 and self.share >= LEAST_SHARE


def main(arguments: Sequence[str]) -> int:
    """Run the groups that were asked for; the exit code."""
    groups = read_groups(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    parser = _parser(groups)
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.groups if name not in groups]:
        parser.error(f"no group {', '.join(unknown)}; there are: {', '.join(groups)}")
    chosen = [groups[name] for name in asked.groups or groups]
    if asked.only and not (chosen := narrowed(chosen, asked.only)):
        parser.error(f"no module of these groups is called {', '.join(asked.only)}")
    accepted = read_accepted(LISTED.read_text())
    deadline_s = monotonic() + asked.seconds
    rows = []
    for group in chosen:
        found = _run(group, deadline_s, workers=asked.workers, resume=asked.resume)
        if found is None:
            sys.stderr.write(f"error: the tests of {group.name} fail without any mutant\n")
            return 4
        for mutant in survivors(found, accepted):
            print(in_words(mutant))  # noqa: T201
        rows.append(to_row(group.name, found, accepted))
    print(table(rows), json.dumps(summary(rows)), sep="\n")  # noqa: T201
    return 0 if all(row.is_good for row in rows) else 1


def read_groups(project: Mapping[str, Mapping[str, Mapping[str, object]]]) -> dict[str, Group]:
    """The groups of `tool.mutants`, by name."""
    found: dict[str, Group] = {}
    for name, facts in project["tool"]["mutants"].items():
        if isinstance(facts, dict):
            found[name] = Group(name, tuple(facts["modules"]), tuple(facts["tests"]))
    return found


def narrowed(groups: Iterable[Group], only: Sequence[str]) -> list[Group]:
    """The groups with just the modules that fit one of the globs: of their path, name or stem.

    A group without such a module is left out. The name says what was taken, it names a folder too.
    """
    found = []
    for group in groups:
        paths = (path for glob in group.modules for path in sorted(ROOT.glob(glob)))
        fits = (path for path in paths if any(_fits(path, glob) for glob in only))
        modules = tuple(str(path.relative_to(ROOT)) for path in dict.fromkeys(fits))
        if modules:
            taken = "+".join(only).replace("/", ".")
            found.append(Group(f"{group.name}-{taken}", modules, group.tests))
    return found


def _fits(path: Path, glob: str) -> bool:
    names = (str(path.relative_to(ROOT)), path.name, path.stem)
    return any(fnmatchcase(name, glob) for name in names)


def read_accepted(text: str) -> list[Accepted]:
    """The list of survivors that do no harm; several of one function may share a reason."""
    listed = YAML(typ="safe").load(text) or []
    return [
        Accepted(entry["file"], entry["function"], one["was"], one["now"], entry["reason"])
        for entry in listed
        for one in entry["mutants"]
    ]


def survivors(found: Iterable[Mutant], accepted: Sequence[Accepted]) -> list[Mutant]:
    """Those that nothing noticed, and that are not listed."""
    return [
        mutant
        for mutant in found
        if mutant.status == "survived" and not any(one.fits(mutant) for one in accepted)
    ]


def to_row(name: str, found: Sequence[Mutant], accepted: Sequence[Accepted]) -> Row:
    """The line of one group."""
    killed = sum(mutant.status == "killed" for mutant in found)
    left = sum(mutant.status == "left" for mutant in found)
    survived = len(survivors(found, accepted))
    listed = len(found) - killed - left - survived
    return Row(name, len(found), killed, survived, listed, left)


def table(rows: Sequence[Row]) -> str:
    """For people."""
    lines = [f"{'module':16}{'mutants':>9}{'killed':>8}{'survived':>10}{'listed':>8}{'share':>8}"]
    for row in rows:
        counts = f"{row.mutants:9}{row.killed:8}{row.survived:10}{row.accepted:8}{row.share:8.1%}"
        rest = f"  {row.left} not tried; --resume" if row.left else ""
        lines.append(f"{row.module:16}{counts}{rest}")
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> dict[str, object]:
    """The last line of the output."""
    return {
        "mutants": sum(row.mutants for row in rows),
        "killed": sum(row.killed for row in rows),
        "survived": sum(row.survived for row in rows),
        "listed": sum(row.accepted for row in rows),
        "left": sum(row.left for row in rows),
        "shares": {row.module: round(row.share, 3) for row in rows},
        "below": [row.module for row in rows if not row.is_good],
    }


def in_words(mutant: Mutant) -> str:
    """A survivor as an entry of tests/mutants.yaml, but for its reason."""
    was, now = (json.dumps(text, ensure_ascii=False) for text in (mutant.was, mutant.now))
    head = f"- file: {mutant.file}\n  function: {mutant.function}\n  reason:\n  mutants:\n"
    return f"{head}    - was: {was}\n      now: {now}"


def _run(group: Group, deadline_s: float, *, workers: int, resume: bool) -> list[Mutant] | None:
    """What became of the group's mutants; None if its tests fail as they are."""
    folder = WORK / group.name
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    _link_project(folder)
    job = {"only_mutate": group.modules, "tests": group.tests, "workers": workers}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "mutants.json").unlink(missing_ok=True)
    command = [sys.executable, str(ROOT / "scripts" / "mutmut_run.py"), "job.json"]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        code = _wait(process, deadline_s)
    results = folder / "mutants.json"
    if code not in (0, -signal.SIGINT) or not results.exists():
        sys.stderr.write((folder / "log.txt").read_text()[-4000:])
        return None
    return [Mutant(**row) for row in json.loads(results.read_text())]


def _wait(process: subprocess.Popen[bytes], deadline_s: float) -> int:
    """Its exit code; at the deadline it is asked to stop, and it writes down what it has."""
    try:
        return process.wait(max(1.0, deadline_s - monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _link_project(folder: Path) -> None:
    """Everything of the project by its name, so that mutmut's copies are made in `folder`.

    Of the reports only what is committed: there may be many others, and large ones.
    """
    (folder / SAMPLE).parent.mkdir(parents=True, exist_ok=True)
    paths = [path for path in ROOT.iterdir() if path.name != SAMPLE.parent.name]
    for path in (*paths, ROOT / SAMPLE):
        link = folder / path.relative_to(ROOT)
        if not path.name.startswith(".") and not link.is_symlink():
            link.symlink_to(path)


def _parser(groups: Mapping[str, Group]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Mutation testing of the modules that judge.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(groups)}")
    parser.add_argument(
        "--only", nargs="+", metavar="GLOB", help="just modules of that name or path"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2, help="processes")
    parser.add_argument("--resume", action="store_true", help="try only what is not killed yet")
    parser.add_argument("--seconds", type=float, default=86_400.0, help="stop after this time")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
