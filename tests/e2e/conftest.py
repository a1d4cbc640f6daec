"""The experiments run one after another: those of foreign projects, then those of this stack."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from experiment_run import Run, RunExperiment, run_experiment_in

from campaigns.harness_command import HARNESS, ROOT, run_flags, take_down


@pytest.fixture(scope="session")
def stack() -> Iterator[None]:
    """Nothing of an earlier stack is left at first, and nothing of the tests' at the end."""
    take_down()
    yield
    take_down()


@pytest.fixture(scope="module")
def no_stack(engine: None) -> None:
    """Nothing runs that no test asks for: beside another project, or once other parts were used."""
    subprocess.run([str(HARNESS), "down"], cwd=ROOT, timeout=200, check=True)


@pytest.fixture(scope="session")
def run_experiment(stack: None, tmp_path_factory: pytest.TempPathFactory) -> RunExperiment:
    """Run an experiment, with planted defects perhaps; the load fits the machine."""

    def run(name: str, *overrides: str) -> Run:
        return run_experiment_in(tmp_path_factory.mktemp(name), name, run_flags(overrides))

    return run
