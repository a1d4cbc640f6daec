"""What there is to run: the shipped experiments, and the planted defects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from campaigns.harness_command import ROOT

EXPERIMENTS = ROOT / "experiments"
DEFECTS = ROOT / "tests" / "defects"
CATALOGUE = DEFECTS / "catalogue.yaml"


def shipped() -> dict[str, str]:
    """The family of each shipped experiment by its name, sorted by family and name."""
    paths = sorted(EXPERIMENTS.glob("*/*.yaml"))
    return {path.stem: path.parent.name for path in paths}


def choose_experiments(names: Sequence[str], family: str | None) -> list[str]:
    """The experiments that are wanted, all if nothing is; ValueError names what there is not."""
    known = shipped()
    if family is not None and family not in known.values():
        families = ", ".join(dict.fromkeys(known.values()))
        raise ValueError(f"no family is called {family}; there are {families}")
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no experiment is called {unknown[0]}; there are {', '.join(known)}")
    chosen = [
        name
        for name, its_family in known.items()
        if (not names or name in names) and family in (None, its_family)
    ]
    if not chosen:
        raise ValueError(f"none of {', '.join(names)} is in family {family}")
    return chosen


def representatives() -> list[str]:
    """The experiments that stand for their family where there is no time for all."""
    files = [EXPERIMENTS / family / f"{name}.yaml" for name, family in shipped().items()]
    tags = {file.stem: yaml.safe_load(file.read_bytes()).get("tags", ()) for file in files}
    return [name for name, its_tags in tags.items() if "representative" in its_tags]


@dataclass(frozen=True)
class Defect:
    """One row of the catalogue: an override, the experiment that must fail, its reason code.

    `make test` plants those with the same `in_ci` in one run, none without.
    """

    name: str
    experiment: str
    code: str
    because: str
    scene: tuple[str, ...] = ()
    in_ci: str = ""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The override files, in the order in which they are merged."""
        return (*self.scene, self.name)


def read_catalogue(path: Path = CATALOGUE) -> list[Defect]:
    """All planted defects, in the order of the file."""
    return [
        Defect(
            name=row["defect"],
            experiment=row["experiment"],
            code=row["code"],
            because=row["because"],
            scene=tuple(row.get("with", ())),
            in_ci=row.get("in_ci", ""),
        )
        for row in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def in_ci(catalogue: Sequence[Defect]) -> dict[str, list[Defect]]:
    """What `make test` plants, by the name of the run that it is planted in."""
    names = dict.fromkeys(defect.in_ci for defect in catalogue if defect.in_ci)
    return {name: [each for each in catalogue if each.in_ci == name] for name in names}
