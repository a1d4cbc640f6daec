"""The catalogue of planted defects names what exists, and its edits still change something."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_copy import copy_of_the_stack

from campaigns.catalogue import DEFECTS as FOLDER
from campaigns.catalogue import Defect, in_ci, read_catalogue
from harness.adapters.compose_project import compose_command
from harness.aspects import metric_of
from harness.bundled.traffic import shortener_traffic
from harness.errors import EngineError
from harness.experiment_file import load_experiment
from harness.faults import KINDS

ROOT = Path(__file__).parents[2]
EXPERIMENTS = {
    path.stem: load_experiment(path, KINDS, traffic=shortener_traffic)
    for path in (ROOT / "experiments").glob("*/*.yaml")
}
CATALOGUE = read_catalogue()
OVERRIDES = sorted({name for defect in CATALOGUE for name in defect.overrides})
RECOVERY = ROOT / "target" / "database" / "recovery"
PLACES = {
    "recovery/": RECOVERY,
    "shortener/": ROOT / "target" / "shortener" / "shortener",
    "/etc/haproxy/": ROOT / "target" / "lb",
    "/etc/patroni/archiving/20-archiving.yml": RECOVERY / "patroni.yml",
    "/etc/patroni/": ROOT / "target" / "database",
    "/etc/varnish/": ROOT / "target" / "edge",
    "/etc/toxiproxy/": ROOT / "target" / "toxiproxy",
    "/etc/monitoring/": ROOT / "target" / "monitoring",
    "/etc/rsyslog.conf": ROOT / "target" / "logs" / "collector" / "rsyslog.conf",
    "patroni/50-": ROOT / "target" / "database" / "regions",
    "keeper/": ROOT / "target" / "regions" / "keeper" / "keeper",
    "zones/": ROOT / "target" / "regions" / "dns",
    "config": ROOT / "target" / "regions" / "dns" / "config",
    "rules/": ROOT / "target" / "monitoring" / "rules",
    "prometheus.yml": ROOT / "target" / "monitoring" / "prometheus.yml",
}
"""Where the files of the images come from."""
WITHOUT_RESULT = {
    "recovery_time": "not_recovered",
    "returns_to_rotation": "never_returned_rotation",
    "leaves_rotation": "never_left_rotation",
    "fires_within": "alert_not_fired",
}
"""The other code of a metric: what was waited for did not happen at all."""
OF_EVERY_RUN = {"container_out_of_memory", "container_died"}
"""Codes of surprises, which no experiment has to expect."""


class _ComposeLoader(yaml.SafeLoader):
    """Takes the tags that say how a value is merged."""


_ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))


def _services(override: str) -> dict[str, Any]:
    text = (FOLDER / f"{override}.yaml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.load(text, _ComposeLoader)["services"]
    return services


def _scripts(override: str) -> list[str]:
    """What the services of an override do before they start, as the shell sees it."""
    commands = [service.get("command") for service in _services(override).values()]
    scripts = [command[0].replace("$$", "$") for command in commands if command]
    return list(dict.fromkeys(scripts))


def _edits(script: str) -> list[tuple[str, str]]:
    """(file in the image, one command of sed) for all of them."""
    found = []
    here = r"sed (?:-i )?-E -f - (\S+)(?: > \S+)? <<'END'\n(.*?)\nEND\n"
    for path, text in re.findall(here, script, re.DOTALL):
        found += [(path, each) for each in re.split(r"(?<!\\)\n", text)]
    rest = re.sub(here, "", script, flags=re.DOTALL).replace("\\\n", " ")
    for line in re.findall(r"(?m)^ *(sed .*)$", rest):
        words = shlex.split(line.partition(" > ")[0])
        commands = [after for word, after in pairwise(words) if word == "-e"]
        plain = [word for word in words[1:] if not word.startswith("-") and word not in commands]
        found += [(plain[-1], command) for command in commands or plain[:-1]]
    return found


EDITS = [
    (override, path, command)
    for override in OVERRIDES
    for script in _scripts(override)
    for path, command in _edits(script)
]


def _source(path: str) -> Path:
    place = next(place for place in PLACES if path.startswith(place))
    return PLACES[place] / path.removeprefix(place)


def test_there_are_thirty_defects_and_no_row_twice() -> None:
    rows = [(defect.name, defect.experiment) for defect in CATALOGUE]
    assert len(set(rows)) == len(rows)
    assert len({name for name, _ in rows}) >= 30


def test_every_shipped_experiment_catches_a_defect() -> None:
    assert {defect.experiment for defect in CATALOGUE} == EXPERIMENTS.keys()


def test_every_override_is_in_the_catalogue_and_says_what_is_wrong() -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")} - {"catalogue"}
    assert files == set(OVERRIDES)
    for defect in CATALOGUE:
        text = (FOLDER / f"{defect.name}.yaml").read_text(encoding="utf-8")
        assert text.startswith("# Defect: "), defect.name


@pytest.mark.parametrize("defect", CATALOGUE, ids=lambda defect: defect.name)
def test_the_experiment_has_an_expectation_that_gives_the_code(defect: Defect) -> None:
    expectations = EXPERIMENTS[defect.experiment].hypothesis
    codes = {metric_of(item).code for item in expectations}
    codes |= {"remedy_failed"} if EXPERIMENTS[defect.experiment].remedies else set()
    codes |= {WITHOUT_RESULT.get(item.metric, "") for item in expectations}
    if any(item.subject.startswith("breaker.") for item in expectations):
        codes |= {"breaker_contradiction", "breaker_not_reported"}  # a word that is no evidence
    assert defect.code in codes | OF_EVERY_RUN


def test_what_make_test_plants_together_is_told_apart() -> None:
    for name, together in in_ci(CATALOGUE).items():
        assert len({defect.experiment for defect in together}) == 1, name
        assert len({defect.code for defect in together}) == len(together), name
        overrides = [override for defect in together for override in defect.overrides]
        services = [service for override in overrides for service in _services(override)]
        assert len(set(services)) == len(services), f"{name}: one override replaces another"


def test_the_edits_of_all_overrides_were_found() -> None:
    scripts = [script for override in OVERRIDES for script in _scripts(override)]
    assert len({override for override, _, _ in EDITS}) >= 40
    assert sum(script.count("sed ") for script in scripts) <= len(EDITS)


@pytest.mark.parametrize(("override", "path", "command"), EDITS)
def test_every_edit_still_changes_its_file(override: str, path: str, command: str) -> None:
    source = _source(path)
    done = subprocess.run(
        ["sed", "-E", "-f", "-", str(source)],
        input=command + "\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout != source.read_text(encoding="utf-8")


@pytest.mark.parametrize("override", OVERRIDES)
def test_edited_python_compiles(override: str, tmp_path: Path) -> None:
    for script in _scripts(override):
        first, _, rest = script.partition("\n")
        copied = re.fullmatch(r"cp -r /(?:app|opt)/(\w+) /tmp && cd /tmp", first)
        if copied is None:
            continue
        place = copied[1]
        shutil.copytree(PLACES[f"{place}/"], tmp_path / place, dirs_exist_ok=True)
        edits = rest.partition("\nexec ")[0]
        subprocess.run(["sh", "-ec", edits], cwd=tmp_path, timeout=20, check=True)
        for path in (tmp_path / place).glob("*.py"):
            compile(path.read_text(encoding="utf-8"), path, "exec")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_stack(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def merged(project: Path) -> Callable[[tuple[str, ...], tuple[Path, ...]], Path]:
    """A stack's files as one, by profiles and files: Compose reads it in a fifth of the time."""

    @cache
    def merge(profiles: tuple[str, ...], files: tuple[Path, ...]) -> Path:
        path = project / f"{'-'.join((*profiles, *(file.stem for file in files)))}.yaml"
        path.write_text(_config(project, profiles, [project / file for file in files]))
        return path

    return merge


@pytest.mark.parametrize("defect", CATALOGUE, ids=lambda defect: defect.name)
def test_compose_takes_the_overrides(
    defect: Defect, project: Path, merged: Callable[[tuple[str, ...], tuple[Path, ...]], Path]
) -> None:
    experiment = EXPERIMENTS[defect.experiment]
    target = experiment.target
    profiles = (*(target.profiles or ("core",)), *experiment.profiles)
    files = [path.resolve().relative_to(ROOT) for path in target.compose]
    stack = merged(profiles, tuple(files or [Path("docker-compose.yml")]))
    _config(project, profiles, [stack, *_paths(defect)])


def _config(project: Path, profiles: Sequence[str], files: Sequence[Path]) -> str:
    """What Compose makes of the files; it must take them."""
    try:
        command = [*compose_command(), "--project-directory", str(project)]
    except EngineError:
        pytest.skip("no Compose binary")
    for profile in profiles:
        command += ["--profile", profile]
    for path in files:
        command += ["--file", str(path)]
    done = subprocess.run(
        [*command, "config"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _paths(defect: Defect) -> list[Path]:
    return [FOLDER / f"{name}.yaml" for name in defect.overrides]
