"""From a YAML file to an Experiment: every problem at once, each with its line and path."""

from __future__ import annotations

from pathlib import Path

from harness.errors import InvalidExperiment
from harness.experiment_file.experiment import read_experiment, said_profiles
from harness.experiment_file.names import (
    FaultKinds,
    Names,
    Profiles,
    Services,
    TrafficOf,
    no_traffic,
)
from harness.experiment_file.problems import Problems
from harness.experiment_file.schema import experiment_schema
from harness.experiment_file.target import load_target, said_target
from harness.experiment_file.yaml_lines import LIST, read_bytes, read_yaml
from harness.model.experiment import Experiment

__all__ = [
    "experiment_schema",
    "load_experiment",
    "load_target",
    "parse_experiment",
    "said_profiles",
    "said_target",
]


def load_experiment(
    path: Path,
    kinds: FaultKinds,
    services: Services | None = None,
    traffic: TrafficOf = no_traffic,
    profiles: Profiles | None = None,
) -> Experiment:
    """The experiment in `path`; InvalidExperiment lists all its problems.

    `services` (labels by Compose service) is checked against if given; `traffic` says what is known
    of a target's requests, so that the file need not describe them, `profiles` which of them the
    Compose files have. UsageError if the file cannot be read.
    """
    return _read(read_bytes(path, LIST), path, Names(kinds, services, traffic, profiles))


def parse_experiment(
    data: bytes,
    path: Path,
    kinds: FaultKinds,
    services: Services | None = None,
    traffic: TrafficOf = no_traffic,
) -> Experiment:
    """The experiment in the bytes of a file; `path` is for its name and for messages."""
    return _read(data, path, Names(kinds, services, traffic))


def _read(data: bytes, path: Path, names: Names) -> Experiment:
    root, problems = read_yaml(data, path), Problems()
    experiment = read_experiment(path, root, problems, names)
    if problems or experiment is None:
        raise InvalidExperiment(str(path), problems.texts())
    return experiment
